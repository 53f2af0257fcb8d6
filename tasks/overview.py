"""The overview of what runs where, read from Git and from each environment's Argo CD, side by side."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from prefect.exceptions import Pause

from symphony.change import Change
from symphony.config import Configuration, Environment, branch_of
from symphony.errors import SymphonyError
from symphony.models import Desired
from symphony.overview import Overview, Running
from tasks.argocd import access, application_name, link
from tasks.artifacts import in_run, table
from tasks.desired import file_of, read_desired
from tasks.findings import read_findings
from tasks.git import git, head
from tasks.holds import read_holds
from tasks.kubernetes import Object
from tasks.records import newest
from tasks.retry import ONCE

KEY = "overview"
_SIDE_BY_SIDE = 16
_CONSIDERED = 200
"""Commits and records that are gone through for when an application came, and for its URL."""


@contextlib.contextmanager
def overview_after(change: Change) -> Iterator[None]:
    """Bring the overview up to date once the body has ended, but for a run that was suspended in it."""
    try:
        yield
    except Pause:
        raise
    except Exception:
        show_overview(change)
        raise
    show_overview(change)


@task(name="show overview", task_run_name="show overview", **ONCE)
def show_overview(change: Change) -> None:
    """Leave what runs where with the run; the newest of these tables is what people open.

    Args:
        change: Whose configuration counts; an Argo CD that takes longer than two seconds is told as unknown.
    """
    if in_run():
        found = overview(change.configuration, change.mirror, seconds=2)
        table(KEY, "What runs where", [one.row for one in found.running], found.notes)


def overview(configuration: Configuration, mirror: Path, environment: str = "", seconds: float = 5) -> Overview:
    """What runs where.

    Args:
        configuration: ``symphony.yaml``.
        mirror: Bare mirror of the remote, up to date.
        environment: Only this one; all by default.
        seconds: How long to wait for each Argo CD.

    Raises:
        SymphonyError: What Git keeps cannot be read.
    """
    names = [environment] if environment else list(configuration.environments)
    running: list[Running] = []
    apart: dict[str, int] = {}
    pool = ThreadPoolExecutor(_SIDE_BY_SIDE)
    try:
        deadline = time.monotonic() + seconds
        live = {name: pool.submit(_applications, configuration.environments[name], deadline) for name in names}
        kept = {name: pool.submit(_kept, configuration, mirror, name) for name in names}
        for name in names:
            rows, findings = kept[name].result()
            health = _health(live[name], deadline)
            running += [one.model_copy(update={"health": health(one)} if one.commit else {}) for one in rows]
            apart |= {name: findings} if findings else {}
    finally:
        # One that does not answer must not keep the run.
        pool.shutdown(wait=False)
    return Overview(running=tuple(running), apart=apart, at=datetime.now(UTC).isoformat(timespec="seconds"))


def _kept(configuration: Configuration, mirror: Path, environment: str) -> tuple[list[Running], int]:
    """What Git keeps of an environment's applications, and how many findings are no application's."""
    target = configuration.environments[environment]
    there = read_desired(mirror, environment)
    since, urls, holds = _since(mirror, environment), _urls(mirror, environment, there), read_holds(mirror, environment)
    drift = Counter(one.where for one in read_findings(mirror, environment))
    rows = [
        Running(
            environment=environment,
            application=name,
            commit=there[name].commit if name in there else "",
            digest=there[name].digest if name in there else "",
            since=since.get(file_of(name), "") if name in there else "",
            url=urls.get(name, ""),
            drift=drift.pop(name, 0),
            held=str(holds[name]) if name in holds else "",
            link=link(target, environment, name) if name in there else "",
        )
        for name in sorted({*configuration.applications, *there})
    ]
    return rows, drift.total()


def _since(mirror: Path, environment: str) -> dict[str, str]:
    """When the branch got what it has of each application, by file."""
    branch = branch_of(environment)
    if head(mirror, branch) is None:
        return {}
    asked = ("--format=%x00%cI", "--name-only", f"--max-count={_CONSIDERED}", f"refs/heads/{branch}")
    found: dict[str, str] = {}
    for commit in git("log", *asked, "--", "applications/", cwd=mirror).split("\0")[1:]:
        when, *files = commit.split()
        for file in files:
            found.setdefault(file, datetime.fromisoformat(when).astimezone(UTC).isoformat())
    return found


def _urls(mirror: Path, environment: str, there: Mapping[str, Desired]) -> dict[str, str]:
    """The first URL that was asked of each application, in the newest record that asked any of it."""
    found: dict[str, str] = {}
    for record in itertools.islice(newest(mirror, environment), _CONSIDERED):
        new = {one.application: one.url for one in reversed(record.probes) if one.application not in found}
        found |= new
        if there.keys() <= found.keys():
            break
    return found


def _applications(target: Environment, deadline: float) -> dict[str, Object]:
    """Argo CD's Applications by name.

    Raises:
        SymphonyError: It refused, or did not answer in time.
    """
    for _, whole in access(target).watch(deadline, threading.Event()):
        return {one["metadata"]["name"]: one for one in whole["items"]}
    raise SymphonyError("Argo CD did not answer in time")


def _health(asked: Future[dict[str, Object]], deadline: float) -> Callable[[Running], str]:
    """What Argo CD says of each application, as far as it answers until a deadline."""
    try:
        there = asked.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return lambda _: "Unknown: Argo CD did not answer in time"
    except SymphonyError as error:
        why = f"Unknown: {error}"
        return lambda _: why

    def told(one: Running) -> str:
        status = there.get(application_name(one.environment, one.application), {}).get("status") or {}
        health = (status.get("health") or {}).get("status") or "Missing"
        sync = (status.get("sync") or {}).get("status") or "Unknown"
        return str(health) if sync == "Synced" else f"{health}, {sync}"

    return told
