"""Release records: one JSON file a release, on a branch of the Git remote that outlives Prefect's own history."""

from __future__ import annotations

from pathlib import Path

from prefect import task

from symphony.models import ReleaseRecord
from tasks.git import Index, git, head, publish
from tasks.retry import TRANSIENT

BRANCH = "symphony/records"


@task(name="record release", task_run_name="record release of {record.environment}", **TRANSIENT)
def write_record(mirror: Path, record: ReleaseRecord) -> str:
    """Commit a release record.

    Args:
        mirror: Bare mirror of the remote.
        record: What is kept.

    Returns:
        The record's path on the branch.

    Raises:
        TransientError: The remote could not be reached.
    """
    stamp = record.started.replace(":", "").replace("-", "")
    path = f"{record.environment}/{stamp}-{record.commit[:12]}-{record.run[:8] or 'by-hand'}.json"

    def edit(index: Index) -> None:
        index.put(path, record.model_dump_json(indent=2) + "\n")

    publish(mirror, BRANCH, edit, f"{record.environment}: release {record.commit[:12]} {record.state}")
    return path


def records(mirror: Path, environment: str) -> list[str]:
    """Paths of an environment's records, newest first."""
    if head(mirror, BRANCH) is None:
        return []
    names = git("ls-tree", "-r", "--name-only", f"refs/heads/{BRANCH}", "--", f"{environment}/", cwd=mirror)
    return sorted(names.splitlines(), reverse=True)


def read_record(mirror: Path, path: str) -> ReleaseRecord:
    """One record, read and checked."""
    return ReleaseRecord.model_validate_json(git("show", f"refs/heads/{BRANCH}:{path}", cwd=mirror))


def last_succeeded(mirror: Path, environment: str) -> ReleaseRecord | None:
    """The environment's last release that succeeded; None before the first."""
    for path in records(mirror, environment):
        record = read_record(mirror, path)
        if record.state == "succeeded":
            return record
    return None
