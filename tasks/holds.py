"""Holds: what keeps an application where it was rolled back to, on a branch of the Git remote, until it is lifted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from prefect import task
from pydantic import ValidationError

from symphony.change import Change
from symphony.errors import SymphonyError
from symphony.record import Hold
from tasks.git import contents, git, head
from tasks.publish import Index, publish
from tasks.retry import TRANSIENT

BRANCH = "symphony/holds"


@task(name="hold", task_run_name="hold in {environment}", **TRANSIENT)
def place_holds(mirror: Path, environment: str, holds: Sequence[Hold]) -> None:
    """Hold applications where they are; a hold that is there already gives way.

    Args:
        mirror: Bare mirror of the remote.
        environment: Their environment.
        holds: One an application.

    Raises:
        TransientError: The remote could not be reached.
    """

    def edit(index: Index) -> None:
        for hold in holds:
            index.put(_file(environment, hold.application), hold.model_dump_json(indent=2) + "\n")

    names = ", ".join(hold.application for hold in holds)
    whose = holds[0].who if holds else ""
    publish(mirror, BRANCH, edit, f"{environment}: hold {names}\n\nSymphony-By: {' '.join(whose.split())}\n")


@task(name="lift", task_run_name="lift holds in {environment}", **TRANSIENT)
def lift_holds(mirror: Path, environment: str, applications: Collection[str], who: str) -> tuple[str, ...]:
    """Take holds off; what is not held is passed over.

    Args:
        mirror: Bare mirror of the remote.
        environment: The environment.
        applications: Names; all that are held by default.
        who: Who lifts them.

    Returns:
        The applications that were held.

    Raises:
        TransientError: The remote could not be reached.
    """
    lifted: set[str] = set()

    def edit(index: Index) -> None:
        lifted.clear()
        lifted.update(name for name in read_holds(mirror, environment) if not applications or name in applications)
        for name in lifted:
            index.remove(_file(environment, name))

    if head(mirror, BRANCH):
        publish(mirror, BRANCH, edit, f"{environment}: lift\n\nSymphony-By: {' '.join(who.split())}\n")
    return tuple(sorted(lifted))


def read_holds(mirror: Path, environment: str) -> dict[str, Hold]:
    """Every application of an environment that is held, by name.

    Raises:
        SymphonyError: A hold cannot be read.
    """
    if head(mirror, BRANCH) is None:
        return {}
    at = f"refs/heads/{BRANCH}"
    names = git("ls-tree", "-r", "-z", "--name-only", at, "--", f"{environment}/", cwd=mirror).split("\0")
    paths = [name for name in names if name.endswith(".json") and name.isprintable()]
    try:
        found = [Hold.model_validate_json(one) for one in contents(mirror, [f"{at}:{path}" for path in paths]).values()]
    except ValidationError as error:
        said = error.errors()[0]["msg"]
        raise SymphonyError(
            f"A hold of {environment} on {BRANCH} is not what Symphony writes: {said}; remove it there."
        ) from error
    return {hold.application: hold for hold in found}


def held(change: Change, applications: Collection[str]) -> dict[str, str]:
    """Those of the applications that are held in the change's environment, and why, as the mirror has it."""
    return {
        name: str(hold) for name, hold in read_holds(change.mirror, change.environment).items() if name in applications
    }


def held_sentence(environment: str, left: Mapping[str, str]) -> str:
    """Which applications were left alone, and what to do."""
    told = "; ".join(f"{name} ({why})" for name, why in sorted(left.items()))
    return f"Left as it is in {environment}: {told}. `symphony lift` takes a hold off."


def _file(environment: str, application: str) -> str:
    return f"{environment}/{application}.json"
