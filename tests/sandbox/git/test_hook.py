import base64
import dataclasses
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sandbox.git import hook
from sandbox.git.hook import Update
from sandbox.git.settings import GitSettings

ZERO, OLD, NEW = "0" * 40, "1" * 40, "2" * 40


class Prefect(BaseHTTPRequestHandler):
    """Prefect's API, as far as the hook asks it."""

    calls: list[tuple[str, str, Any, str]]
    status = 200

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        type(self).calls.append((self.command, self.path, body, self.headers["Authorization"]))
        text = json.dumps({"id": "abc", "name": "brave-heron"}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer  # noqa: N815 - the library's own names

    def log_message(self, *_: object) -> None:
        """A test's output stays quiet."""


@pytest.fixture
def prefect() -> Iterator[str]:
    Prefect.calls, Prefect.status = [], 200
    server = ThreadingHTTPServer(("127.0.0.1", 0), Prefect)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def settings(prefect: str = "http://127.0.0.1:9") -> GitSettings:
    return GitSettings("127.0.0.1", 0, "", "symphony", "password", prefect, "ci:secret", "dev", "/nowhere", "api")


@pytest.mark.parametrize(
    ("update", "commits"),
    [
        (Update(OLD, NEW, "refs/heads/main"), [NEW]),
        (Update(ZERO, NEW, "refs/heads/main"), [NEW]),
        (Update(OLD, ZERO, "refs/heads/main"), []),
        (Update(OLD, NEW, "refs/heads/env/dev"), []),
        (Update(OLD, NEW, "refs/heads/maintenance"), []),
        (Update(OLD, NEW, "refs/tags/main"), []),
        (Update(OLD, NEW, "refs/symphony/records"), []),
        (Update(OLD, NEW, "refs/heads/symphony/records"), []),
    ],
)
def test_only_a_push_to_main_is_released(update: Update, commits: list[str]) -> None:
    assert hook.released([update], "main") == commits


def test_the_release_starts_once_a_commit_and_environment(prefect: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert hook.post_receive(settings(prefect), [f"{OLD} {NEW} refs/heads/main\n"]) == 0
    login = "Basic " + base64.b64encode(b"ci:secret").decode()
    assert Prefect.calls == [
        ("GET", "/api/deployments/name/release/dev", None, login),
        (
            "POST",
            "/api/deployments/abc/create_flow_run",
            {"parameters": {"commit": NEW}, "idempotency_key": f"platform:release:dev:{NEW}:push"},
            login,
        ),
    ]
    told = capsys.readouterr().err
    assert "brave-heron" in told
    assert f"{prefect}/runs/flow-run/abc" in told


def test_a_push_to_an_environment_asks_nobody(prefect: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert hook.post_receive(settings(prefect), [f"{OLD} {NEW} refs/heads/env/dev\n"]) == 0
    assert Prefect.calls == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("status", "reason"), [(404, "no deployment release/dev"), (401, "401")])
def test_a_refusal_is_one_sentence_and_the_push_stands(
    prefect: str, capsys: pytest.CaptureFixture[str], status: int, reason: str
) -> None:
    Prefect.status = status
    assert hook.post_receive(settings(prefect), [f"{OLD} {NEW} refs/heads/main\n"]) == 0
    told = capsys.readouterr().err
    assert reason in told
    assert "symphony release" in told
    assert told.count("\n") == 1


def test_prefect_that_is_down_is_told_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert hook.post_receive(settings(), [f"{OLD} {NEW} refs/heads/main\n"]) == 0
    told = capsys.readouterr().err
    assert "cannot be reached" in told
    assert told.count("\n") == 1


def test_main_is_neither_rewritten_nor_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook, "_is_ancestor", lambda old, new: (old, new) == (OLD, NEW))
    assert hook.pre_receive(settings(), [f"{OLD} {NEW} refs/heads/main"]) == 0
    assert hook.pre_receive(settings(), [f"{ZERO} {NEW} refs/heads/main"]) == 0
    assert hook.pre_receive(settings(), [f"{NEW} {OLD} refs/heads/main"]) == 1
    assert hook.pre_receive(settings(), [f"{OLD} {ZERO} refs/heads/main"]) == 1


@pytest.mark.parametrize(("option", "code"), [("trigger=api", 0), ("ci.skip", 0), ("trigger=nobody", 1)])
def test_a_push_whose_release_nobody_could_start_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str, code: int
) -> None:
    monkeypatch.setenv("GIT_PUSH_OPTION_COUNT", "1")
    monkeypatch.setenv("GIT_PUSH_OPTION_0", option)
    assert hook.pre_receive(settings(), [f"{ZERO} {NEW} refs/heads/main"]) == code
    assert ("trigger=nobody names nobody" in capsys.readouterr().err) is bool(code)


def test_other_branches_may_be_rewritten() -> None:
    assert hook.pre_receive(settings(), [f"{NEW} {OLD} refs/heads/env/dev"]) == 0


def test_the_hook_stands_on_the_standard_library() -> None:
    """People wait for it at each push."""
    imports = Path(hook.__file__).read_text().split("class ")[0]
    assert not any(f"import {heavy}" in imports for heavy in ("httpx", "prefect", "pydantic", "psutil"))


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ([], "github_actions"),
        (["ci.skip", "trigger=api"], "api"),
        (["trigger=api", "trigger=github_actions"], "github_actions"),
    ],
)
def test_a_push_says_who_starts_its_release(options: list[str], chosen: str) -> None:
    given = {f"GIT_PUSH_OPTION_{number}": option for number, option in enumerate(options)}
    plain = dataclasses.replace(settings(), trigger=GitSettings.trigger)
    assert hook.trigger(plain, {**given, "GIT_PUSH_OPTION_COUNT": str(len(options))}) == chosen


@pytest.mark.parametrize("there", [True, False])
def test_a_workflow_releases_the_commit_that_has_it(
    prefect: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, there: bool
) -> None:
    started: list[tuple[Path, str]] = []
    monkeypatch.setattr(hook, "_has_workflow", lambda _: there)
    monkeypatch.setattr(hook.workflow, "start", lambda path, commit: started.append((path, commit)))
    chosen = dataclasses.replace(settings(prefect), trigger="github_actions")
    assert hook.post_receive(chosen, [f"{OLD} {NEW} refs/heads/main\n"], Path("settings")) == 0
    assert started == ([(Path("settings"), NEW)] if there else [])
    assert bool(Prefect.calls) is not there
    assert ("release.yml" in capsys.readouterr().err) is there


def test_a_prefect_whose_database_was_locked_is_asked_again(prefect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Prefect.status = 503
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > 2:
            Prefect.status = 200

    monkeypatch.setattr(hook.time, "sleep", pause)
    name, _ = hook.start_release(settings(prefect), NEW)
    assert name == "brave-heron"
    assert len(Prefect.calls) == 4
