"""The flow ``watch``: new images in ECR, chosen by each application's policy, all moved by one deploy."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from prefect import flow
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from flows.names import run_name
from flows.rollout import deploy_trees
from flows.stages import ask_urls, move_agreed
from flows.supply_chain import kept_out
from symphony.change import Change
from symphony.config import Name
from symphony.models import Image
from symphony.record import ReleaseRecord
from tasks.approval import APPROVAL_HOURS, ApprovalHours, Consent
from tasks.change import open_change
from tasks.desired import image_of
from tasks.failure import show_failure
from tasks.holds import held_sentence
from tasks.manifest_diff import show_trees
from tasks.new_images import Found, Seen, compare, look, show_look
from tasks.other_runs import gather
from tasks.story import Story


@flow(
    name="watch",
    flow_run_name=run_name("watch"),
    task_runner=ThreadPoolTaskRunner(max_workers=8),  # type: ignore[arg-type]
    on_failure=[show_failure],
)
def watch(
    environment: Name,
    commit: str = "main",
    approved_by: Annotated[str, Field(max_length=200)] = "",
    approval_hours: ApprovalHours = APPROVAL_HOURS,
) -> Any:
    """Look for new images of all applications with a watch policy, and deploy those that the policies choose.

    Charts and values stay as the environment has them; a release brings these.

    Args:
        environment: Environment of symphony.yaml.
        commit: Branch, tag or commit whose symphony.yaml has the policies.
        approved_by: Who approves new images in a protected environment beforehand; without it the run waits for a
            person's answer.
        approval_hours: How long it waits for an answer.
    """
    if asking := gather():
        return Completed(message=f"Nothing was looked at: the run {asking} waits for an answer, and looks anew then.")
    with open_change(environment, commit) as change:
        seen = look(change)
        found = compare(change, seen)
        record = bring(change, seen, found, Consent(approved_by, approval_hours))
        left = f" {held_sentence(environment, found.held)}" if found.held else ""
        if record is None or record.deployed is None:
            return Completed(message=f"No image moves in {environment}; {len(found.verdicts)} watched.{left}")
        names = ", ".join(record.deployed.applications)
        return Completed(message=f"{names} moved in {environment} after {record.seconds:.1f} s.{left}")


def bring(change: Change, seen: Seen, found: Found, consent: Consent) -> ReleaseRecord | None:
    """Move all that was found by one commit, ask every URL, and record it.

    Args:
        change: The environment.
        seen: What the policies chose.
        found: What of it moves.
        consent: The approval that a protected environment needs.

    Returns:
        The record; None where nothing moves.

    Raises:
        SymphonyError: It was refused, does not come up, or a URL does not answer; what was there before is back.
    """
    out = kept_out(change, _images(found))
    show_look(change, found, out)
    found = found.only([name for name in found.names if name not in out])
    if not found.entries:
        return None
    change = replace(change, commit=found.entries[0].commit)
    story = Story(change, consent, kind="watch", who="watch", why=found.subject)
    story.left = {**found.held, **out}
    return move_agreed(
        story,
        found,
        agree=functools.partial(_agree, story),
        look=lambda found: compare(change, seen).only(found.names),
        move=functools.partial(_move, story),
    )


def _agree(story: Story, found: Found) -> str:
    """Show what differs in a protected environment, and have it approved: by whom."""
    change = story.change
    if not change.target.protected:
        return ""
    page = show_trees(change, found.entries, found.origin, found.origin).page
    return story.consent.obtain(change, found.hashes, page)


def _move(story: Story, found: Found, approver: str) -> None:
    story.images = _images(found)
    with story.stage("deploy"):
        what = (found.entries, found.origin, found.subject)
        story.deployed = deploy_trees(story.change, *what, approver=approver, hours=story.consent.hours)
    ask_urls(story)


def _images(found: Found) -> tuple[Image, ...]:
    tags: Mapping[str, str] = found.tags
    return tuple(image_of(entry).model_copy(update={"tag": tags[entry.application]}) for entry in found.entries)
