"""Findings of drift: kept on a branch of the Git remote, so that one is told of once, and since when it stands."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path

from prefect import task
from prefect.events import emit_event
from pydantic import ValidationError

from symphony.drift import Area, Finding, Report, compare
from symphony.errors import SymphonyError
from symphony.outside import read_json
from tasks.artifacts import in_run
from tasks.git import git, head
from tasks.publish import Index, publish
from tasks.retry import TRANSIENT

BRANCH = "symphony/drift"
FOUND, CLEARED = "symphony.drift.found", "symphony.drift.cleared"


@task(name="keep findings", task_run_name="keep findings of {environment}", **TRANSIENT)
def keep_findings(
    mirror: Path, environment: str, now: Iterable[Finding], unseen: Collection[tuple[Area, str]], at: str
) -> Report:
    """Compare findings with those that stood before, and keep what stands now; nothing new makes no commit.

    Args:
        mirror: Bare mirror of the remote.
        environment: Where they were found.
        now: What was found.
        unseen: Where nobody could look; see `compare`.
        at: When, UTC, ISO 8601.

    Raises:
        TransientError: The remote could not be reached.
        SymphonyError: What was kept cannot be read.
    """
    found = tuple(now)
    reports: list[Report] = []

    def edit(index: Index) -> None:
        reports.append(compare(read_findings(mirror, environment), found, unseen, at))
        kept = [one.model_dump() for one in reports[-1].standing]
        index.put(f"{environment}.json", json.dumps(kept, indent=2) + "\n")

    publish(mirror, BRANCH, edit, f"{environment}: what has moved")
    return reports[-1]


def read_findings(mirror: Path, environment: str) -> tuple[Finding, ...]:
    """What stood after the last look at an environment.

    Raises:
        SymphonyError: It cannot be read.
    """
    at = f"refs/heads/{BRANCH}"
    name = f"{environment}.json"
    if head(mirror, BRANCH) is None or not git("ls-tree", "--name-only", at, "--", name, cwd=mirror):
        return ()
    try:
        return tuple(Finding.model_validate(one) for one in read_json(git("show", f"{at}:{name}", cwd=mirror)))
    except (ValueError, TypeError, ValidationError) as error:
        raise SymphonyError(f"{name} on {BRANCH} is not what Symphony writes; remove it there ({error}).") from error


def tell(environment: str, report: Report) -> None:
    """Send an event for each finding that is new, and for each that is gone."""
    for event, findings in ((FOUND, report.found), (CLEARED, report.cleared)):
        for one in findings if in_run() else ():
            emit_event(
                event,
                resource={
                    "prefect.resource.id": f"symphony.drift.{environment}.{one.identity}",
                    "prefect.resource.name": f"{one.where}: {one.what}",
                    "symphony.environment": environment,
                },
                payload=one.model_dump(),
            )
