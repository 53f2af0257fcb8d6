"""Opening a change: what a flow needs to know before it does anything."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from prefect import task
from prefect.context import FlowRunContext

from symphony.change import Change
from symphony.config import Configuration, configured, load
from symphony.errors import BadInputError
from symphony.models import Commit
from tasks.git import changed, fetch, is_ancestor, resolve, worktree
from tasks.prefect_server import wait_where_away
from tasks.records import last_passed, last_succeeded
from tasks.retry import ONCE, TRANSIENT


def here() -> Configuration:
    """``symphony.yaml`` as this machine has it: where the Git remote is, before a commit of it is known.

    Raises:
        BadInputError: It is missing or wrong.
    """
    return load(configured())


@contextlib.contextmanager
def open_change(environment: str, ref: str = "main", *, since: str | None = None) -> Iterator[Change]:
    """Fetch the remote, check the commit out, and find what changed since the last release that succeeded.

    Args:
        environment: Name in ``symphony.yaml``.
        ref: Branch, tag or commit id; empty for the commit that went live in the environment last.
        since: Compare with this commit instead of the last release.

    Raises:
        BadInputError: Unknown environment or commit, or a ``symphony.yaml`` that is wrong.
        TransientError: The Git remote could not be reached.
    """
    context = FlowRunContext.get()
    if context:
        wait_where_away()
    # Copies: Prefect draws a line from a task to each that takes its very result, and every task takes these.
    mirror, commit = _copied(find_commit(here().git.remote, ref, environment))
    with worktree(mirror, commit) as tree:
        configuration = read_configuration(tree, environment).model_copy(deep=True)
        last = last_succeeded(mirror, environment)
        base = resolve(mirror, since) if since else last.commit if last else None
        yield Change(
            configuration=configuration,
            environment=environment,
            commit=commit,
            base=base,
            tree=tree,
            mirror=mirror,
            run=str(context.flow_run.id) if context and context.flow_run else "",
            changed=changed(mirror, base, commit) if base else None,
        )


@contextlib.contextmanager
def as_released(change: Change) -> Iterator[Change]:
    """The environment at the commit that was released to it last; as it is where that is this one, or none was.

    Args:
        change: The environment, at any commit.
    """
    if change.base in {None, change.commit}:
        yield change
        return
    with worktree(change.mirror, change.base) as tree:
        yield dataclasses.replace(change, commit=change.base, tree=tree, changed=())


@task(name="find commit", task_run_name="find {ref:.12}", **TRANSIENT)
def find_commit(remote: str, ref: str, environment: str) -> tuple[Path, Commit]:
    """Bring the mirror up to date and find a commit in it.

    Args:
        remote: URL of the Git remote.
        ref: Branch, tag or commit id; empty for the commit that went live in the environment last.
        environment: The environment.

    Returns:
        The mirror, and the full id of the commit.

    Raises:
        BadInputError: No such commit.
        TransientError: The remote could not be reached.
    """
    mirror = fetch(remote)
    if ref:
        return mirror, resolve(mirror, ref)
    if last := last_passed(mirror, environment):
        return mirror, last.commit
    raise BadInputError(
        f"Nothing has gone live in {environment!r} yet that passed its smoke tests; release to it first."
    )


@task(name="read symphony.yaml", task_run_name="read symphony.yaml", **ONCE)
def read_configuration(tree: Path, environment: str) -> Configuration:
    """Read a checkout's ``symphony.yaml``, which must have the environment.

    Args:
        tree: The checkout.
        environment: Name of the environment.

    Raises:
        BadInputError: The file is wrong, or has no such environment.
    """
    configuration = load(tree / "symphony.yaml")
    if environment not in configuration.environments:
        known = ", ".join(configuration.environments)
        raise BadInputError(f"The environment {environment!r} is not in symphony.yaml; there are: {known}.")
    return configuration


def superseded_by(change: Change) -> Commit | None:
    """The newer commit that the environment was released to already; None where this one is the newest.

    An older commit never overtakes a newer one; going back is what a rollback is for.
    """
    if change.base and change.base != change.commit and is_ancestor(change.mirror, change.commit, change.base):
        return change.base
    return None


def _copied(found: tuple[Path, Commit]) -> tuple[Path, Commit]:
    return Path(str(found[0])), bytes(found[1], "ascii").decode()
