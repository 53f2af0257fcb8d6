"""Opening a change: what a flow needs to know before it does anything."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from prefect.context import FlowRunContext

from symphony.change import Change
from symphony.config import load
from symphony.errors import BadInputError
from symphony.models import Commit
from tasks.git import changed, fetch, is_ancestor, resolve, worktree
from tasks.records import last_succeeded


@contextlib.contextmanager
def open_change(environment: str, ref: str = "main", *, since: str | None = None) -> Iterator[Change]:
    """Fetch the remote, check the commit out, and find what changed since the last release that succeeded.

    Args:
        environment: Name in ``symphony.yaml``.
        ref: Branch, tag or commit id.
        since: Compare with this commit instead of the last release.

    Raises:
        BadInputError: Unknown environment or commit, or a ``symphony.yaml`` that is wrong.
        TransientError: The Git remote could not be reached.
    """
    here = load(Path(os.environ.get("SYMPHONY_CONFIG") or "symphony.yaml"))
    mirror = fetch(here.git.remote)
    commit = resolve(mirror, ref)
    with worktree(mirror, commit) as tree:
        configuration = load(tree / "symphony.yaml")
        if environment not in configuration.environments:
            known = ", ".join(configuration.environments)
            raise BadInputError(f"The environment {environment!r} is not in symphony.yaml; there are: {known}.")
        last = last_succeeded(mirror, environment)
        base = resolve(mirror, since) if since else last.commit if last else None
        context = FlowRunContext.get()
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


def superseded_by(change: Change) -> Commit | None:
    """The newer commit that the environment was released to already; None where this one is the newest.

    An older commit never overtakes a newer one; going back is what a rollback is for.
    """
    if change.base and change.base != change.commit and is_ancestor(change.mirror, change.commit, change.base):
        return change.base
    return None
