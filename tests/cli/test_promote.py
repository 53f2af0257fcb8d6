from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import cli.connection
from tests.cli.server import symphony

if TYPE_CHECKING:
    from tests.flows.conftest import Platform


def test_applications_are_held_by_hand_and_lifted(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.connection, "adopt", lambda: None)
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    monkeypatch.setenv("COLUMNS", "200")
    platform.release(one="a")
    assert symphony(monkeypatch, "hold") == 0
    assert "Nothing is held in dev." in capsys.readouterr().out
    assert symphony(monkeypatch, "hold", "one", "--why", "A demo.") == 0
    assert "by ada: A demo." in capsys.readouterr().out
    assert platform.release(one="b").name == "Held"
    assert symphony(monkeypatch, "hold", "three") == 2
    assert symphony(monkeypatch, "lift") == 0
    assert "Lifted in dev: one." in capsys.readouterr().out
    assert symphony(monkeypatch, "lift") == 0
    assert "Nothing was held in dev." in capsys.readouterr().out
