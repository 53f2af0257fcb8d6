"""Waiting for a person to merge what a deploy proposes, where nobody may push to the environment's branch."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Collection
from pathlib import Path

from prefect import get_run_logger, task

from symphony.change import Change
from symphony.config import branch_of
from symphony.errors import DeployError, SymphonyError, TransientError
from symphony.markdown import escape, fence
from symphony.models import Commit
from tasks.artifacts import key_of, markdown
from tasks.desired import file_of, part
from tasks.desired_commit import note_merged, proposal_branch
from tasks.git import delete, git, is_ancestor, remote_head
from tasks.retry import ONCE

_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds between two looks at the remote; the last for all that follow."""


@task(name="wait for merge", task_run_name="wait for the merge into {change.environment}", **ONCE)
def wait_for_merge(change: Change, proposed: Commit, applications: Collection[str], hours: float) -> Commit:
    """Wait until the environment's branch has applications as a commit proposes them, however that was merged.

    Args:
        change: The commit being released.
        proposed: The commit of the proposal.
        applications: Names of those that it moves.
        hours: How long to wait.

    Returns:
        The commit of the environment's branch that brought them.

    Raises:
        DeployError: The proposal's branch was taken away instead, or the time was over; then it is taken away.
        SymphonyError: The remote refuses.
    """
    branch, proposal = branch_of(change.environment), proposal_branch(change)
    present = remote_head(change.mirror, branch)
    if present and is_ancestor(change.mirror, proposed, present):
        return present  # nothing differed, so that nothing was proposed
    names = ", ".join(sorted(applications))
    told = f"The branch {proposal} proposes {names} for {branch}: merge it to deploy, delete it to refuse."
    get_run_logger().info("%s", told)
    commands = f"git fetch origin\ngit diff origin/{branch}...origin/{proposal}"
    page = f"# Proposal for {change.environment}\n\n{escape(told)}\n\n{fence(commands)}"
    markdown(key_of("proposal", change.environment), page)
    deadline = time.monotonic() + hours * 3600
    for pause in itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1])):
        with contextlib.suppress(TransientError):
            open_ = remote_head(change.mirror, proposal) == proposed
            present = remote_head(change.mirror, branch)
            if present and _carries(change.mirror, present, proposed, applications):
                _close(change, proposal)
                merged = _brought_by(change.mirror, present, applications)
                note_merged(change, merged)
                return merged
            if not open_:
                raise DeployError(
                    f"The proposal {proposal} was taken away without being merged into {branch}. "
                    "Nothing that runs was changed."
                )
        if time.monotonic() + pause > deadline:
            _close(change, proposal)
            raise DeployError(f"Nobody merged {proposal} into {branch} within {hours:g} hours; it was taken away.")
        time.sleep(pause)
    raise AssertionError  # the pauses never end


def _carries(mirror: Path, present: Commit, proposed: Commit, applications: Collection[str]) -> bool:
    return all(part(mirror, present, name) == part(mirror, proposed, name) for name in applications)


def _brought_by(mirror: Path, present: Commit, applications: Collection[str]) -> Commit:
    """The last commit of the branch itself that changed any of the applications."""
    paths = [path for name in sorted(applications) for path in (f"charts/{name}", file_of(name))]
    return git("log", "-1", "--first-parent", "-m", "--format=%H", present, "--", *paths, cwd=mirror)


def _close(change: Change, proposal: str) -> None:
    """Take the proposal's branch away, where nobody has done so already."""
    with contextlib.suppress(SymphonyError):
        delete(change.mirror, proposal)
