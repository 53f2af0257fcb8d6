"""The flow ``promote``: the tree that passed smoke in one environment into the next, nothing rebuilt."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from prefect import flow
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from flows.names import run_name
from flows.rollout import deploy_trees
from flows.stages import ask_urls, move_agreed
from flows.supply_chain import admit
from symphony.change import Change
from symphony.config import Name
from symphony.errors import HeldError, SupersededError
from symphony.record import ReleaseRecord
from tasks.approval import APPROVAL_HOURS, ApprovalHours, Consent
from tasks.change import open_change
from tasks.desired import image_of
from tasks.failure import show_failure
from tasks.holds import held_sentence
from tasks.promotion import Proposal, pin, pinned, propose, show_promotion, source_of
from tasks.removal import show_removed
from tasks.story import Story

Text = Annotated[str, Field(max_length=500)]


@flow(
    name="promote",
    flow_run_name=run_name("promote"),
    task_runner=ThreadPoolTaskRunner(max_workers=8),  # type: ignore[arg-type]
    on_failure=[show_failure],
)
def promote(  # noqa: PLR0913, PLR0917 - the fields of the run form
    environment: Name,
    applications: list[Name] | None = None,
    release: Text = "",
    who: Text = "",
    why: Text = "",
    approved_by: Text = "",
    approval_hours: ApprovalHours = APPROVAL_HOURS,
) -> Any:
    """Move charts and digests that passed their smoke tests in the environment before; nothing is built.

    Args:
        environment: Environment of symphony.yaml to promote to; it comes from the one before it there.
        applications: Applications to promote; all by default.
        release: Name, run or commit of the release to promote; by default the last that passed its smoke tests.
        who: Who asks for it; the record keeps it.
        why: Why; the record keeps it.
        approved_by: Who approves a promotion to a protected environment beforehand; without it the run waits for a
            person's answer.
        approval_hours: How long it waits for an answer.
    """
    with open_change(environment) as change:
        try:
            record = promote_trees(
                change, applications or (), release, who=who, why=why, approved_by=approved_by, hours=approval_hours
            )
        except SupersededError as error:
            return Completed(name="Superseded", message=str(error))
        except HeldError as error:
            return Completed(name="Held", message=str(error))
        if record is None:
            return Completed(message=f"{environment} has everything already; nothing has been changed.")
        left = f" {held_sentence(environment, record.left)}" if record.left else ""
        return Completed(message=f"{record.commit[:12]} is live in {environment} after {record.seconds:.1f} s.{left}")


def promote_trees(  # noqa: PLR0913 - the choices of one run
    change: Change,
    applications: Sequence[str] = (),
    release: str = "",
    *,
    who: str = "",
    why: str = "",
    approved_by: str = "",
    hours: float = APPROVAL_HOURS,
) -> ReleaseRecord | None:
    """Show what differs, ask where that is needed, then move it by one commit and ask every URL.

    Args:
        change: Where to.
        applications: Names; all by default.
        release: The release to promote; the source's last good one by default.
        who: Who asks for it.
        why: Why.
        approved_by: Who approves a promotion to a protected environment beforehand.
        hours: How long to wait for a person's approval.

    Returns:
        The promotion's record; None where everything is there already.

    Raises:
        BadInputError: A gate is shut, an image is not let in, or a chart does not render; nothing has been changed.
        SupersededError: The environment has newer commits.
        HeldError: All that would move is held.
        SymphonyError: It was refused, does not come up, or a URL does not answer; what was there before is back.
    """
    source = source_of(change.configuration, change.environment)
    proposal = propose(change, source, tuple(applications), release or pinned())
    if not proposal.names:
        return None
    change = replace(change, commit=proposal.record.commit)
    story = Story(change, Consent(approved_by, hours), kind="promote", who=who, why=why)
    story.origin = proposal.record
    return move_agreed(
        story,
        proposal,
        agree=functools.partial(_agree, story),
        look=lambda proposal: propose(change, source, tuple(applications), proposal.record.name),
        move=functools.partial(_move, story),
    )


def _agree(story: Story, proposal: Proposal) -> str:
    """Show what differs, let the images in, and have it approved where the environment is protected: by whom."""
    change = story.change
    page = show_promotion(change, proposal)
    if proposal.removed:
        show_removed(change, proposal.removed)
    admit(change, [image_of(entry) for entry in proposal.entries])
    pin(proposal.record.name)
    return story.consent.obtain(change, proposal.hashes, page)


def _move(story: Story, proposal: Proposal, approver: str) -> None:
    change = story.change
    story.images = tuple(map(image_of, proposal.entries))
    story.removed, story.left = proposal.removed, proposal.left
    with story.stage("deploy"):
        subject = f"promote {', '.join(proposal.names)} from {proposal.source}, {proposal.record.name}"
        story.deployed = deploy_trees(
            change,
            proposal.entries,
            proposal.origin,
            subject,
            proposal.removed,
            approver=approver,
            hours=story.consent.hours,
        )
    ask_urls(story)
