from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import cli.running
from deployments.client import Run, TaskState
from tests.cli.server import Server, symphony

DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(cli.running, "connect", lambda: made)
    return made


@pytest.mark.parametrize(
    ("arguments", "flow", "environment", "parameters"),
    [
        (("release", "v1", "--approved-by", "Ada"), "release", "dev", {"commit": "v1", "approved_by": "Ada"}),
        (
            ("deploy", "one", "--env", "prod", "--image", f"one={DIGEST}", "--force"),
            "deploy",
            "prod",
            {
                "commit": "main",
                "applications": ["one"],
                "images": {"one": DIGEST},
                "force": True,
                "approved_by": "",
            },
        ),
        (("smoke", "one", "two"), "smoke", "dev", {"applications": ["one", "two"]}),
        (("drift", "-e", "staging"), "drift", "staging", {}),
        (
            ("promote",),
            "promote",
            "staging",
            {"applications": None, "release": "", "approved_by": "", "why": "", "who": "ada"},
        ),
        (
            ("promote", "one", "two", "--env", "prod", "--release", "abc", "--approved-by", "Ada", "--why", "Now."),
            "promote",
            "prod",
            {"applications": ["one", "two"], "release": "abc", "approved_by": "Ada", "why": "Now.", "who": "ada"},
        ),
        (
            ("rollback", "one", "--to", "abc"),
            "rollback",
            "dev",
            {"applications": ["one"], "release": "abc", "why": "", "who": "ada"},
        ),
    ],
)
def test_what_is_asked_reaches_the_deployment_and_its_page_is_shown(  # noqa: PLR0913, PLR0917 - the example
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    flow: str,
    environment: str,
    parameters: dict[str, Any],
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    assert symphony(monkeypatch, *arguments) == 0
    assert server.started == [(flow, environment, parameters, None)]
    shown = capsys.readouterr().out
    assert f"The page {flow}-{environment}" in shown
    assert "It is live." in shown


@pytest.mark.parametrize("image", ["one", f"={DIGEST}", "one="])
def test_an_image_without_its_application_starts_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], image: str
) -> None:
    assert symphony(monkeypatch, "deploy", "--image", image) == 2
    assert repr(image) in capsys.readouterr().err
    assert server.started == []


def test_a_failure_shows_its_pages_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.running, "connect", lambda: Server("FAILED", message="hello crashed."))
    assert symphony(monkeypatch, "deploy") == 1
    said = capsys.readouterr()
    assert "The page diagnosis-dev" in said.out
    assert "hello crashed." in said.err


@pytest.mark.parametrize(("state", "code"), [("COMPLETED", 0), ("FAILED", 1)])
def test_json_is_all_that_standard_output_gets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: str, code: int
) -> None:
    monkeypatch.setattr(cli.running, "connect", lambda: Server(state))
    assert symphony(monkeypatch, "release", "--json") == code
    found = json.loads(capsys.readouterr().out)
    assert (found["flow"], found["run"], found["succeeded"]) == ("release", "r", not code)
    assert found["message"] == "It is live."


def test_a_detached_run_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli.running, "connect", lambda: Server("SCHEDULED"))
    assert symphony(monkeypatch, "release", "--detach") == 0
    assert "http://prefect/r" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answers", "cancelled", "code"),
    [(["cancel"], ["r"], 0), (["leave"], [], 130), (["follow"], [], 0), ([], [], 130), (None, [], 130)],
    ids=["cancel", "leave", "follow", "a second time", "no terminal"],
)
def test_ctrl_c_asks_what_to_do_with_the_run(
    server: Server, monkeypatch: pytest.MonkeyPatch, answers: list[str] | None, cancelled: list[str], code: int
) -> None:
    follow, pressed = server.follow, []

    def interrupted(identity: str) -> Iterator[tuple[Run, list[TaskState]]]:
        if not pressed:
            pressed.append(identity)
            raise KeyboardInterrupt
        return follow(identity)

    def ask(*_: object, **__: object) -> str:
        if not answers:
            raise KeyboardInterrupt
        return answers.pop()

    monkeypatch.setattr(server, "follow", interrupted)
    monkeypatch.setattr(cli.running.Prompt, "ask", ask)
    monkeypatch.setattr("sys.stdin.isatty", lambda: answers is not None, raising=False)
    assert symphony(monkeypatch, "release") == code
    assert server.cancelled == cancelled
