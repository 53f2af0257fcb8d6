"""Which release an environment goes back to, and which applications that moves."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from prefect import task

from symphony.change import Change
from symphony.config import branch_of
from symphony.errors import BadInputError, SupersededError
from symphony.models import Commit, Desired
from symphony.record import Hold, ReleaseRecord
from tasks.desired import entries_at, parts, read_desired
from tasks.git import fetch, head
from tasks.holds import read_holds
from tasks.records import find_record, newest
from tasks.retry import TRANSIENT

_CONSIDERED = 200
"""Records looked at for a release to go back to."""
Parts = Mapping[tuple[str, str], tuple[str, ...]]


@dataclass(frozen=True)
class Goal:
    """Where a rollback goes.

    Attributes:
        record: The release gone back to.
        origin: Its commit of the desired state.
        present: Commit of the desired state that it was chosen at.
        entries: What the desired state shall say about the applications that move.
        undoes: Name of the record that each of them leaves, where one is known.
    """

    record: ReleaseRecord
    origin: Commit
    present: Commit
    entries: tuple[Desired, ...]
    undoes: dict[str, str]

    @property
    def applications(self) -> tuple[str, ...]:
        """Names of the applications that move."""
        return tuple(entry.application for entry in self.entries)


@task(name="find release", task_run_name="find release of {change.environment} to go back to", **TRANSIENT)
def find_goal(change: Change, applications: Sequence[str], release: str) -> Goal:
    """Find the release to go back to: a named one, or the last that passed its smoke tests before the present one.

    A rollback that was begun and did not end is gone on with, so that starting it again goes no further step back.
    A release that was rolled back is never chosen by itself.

    Args:
        change: The environment.
        applications: Names of those that go back; all that the environment has by default.
        release: Name, run or commit of a release; empty for the last good one.

    Returns:
        The release, and the applications that it had otherwise than they are.

    Raises:
        BadInputError: There is no such release, it did not pass, or it has none of the applications.
    """
    mirror, environment = change.mirror, change.environment
    there = read_desired(mirror, environment)
    present = head(mirror, branch_of(environment)) or ""
    names = tuple(applications) or tuple(sorted(there))
    history = [one for one in itertools.islice(newest(mirror, environment), _CONSIDERED) if one.passed]
    begun = {} if release else _begun(change, history, names)
    named = release or next((hold.release for hold in begun.values()), "")
    record = find_record(mirror, named, environment) if named else None
    states = {present, *map(_state, history), *([_state(record)] if record else [])}
    known = parts(mirror, [(at, name) for at in states if at for name in names])
    record = record or _before(history, known, names, present)
    if record is None or not record.passed:
        what = (
            f"The release {record.name} of {environment} has not"
            if record
            else f"No earlier release of {environment} has"
        )
        raise BadInputError(f"{what} passed its smoke tests; name one that did: `symphony history` lists them.")
    origin = _state(record)
    entries = entries_at(mirror, origin, names)
    if missing := sorted(set(applications) - entries.keys()):
        raise BadInputError(f"The release {record.name} of {environment} has no {', '.join(missing)}.")
    moving = list(begun) or [name for name in entries if _differs(known, name, origin, present)]
    leaves = {name: begun[name].leaves if begun else _moved_by(history, known, name, present) for name in moving}
    undoes = {name: left for name, left in leaves.items() if left}
    return Goal(record, origin, present, tuple(entries[name] for name in moving), undoes)


@task(name="check that nothing moved", task_run_name="check that nothing moved in {change.environment}", **TRANSIENT)
def check_unmoved(change: Change, goal: Goal) -> None:
    """Check, with the locks held, that nobody moved the applications since the goal was chosen.

    Args:
        change: The environment.
        goal: Where the rollback goes; applications that are there already may have moved.

    Raises:
        SupersededError: Somebody did; what is there now may not be what was to be left.
        TransientError: The remote could not be reached.
    """
    fetch(change.configuration.git.remote)
    now = head(change.mirror, branch_of(change.environment)) or ""
    known = parts(change.mirror, [(at, name) for at in (now, goal.present, goal.origin) for name in goal.applications])
    moved = [
        name
        for name in goal.applications
        if _differs(known, name, now, goal.present) and _differs(known, name, now, goal.origin)
    ]
    if moved:
        raise SupersededError(
            f"{', '.join(moved)} was moved in {change.environment} while the rollback waited (desired state "
            f"{now[:12]}), so nothing has been changed; look at what is there, then roll back again.",
            now,
        )


def _begun(change: Change, history: Sequence[ReleaseRecord], names: Collection[str]) -> dict[str, Hold]:
    """Holds of a rollback that put them and never ended well, by application; empty where there is none."""
    ended = {one.run for one in history if one.kind == "rollback"}
    holds = read_holds(change.mirror, change.environment)
    found = {name: one for name, one in holds.items() if one.run and one.run not in ended and name in names}
    run = next((one.run for one in found.values()), "")
    return {name: one for name, one in found.items() if one.run == run}


def _before(
    history: Sequence[ReleaseRecord], known: Parts, names: Collection[str], present: Commit
) -> ReleaseRecord | None:
    """The newest release before the present one that has an application otherwise, and none that was rolled back."""
    by_name = {one.name: one for one in history}
    bad = {
        (name, known[_state(by_name[left]), name])
        for one in history
        for name, left in one.undoes.items()
        if name in names and left in by_name
    }
    moves = [one for one in history if one.kind != "rollback"]
    there = [
        at for at, one in enumerate(moves) if not any(_differs(known, name, _state(one), present) for name in names)
    ]
    for one in moves[there[0] + 1 if there else 0 :]:
        state = _state(one)
        if any((name, known[state, name]) in bad for name in names):
            continue
        if any(known[state, name] and _differs(known, name, state, present) for name in names):
            return one
    return None


def _moved_by(history: Sequence[ReleaseRecord], known: Parts, name: str, present: Commit) -> str:
    """Name of the release that brought what an application is now; empty where none did."""
    for one in history:
        moved = one.kind != "rollback" and one.deployed and name in one.deployed.applications
        if moved and not _differs(known, name, _state(one), present):
            return one.name
    return ""


def _differs(known: Parts, name: str, one: Commit, other: Commit) -> bool:
    return known.get((one, name)) != known.get((other, name))


def _state(record: ReleaseRecord) -> Commit:
    """The commit of the desired state that a record's run deployed."""
    return record.deployed.commit if record.deployed else ""
