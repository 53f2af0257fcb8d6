"""What release, promote and rollback have in common: every URL asked, else all put back, and a record in the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from prefect.exceptions import Pause

from flows.deploy import prove
from symphony.errors import SymphonyError
from tasks.overview import show_overview
from tasks.records import show_figures, write_record
from tasks.story import Story


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
