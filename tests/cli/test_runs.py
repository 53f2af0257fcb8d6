from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import cli.runs
from deployments.client import Run
from symphony.errors import BadInputError
from tests.cli.server import Server, symphony

ENTRIES = [{"timestamp": f"2026-01-02T10:00:0{n}.0Z", "level": "INFO", "message": f"line {n}"} for n in range(3)]


class Logged(Server):
    """A run that has logged one line more each time it is looked at."""

    url = "http://prefect/api"

    def named(self, what: str) -> Run:
        if what != "release/dev":
            raise BadInputError(f"There is no run {what!r}.")
        return self.run("r")

    def run(self, identity: str) -> Run:
        found = super().run(identity)
        self.at = min(self.at + 1, len(self.states) - 1)
        return found

    def logs(self, identity: str, after: int = 0) -> Iterator[dict[str, Any]]:
        assert identity == "r"
        yield from ENTRIES[after : self.at + 1]


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> Logged:
    made = Logged("RUNNING", "RUNNING", "COMPLETED")
    monkeypatch.setattr(cli.runs, "connect", lambda: made)
    monkeypatch.setattr(cli.runs, "part_logs", lambda what, _: what == "kubernetes")
    monkeypatch.setattr(cli.runs, "pages", lambda: {"prefect": ("http://sandbox", " (user admin)")})
    monkeypatch.setattr(cli.runs, "_POLL_SECONDS", 0)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return made


def test_what_a_run_logged_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert symphony(monkeypatch, "logs", "release/dev", "--follow") == 0
    assert capsys.readouterr().out.splitlines() == [f"10:00:0{n} INFO    line {n}" for n in range(3)]


def test_programs_get_a_line_of_json_each(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert symphony(monkeypatch, "logs", "release/dev", "--follow", "--json") == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == ENTRIES


def test_a_part_of_the_sandbox_goes_before_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert symphony(monkeypatch, "logs", "kubernetes") == 0
    assert symphony(monkeypatch, "logs", "neither") == 2


@pytest.mark.parametrize(
    ("what", "remote", "told"),
    [
        ("prefect", "", "http://sandbox (user admin)"),
        ("prefect", "http://prefect/api", "http://prefect"),
        ("release/dev", "", "http://prefect/r"),
    ],
)
def test_the_address_of_a_page_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str, remote: str, told: str
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", remote)
    assert symphony(monkeypatch, "open", what, "--print") == 0
    assert capsys.readouterr().out.strip() == told


def test_a_page_that_is_not_there_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    assert symphony(monkeypatch, "open", "nowhere") == 2
