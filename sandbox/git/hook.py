"""The remote's hooks: main only moves forward, and a push to main starts its release.

The commit's own workflow ``release.yml`` does that, or the hook itself through Prefect's API.
Imported at each push, so it stands on the standard library alone.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sandbox.git import workflow
from sandbox.git.settings import TRIGGERS, GitSettings

_ZERO = "0" * 40
_SECONDS = 10
_PAUSES = (0.0, 0.2, 0.4, 0.8, 1.6)
"""Seconds before each try."""


@dataclass(frozen=True)
class Update:
    """One updated ref, as Git tells its hooks (githooks(5)).

    Attributes:
        old: Commit before; zeros where the ref is new.
        new: Commit now; zeros where the ref is deleted.
        ref: Full name of the ref.
    """

    old: str
    new: str
    ref: str


class PrefectError(Exception):
    """Prefect did not take the release; the message says why."""


def updates(lines: Iterable[str]) -> list[Update]:
    """What a hook reads from its standard input."""
    return [Update(*line.split()) for line in lines if line.strip()]


def released(changes: Iterable[Update], main: str) -> list[str]:
    """Commits to release: what main points to now; other refs and a deleted main start nothing."""
    return [change.new for change in changes if change.ref == f"refs/heads/{main}" and change.new != _ZERO]


def refusal(changes: Iterable[Update], main: str) -> str | None:
    """Why a push is refused, or none: main is neither rewritten nor deleted."""
    for change in changes:
        if change.ref != f"refs/heads/{main}" or change.old == _ZERO:
            continue
        if change.new == _ZERO:
            return f"{main} cannot be deleted: releases and records point into it."
        if not _is_ancestor(change.old, change.new):
            return (
                f"{main} only moves forward: {change.new[:12]} does not contain {change.old[:12]}; "
                f"run `git pull --rebase` and push again."
            )
    return None


def start_release(settings: GitSettings, commit: str) -> tuple[str, str]:
    """Start the release of a commit.

    Args:
        settings: Where Prefect is.
        commit: The commit that main points to now.

    Returns:
        The run's name and its page in Prefect's UI.

    Raises:
        PrefectError: Prefect cannot be reached, or refused.
    """
    deployment = _call(settings, "GET", f"/api/deployments/name/release/{settings.environment}")
    run = _call(
        settings,
        "POST",
        f"/api/deployments/{deployment['id']}/create_flow_run",
        {
            "parameters": {"commit": commit},
            # Unique per flow in Prefect, so it names the environment too.
            "idempotency_key": f"platform:release:{settings.environment}:{commit}:push",
        },
    )
    return run["name"], f"{settings.prefect}/runs/flow-run/{run['id']}"


def pre_receive(settings: GitSettings, lines: Iterable[str]) -> int:
    """Exit code of the hook: 1 refuses the whole push."""
    reason = refusal(updates(lines), settings.main)
    if (chosen := trigger(settings, os.environ)) not in TRIGGERS:
        reason = f"trigger={chosen} names nobody who could start a release; it may be {' or '.join(TRIGGERS)}."
    if reason:
        sys.stderr.write(f"symphony: {reason}\n")
        return 1
    return 0


def trigger(settings: GitSettings, environ: Mapping[str, str]) -> str:
    """Who starts the release of a push: what the push says, or else the settings."""
    given = [environ[f"GIT_PUSH_OPTION_{number}"] for number in range(int(environ.get("GIT_PUSH_OPTION_COUNT") or 0))]
    chosen = [option.removeprefix("trigger=") for option in given if option.startswith("trigger=")]
    return (chosen or [settings.trigger])[-1]


def post_receive(settings: GitSettings, lines: Iterable[str], path: Path | None = None) -> int:
    """Exit code of the hook; the push stands whatever it is."""
    for commit in released(updates(lines), settings.main):
        if path and trigger(settings, os.environ) == "github_actions" and _has_workflow(commit):
            workflow.start(path, commit)
            log = workflow.log_of(settings, workflow.pushed(commit, settings.main))
            sys.stderr.write(f"symphony: the workflow {workflow.RELEASE} releases {commit[:12]}; its log is {log}\n")
            continue
        try:
            name, url = start_release(settings, commit)
        except PrefectError as reason:
            sys.stderr.write(
                f"symphony: {commit[:12]} is pushed, but its release did not start ({reason}); "
                f"start it with `symphony release {commit[:12]} --env {settings.environment}`.\n"
            )
        else:
            sys.stderr.write(f"symphony: release {name} of {commit[:12]} to {settings.environment}: {url}\n")
    return 0


def _is_ancestor(old: str, new: str) -> bool:
    # `git` runs in the push's own quarantine, which the inherited environment names.
    return subprocess.run(["git", "merge-base", "--is-ancestor", old, new], check=False).returncode == 0  # noqa: S607


def _has_workflow(commit: str) -> bool:
    file = f"{commit}:{workflow.FOLDER / workflow.RELEASE}"
    return subprocess.run(["git", "cat-file", "-e", file], stderr=subprocess.DEVNULL, check=False).returncode == 0  # noqa: S607


def _call(settings: GitSettings, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    for pause in _PAUSES:
        time.sleep(pause)
        status, reason, text = _ask(settings, method, path, body)
        # Prefect on SQLite answers 503 where its database was locked; it has done nothing then.
        if status != http.client.SERVICE_UNAVAILABLE:
            break
    if status == http.client.NOT_FOUND:
        raise PrefectError(f"Prefect has no deployment release/{settings.environment}")
    if status >= http.client.BAD_REQUEST:
        raise PrefectError(f"Prefect answered {status} {reason}")
    try:
        parsed: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise PrefectError(f"Prefect at {settings.prefect} answered what is no JSON: {error}") from error
    return parsed


def _ask(settings: GitSettings, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, str, bytes]:
    address = urlsplit(settings.prefect)
    login = base64.b64encode(settings.prefect_login.encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_SECONDS)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.reason, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise PrefectError(f"Prefect at {settings.prefect} cannot be reached: {error}") from error
    finally:
        connection.close()


def main(name: str, settings: Path) -> int:
    """Run the hook of that name; its standard input is the list of updates."""
    read = GitSettings.read(settings)
    return pre_receive(read, sys.stdin) if name == "pre-receive" else post_receive(read, sys.stdin, settings)
