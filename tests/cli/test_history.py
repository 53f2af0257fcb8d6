from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import cli.connection
from cli import main
from symphony.record import ReleaseRecord
from tasks.records import write_record

if TYPE_CHECKING:
    from tests.conftest import Delivery

DEPLOYED = {"environment": "dev", "commit": "c" * 40, "revision": "c" * 40, "applications": ["one"], "seconds": 1}


def record(day: int, **facts: Any) -> ReleaseRecord:
    given = {
        "environment": "dev",
        "commit": f"{day:02}" * 20,
        "state": "succeeded",
        "run": f"{day:08}-aaaa",
        "started": f"2026-01-{day:02}T10:00:00.000+00:00",
        "seconds": 1,
        "stages": {"deploy": 1},
        "deployed": DEPLOYED,
    }
    return ReleaseRecord.model_validate(given | facts)


@pytest.fixture(autouse=True)
def kept(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMPHONY_CONFIG", str(delivery.copy / "symphony.yaml"))
    monkeypatch.setattr(cli.connection, "adopt", lambda: None)
    moved = {**DEPLOYED, "applications": ["two"]}
    for one in (record(1), record(2, deployed=moved), record(3, environment="prod", kind="promote", who="Ada")):
        write_record.fn(delivery.change().mirror, one)


def symphony(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["symphony", *arguments])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "days"),
    [
        ((), [3, 2, 1]),
        (("--env", "dev"), [2, 1]),
        (("--app", "one"), [3, 1]),
        (("--env", "dev", "--app", "two"), [2]),
        (("--limit", "1"), [3]),
    ],
)
def test_history_is_of_an_environment_an_application_or_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], days: list[int]
) -> None:
    assert symphony(monkeypatch, "history", "--json", *arguments) == 0
    found = [ReleaseRecord.model_validate(one) for one in json.loads(capsys.readouterr().out)]
    assert [int(one.run[:8]) for one in found] == days


def test_people_get_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert symphony(monkeypatch, "history") == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("promote", "prod", "Ada", "00000003", "succeeded"))


def test_figures_are_of_each_environment(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert symphony(monkeypatch, "history", "--figures", "--json", "--days", "100000") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["environment"], one["deployments"]) for one in found] == [("dev", 2), ("staging", 0), ("prod", 1)]
    assert symphony(monkeypatch, "history", "--figures", "--env", "prod") == 0
    assert "change failure rate" in capsys.readouterr().out


def test_one_release_is_shown_as_page_and_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert symphony(monkeypatch, "show", "00000003") == 0
    assert "030303030303 is live in prod" in capsys.readouterr().out
    assert symphony(monkeypatch, "show", "0202", "--json") == 0
    assert json.loads(capsys.readouterr().out)["run"] == "00000002-aaaa"


@pytest.mark.parametrize("arguments", [("show", "nothing"), ("history", "--env", "moon")])
def test_what_is_unknown_is_bad_input(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    assert symphony(monkeypatch, *arguments) == 2
