"""Release records: one JSON file a release, on a branch of the Git remote that outlives Prefect's own history."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from pydantic import ValidationError

from symphony.errors import BadInputError, SymphonyError
from symphony.figures import figures
from symphony.record import ReleaseRecord
from tasks.artifacts import key_of, table
from tasks.git import contents, git, head
from tasks.publish import Index, publish
from tasks.retry import ONCE, TRANSIENT

BRANCH = "symphony/records"
_RECORD = re.compile(r"[\w-]+/[\w.+]+-[0-9a-f]+-[\w-]+\.json")
_PAGE = 50
_CONSIDERED = 1000
"""Records that figures are counted from."""


@task(name="record release", task_run_name="record {record.kind} of {record.environment}", **TRANSIENT)
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
    path = f"{record.environment}/{record.name}.json"

    def edit(index: Index) -> None:
        index.put(path, record.model_dump_json(indent=2) + "\n")

    publish(mirror, BRANCH, edit, f"{record.environment}: {record.kind} {record.commit[:12]} {record.state}")
    return path


@task(name="show figures", task_run_name="show figures of {environment}", **ONCE)
def show_figures(mirror: Path, environment: str) -> None:
    """Leave the environment's four DORA figures of the last 30 days with the run.

    Args:
        mirror: Bare mirror of the remote.
        environment: The environment.

    Raises:
        SymphonyError: A record cannot be read.
    """
    found = figures(itertools.islice(newest(mirror, environment), _CONSIDERED), environment, datetime.now(UTC))
    table(key_of("figures", environment), f"Delivery to {environment} in {found.days:g} days", found.rows)


def records(mirror: Path, environment: str = "") -> list[str]:
    """Paths of an environment's records (of all by default), newest first."""
    if head(mirror, BRANCH) is None:
        return []
    where = ["--", f"{environment}/"] if environment else []
    names = git("ls-tree", "-r", "-z", "--name-only", f"refs/heads/{BRANCH}", *where, cwd=mirror).split("\0")
    # What somebody else put there, such as a page that explains the branch, is none.
    return sorted(filter(_RECORD.fullmatch, names), key=lambda path: Path(path).name, reverse=True)


def newest(mirror: Path, environment: str = "") -> Iterator[ReleaseRecord]:
    """An environment's records (all records by default), newest first, read as far as they are asked for.

    Raises:
        SymphonyError: One of them cannot be read.
    """
    paths = records(mirror, environment)
    for begin in range(0, len(paths), _PAGE):
        page = paths[begin : begin + _PAGE]
        texts = contents(mirror, (f"refs/heads/{BRANCH}:{path}" for path in page))
        yield from map(_parsed, page, texts.values())


def read_record(mirror: Path, path: str) -> ReleaseRecord:
    """One record, read and checked.

    Raises:
        SymphonyError: It cannot be read.
    """
    return _parsed(path, git("show", f"refs/heads/{BRANCH}:{path}", cwd=mirror))


def find_record(mirror: Path, named: str, environment: str = "") -> ReleaseRecord:
    """The newest record that somebody names by its name, by (the beginning of) its run's id or of its commit.

    Raises:
        BadInputError: There is none.
        SymphonyError: It cannot be read.
    """
    wanted = named.removesuffix(".json").rpartition("/")[2]
    for path in records(mirror, environment) if wanted else ():
        stem = Path(path).name.removesuffix(".json")
        _, commit, run = stem.split("-", 2)
        # A file's name has only the beginnings of both; the record itself tells whether the whole fits.
        if stem == wanted or commit.startswith(wanted[: len(commit)]) or run.startswith(wanted[: len(run)]):
            record = read_record(mirror, path)
            if stem == wanted or record.commit.startswith(wanted) or record.run.startswith(wanted):
                return record
    where = f" of {environment}" if environment else ""
    raise BadInputError(
        f"No release{where} is called {named!r}; `symphony history` lists them: name one by its run or its commit."
    )


def last_succeeded(mirror: Path, environment: str) -> ReleaseRecord | None:
    """The environment's last release that succeeded; None before the first. Promotions bring no infrastructure."""
    every = newest(mirror, environment)
    return next((one for one in every if one.kind == "release" and one.state == "succeeded"), None)


def last_passed(mirror: Path, environment: str) -> ReleaseRecord | None:
    """What went live in the environment last and passed its smoke tests, whichever way; None before the first."""
    return next((one for one in newest(mirror, environment) if one.passed), None)


def _parsed(path: str, text: str) -> ReleaseRecord:
    try:
        return ReleaseRecord.model_validate_json(text)
    except ValidationError as error:
        raise SymphonyError(
            f"The release record {path} on {BRANCH} is not of a schema that this Symphony knows: "
            f"{error.errors()[0]['msg']}; bring Symphony up to date."
        ) from error
