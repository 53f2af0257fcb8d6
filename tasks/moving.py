"""Whether applications may move: an older commit never overtakes a newer one, and what is held stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from symphony.change import Change
from symphony.errors import HeldError, SupersededError
from symphony.models import Commit
from tasks.desired import superseding
from tasks.holds import held, held_sentence


def may_not_move(
    change: Change, commits: Mapping[str, Commit], removed: Sequence[str] = ()
) -> tuple[dict[str, Commit], dict[str, str]]:
    """Applications that must stay: those with a newer commit, and which; those that are held, and why.

    Args:
        change: Where to.
        commits: The commit that each application would get.
        removed: Applications that would be taken out.

    Raises:
        SupersededError: Nothing may move, since there are newer commits.
        HeldError: Nothing may move, since some are held.
        TransientError: The remote could not be reached.
    """
    newer = superseding(change, commits)
    left = held(change, [*commits, *removed])
    if {*commits, *removed} - {*newer, *left}:
        return newer, left
    if left:
        raise HeldError(held_sentence(change.environment, left))
    raise SupersededError(
        f"{change.commit[:12]} was superseded: {change.environment} has newer commits already ({newer_told(newer)}); "
        "nothing has been changed. To go back, use a rollback, or deploy with force.",
        next(iter(newer.values())),
    )


def newer_told(newer: Mapping[str, Commit]) -> str:
    """Which applications have which newer commits, as a part of a sentence."""
    return ", ".join(f"{name} at {commit[:12]}" for name, commit in sorted(newer.items()))
