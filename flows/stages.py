"""What release, promote, rollback and watch have in common: agreed, moved, every URL asked, and a record of it all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeVar

from prefect.exceptions import Pause

from flows.rollout import prove
from symphony.errors import SymphonyError
from symphony.record import ReleaseRecord
from tasks.lock import locked
from tasks.overview import show_overview
from tasks.records import show_figures, write_record
from tasks.story import Story


class Moving(Protocol):
    """What a run would move."""

    @property
    def names(self) -> tuple[str, ...]:
        """The applications; none where everything is there already."""

    @property
    def hashes(self) -> Mapping[str, str]:
        """By application, a hash of what is there and what would be."""


_Moving = TypeVar("_Moving", bound=Moving)


def move_agreed(
    story: Story,
    moving: _Moving,
    agree: Callable[[_Moving], str],
    look: Callable[[_Moving], _Moving],
    move: Callable[[_Moving, str], None],
) -> ReleaseRecord | None:
    """Agree on what moves, take its locks, look again, and move it where it is still what was agreed on.

    Args:
        story: Is told in the end, however it ended.
        moving: What would move.
        agree: Shows it, and has it approved where that is needed; returns by whom.
        look: Finds what would move now, once the locks are held.
        move: Moves it, given who approved.

    Returns:
        The record; None where nothing moves.

    Raises:
        SymphonyError: It was refused, does not come up, or a URL does not answer; what was there before is back.
    """
    with recorded(story):
        while moving.names:
            approver = agree(moving)
            with locked(story.change.environment, moving.names):
                agreed, moving = moving, look(moving)
                if moving.hashes == agreed.hashes:
                    move(moving, approver)
                    return story.record()
            # Somebody moved the environment meanwhile: what would move now is shown, and asked about, anew.
    return None


@contextlib.contextmanager
def recorded(story: Story) -> Iterator[None]:
    """Tell the story in the end, however the body ended; one in which nothing happened is not told.

    Raises:
        SymphonyError: The record could not be written.
    """
    try:
        yield
    except Pause:
        # Suspended until a person has decided: resumed, the run begins at its top, and tells its story then.
        raise
    except BaseException as error:  # also a cancelled run's: whatever ended it, the record says so
        story.failed(error)
        # A record that cannot be written is a failed task of its own; it must not hide why the run failed.
        with contextlib.suppress(SymphonyError):
            _keep(story)
        raise
    if story.eventful:
        _keep(story)


def ask_urls(story: Story) -> None:
    """Ask every URL of what was deployed; where one fails, the applications go back to what they were.

    Args:
        story: Tells what was deployed, and is told the answers.

    Raises:
        SmokeError: A URL did not answer as it should; the sentence says what was put back.
        DeployError: What was put back does not come up either.
    """
    with story.stage("smoke"):
        if story.deployed:
            story.probes = prove(story.change, story.deployed, story.images, story.consent.hours)


def _keep(story: Story) -> None:
    """Leave the story with the run, and in Git."""
    story.tell()
    write_record(story.change.mirror, story.record())
    show_figures(story.change.mirror, story.change.environment)
    show_overview(story.change)
