from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cli.trigger
from cli.running import Ended
from cli.trigger import summary
from deployments.github import run_key
from tests.cli.server import Server, symphony

WORKFLOW = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "team/shop",
    "GITHUB_SHA": "abc",
    "GITHUB_RUN_ID": "7",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_JOB": "release",
}


@pytest.fixture(autouse=True)
def _no_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*WORKFLOW, "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


def trigger(monkeypatch: pytest.MonkeyPatch, server: Server, *arguments: str) -> int:
    monkeypatch.setattr(cli.trigger, "connect", lambda: server)
    return symphony(monkeypatch, "trigger", *arguments)


def test_parameters_are_text_or_json_and_the_key_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    asked = ("release", "--env", "dev", "-p", "commit=abc", "-p", "everything=true", "-p", "since=a=b", "--key", "k")
    assert trigger(monkeypatch, server, *asked) == 0
    parameters = {"environment": "dev", "commit": "abc", "everything": True, "since": "a=b"}
    assert server.started == [("release", "dev", parameters, "k")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("releas", "--env", "dev"), "'releas'"), (("release", "--env", "dev", "-p", "commit"), "'commit'")],
)
def test_bad_input_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    server = Server()
    assert trigger(monkeypatch, server, *arguments) == 2
    assert said in capsys.readouterr().err
    assert server.started == []


@pytest.mark.parametrize(("states", "code"), [(["COMPLETED"], 0), (["FAILED"], 1), (["RUNNING", "CRASHED"], 1)])
def test_the_exit_code_tells_how_the_run_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], states: list[str], code: int
) -> None:
    assert trigger(monkeypatch, Server(*states), "release", "--env", "dev", "--json") == code
    assert json.loads(capsys.readouterr().out)["succeeded"] is not bool(code)


def test_a_run_that_takes_longer_goes_on_and_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server(*["SUSPENDED"] * 100_000)
    assert trigger(monkeypatch, server, "release", "--env", "prod", "--timeout", "0.01") == 124
    said = capsys.readouterr().err
    assert said.count("waits for approval") == 1
    assert server.cancelled == []


def test_each_attempt_of_a_workflow_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    for name, value in WORKFLOW.items():
        monkeypatch.setenv(name, value)
    keys = []
    for environment, attempt in (("dev", "1"), ("dev", "1"), ("staging", "1"), ("dev", "2")):
        monkeypatch.setenv("GITHUB_RUN_ATTEMPT", attempt)
        trigger(monkeypatch, server, "release", "--env", environment)
        keys.append(server.started[-1][3])
    assert keys[0] == keys[1] == "team/shop:release:dev:abc:7:1:release"
    assert len(set(keys)) == 3
    assert not run_key({}, "release", "dev")


def test_a_workflow_gets_a_summary_and_outputs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.setenv(name, str(tmp_path / name))
    trigger(monkeypatch, Server(), "release", "--env", "dev")
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == "run=r\nlink=http://prefect/r\nstate=Completed\n"
    written = (tmp_path / "GITHUB_STEP_SUMMARY").read_text()
    assert written.startswith("### [n](http://prefect/r): Completed\n")
    assert "The page release-dev" in written


def ended(message: str = "It failed.") -> Ended:
    return Ended(
        flow="release", environment="dev", run="r", name="n", link="l", state="Failed", succeeded=False, message=message
    )


def test_what_a_run_says_stays_text_in_a_summary() -> None:
    page = summary(
        ended("<script> | [x](y)"), [json.dumps([{"unit": "a|b\n<i>"}, {"unit": "[a_b](http://c/d)"}]), "[]"]
    )
    assert "&lt;script&gt; \\| \\[x\\]\\(y\\)" in page
    assert "| unit |\n| --- |\n| a\\|b &lt;i&gt; |\n| [a\\_b](http://c/d) |\n" in page


@given(st.text(min_size=400), st.integers(300, 500))
def test_a_summary_is_cut_to_its_size_and_says_so(text: str, limit: int) -> None:
    page = summary(ended(), [text.lstrip("[") or "x", "y" * 600], limit)
    assert len(page.encode()) <= limit
    assert page.endswith("the whole is at [n](l).\n")


def test_a_comment_of_the_pull_request_has_the_summary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text('{"pull_request": {"number": 7}}')
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    monkeypatch.setenv("GITHUB_REPOSITORY", "team/shop")
    monkeypatch.setenv("GITHUB_TOKEN", "t")
    written: list[tuple[str, str]] = []
    monkeypatch.setattr("deployments.github.PullRequest.comment", lambda _, mark, text: written.append((mark, text)))
    assert trigger(monkeypatch, Server("FAILED"), "provision", "--env", "dev", "--comment") == 1
    [(mark, text)] = written
    assert mark == "<!-- symphony: provision dev -->"
    assert text.startswith("### [n](http://prefect/r): Failed\n")
    assert "The page plans-dev" in text


def test_a_comment_where_there_is_no_pull_request_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_EVENT_PATH", raising=False)
    server = Server()
    assert trigger(monkeypatch, server, "provision", "--env", "dev", "--comment") == 2
    assert server.started == []
