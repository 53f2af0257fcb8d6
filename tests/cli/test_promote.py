from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import cli.connection
import cli.running
from tests.cli.server import Server, symphony

if TYPE_CHECKING:
    from tests.flows.conftest import Platform


@pytest.mark.parametrize(
    ("arguments", "flow", "environment", "parameters"),
    [
        (("promote",), "promote", "staging", {"applications": None, "release": "", "approved_by": ""}),
        (
            ("promote", "one", "two", "--env", "prod", "--release", "abc", "--approved-by", "Ada", "--why", "Now."),
            "promote",
            "prod",
            {"applications": ["one", "two"], "release": "abc", "approved_by": "Ada", "why": "Now."},
        ),
        (("rollback", "one", "--to", "abc"), "rollback", "dev", {"applications": ["one"], "release": "abc"}),
    ],
)
def test_what_is_asked_reaches_the_deployment_and_its_page_is_shown(  # noqa: PLR0913, PLR0917 - the example
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    flow: str,
    environment: str,
    parameters: dict[str, Any],
) -> None:
    server = Server()
    monkeypatch.setattr(cli.running, "connect", lambda: server)
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    assert symphony(monkeypatch, *arguments) == 0
    ((asked, where, given, _),) = server.started
    assert (asked, where) == (flow, environment)
    assert given == {"why": "", "who": "ada", **parameters}
    shown = capsys.readouterr().out
    assert f"The page {flow}-{environment}" in shown
    assert "It is live." in shown


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
