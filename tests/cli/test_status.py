from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import cli.connection
import cli.sandbox
from symphony.overview import Overview, Running
from tasks import overview as module
from tests.cli.server import symphony

if TYPE_CHECKING:
    from tests.conftest import Delivery

ONE = Running(
    environment="dev",
    application="one",
    commit="c" * 40,
    digest=f"sha256:{'a' * 64}",
    health="Healthy",
    url="http://one/",
    held="held since today by Ada: it burns",
    link="http://argocd/one",
)
FOUND = Overview(running=(ONE,), apart={"dev": 2}, at="2026-01-02T10:00:00+00:00")


@pytest.fixture(autouse=True)
def asked(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Environments that were asked for."""
    found: list[str] = []

    def look(_configuration: Any, _mirror: Any, environment: str) -> Overview:
        found.append(environment)
        return FOUND

    monkeypatch.setenv("SYMPHONY_CONFIG", str(delivery.copy / "symphony.yaml"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(cli.connection, "adopt", lambda: None)
    monkeypatch.setattr(module, "overview", look)
    return found


def test_people_get_a_table_and_what_is_held(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], asked: list[str]
) -> None:
    assert symphony(monkeypatch, "status", "--env", "dev") == 0
    shown = capsys.readouterr().out
    for word in (
        "cccccccccccc",
        "aaaaaaaaaaaa",
        "Healthy, held",
        "http://one/",
        "one in dev is held since today by Ada",
    ):
        assert word in shown
    assert "argocd" not in shown
    assert asked == ["dev"]


def test_programs_get_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert symphony(monkeypatch, "status", "--json") == 0
    assert json.loads(capsys.readouterr().out) == FOUND.model_dump(mode="json")


def test_an_unknown_environment_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    assert symphony(monkeypatch, "status", "--env", "moon") == 2


def test_the_sandbox_has_a_status_of_its_own(monkeypatch: pytest.MonkeyPatch, asked: list[str]) -> None:
    said: list[bool] = []
    monkeypatch.setattr(cli.sandbox, "show", lambda *, as_json: said.append(as_json))
    assert symphony(monkeypatch, "status", "--sandbox", "--json") == 0
    assert (said, asked) == ([True], [])
