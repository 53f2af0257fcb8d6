from __future__ import annotations

import json
from typing import Any

import pytest

import cli.plan
from cli import main
from deployments.client import Run, TaskState
from symphony.errors import BadInputError

PLANNED = {"unit": "a", "state": "planned", "add": 1, "change": 0, "replace": 0, "destroy": 2, "seconds": 1.5}
UNCHANGED = {"unit": "b", "state": "unchanged", "add": "", "change": "", "replace": "", "destroy": "", "reason": ""}


class Server:
    """Answers as Prefect does for one run that left these rows."""

    def __init__(self, *rows: dict[str, Any], state: str = "COMPLETED", message: str = "") -> None:
        self.rows, self.started = rows, list[tuple[str, str, dict[str, Any]]]()
        self.ended = Run(id="r", name="provision dev", state_type=state, state_name=state, state={"message": message})

    def start(self, flow: str, deployment: str, parameters: dict[str, Any]) -> Run:
        if deployment == "nowhere":
            raise BadInputError("There is no deployment provision/nowhere.")
        self.started.append((flow, deployment, parameters))
        return self.ended

    def follow(self, identity: str) -> list[tuple[Run, list[TaskState]]]:
        assert identity == "r"
        return [(self.ended, [])]

    def artifact(self, identity: str, key: str) -> str | None:
        assert identity == "r"
        return json.dumps(self.rows) if key == "units-dev" else "## The page" if self.rows else None

    def link(self, identity: str) -> str:
        return f"http://prefect/{identity}"


def run(monkeypatch: pytest.MonkeyPatch, server: Server, *arguments: str) -> int:
    monkeypatch.setattr(cli.plan, "connect", lambda: server)
    monkeypatch.setattr("sys.argv", ["symphony", "plan", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("server", "code"),
    [
        (Server(), 0),
        (Server(UNCHANGED), 0),
        (Server(UNCHANGED, PLANNED), 2),
        (Server({**PLANNED, "state": "planned, provisional"}), 2),
        (Server({"unit": "a", "state": "removed, not destroyed", "reason": "It is gone."}), 0),
        (Server({"unit": "a", "state": "failed"}, PLANNED, state="FAILED", message="a failed."), 1),
        (Server(state="CRASHED"), 1),
    ],
)
def test_the_exit_code_tells_nothing_changes_or_error(
    monkeypatch: pytest.MonkeyPatch, server: Server, code: int
) -> None:
    assert run(monkeypatch, server) == code
    assert server.started == [("provision", "dev", {"commit": "main", "plan_only": True})]


def test_what_is_asked_reaches_the_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    run(monkeypatch, server, "v1", "--env", "prod", "--since", "v0")
    assert server.started == [("provision", "prod", {"commit": "v1", "plan_only": True, "since": "v0"})]


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--env", "nowhere"], ["one", "two"]])
def test_bad_input_does_not_look_like_changes(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    assert run(monkeypatch, Server(PLANNED), *arguments) == 1


def test_json_is_all_that_standard_output_gets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, Server(PLANNED, UNCHANGED), "--json") == 2
    found = json.loads(capsys.readouterr().out)
    assert (found["changes"], found["link"], found["error"]) == (True, "http://prefect/r", "")
    assert found["units"][0] == {**PLANNED, "reason": ""}
    assert found["units"][1]["add"] == 0


def test_json_tells_an_error_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, Server(), "--json", "--env", "nowhere") == 1
    assert "provision/nowhere" in json.loads(capsys.readouterr().out)["error"]


def test_what_the_page_folds_is_shown_unfolded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inside = "<ul><li>add x[&lt;1&gt;]</li></ul><pre>+ x {&#10;  + y&#10;}</pre>"
    fold = f"<details><summary>a: planned</summary>{inside}</details>"
    monkeypatch.setattr(
        Server, "artifact", lambda _, __, key: "[]" if key == "units-dev" else f"## Title\n\n{fold}\n\nEnd."
    )
    run(monkeypatch, Server(PLANNED))
    said = capsys.readouterr().out
    assert "a: planned\n  - add x[<1>]\n+ x {\n  + y\n}\n" in said
    assert "Title" in said
    assert "End." in said


def test_people_see_the_page(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(monkeypatch, Server(PLANNED))
    assert "The page" in capsys.readouterr().out


def test_a_plan_that_is_detached_is_not_followed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server(PLANNED)
    monkeypatch.setattr(server, "follow", None)
    assert run(monkeypatch, server, "--detach", "--json") == 0
    assert json.loads(capsys.readouterr().out)["link"] == "http://prefect/r"
