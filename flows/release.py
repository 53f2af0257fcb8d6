"""The flow ``release``: a commit, whole, into an environment — provision, build, deploy, smoke, one record."""

from __future__ import annotations

import contextlib
from typing import Any

from prefect import flow, get_run_logger
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.build import build_images
from flows.deploy import deploy_images
from flows.names import named, run_name
from flows.provision import ProvisionError, provision_change
from flows.stages import ask_urls, recorded
from flows.supply_chain import attached
from symphony.change import Change
from symphony.config import Name
from symphony.errors import HeldError, SupersededError
from symphony.record import ReleaseRecord
from tasks.affected import affected_applications, fed_anew
from tasks.approval import APPROVAL_HOURS, ApprovalHours, Consent
from tasks.change import open_change, superseded_by
from tasks.desired import removed_applications, watched_images
from tasks.failure import show_failure
from tasks.holds import held, held_sentence
from tasks.lock import locked
from tasks.naming import rename
from tasks.removal import show_removed
from tasks.story import Story


@flow(
    name="release",
    flow_run_name=run_name("release"),
    task_runner=ThreadPoolTaskRunner(max_workers=8),  # type: ignore[arg-type]
    on_failure=[show_failure],
)
def release(
    environment: Name, commit: str = "main", approved_by: str = "", approval_hours: ApprovalHours = APPROVAL_HOURS
) -> Any:
    """Bring a commit live: provision what it needs, build its images, deploy them, and ask every URL.

    Only what changed since the environment's last release that succeeded is touched.

    Args:
        environment: Environment of symphony.yaml to release to.
        commit: Branch, tag or commit id to release.
        approved_by: Who approves the changes to a protected environment beforehand; without it the run waits for a
            person's answer to each layer of plans, and to what changes in the manifests.
        approval_hours: How long it waits for an answer.
    """
    with open_change(environment, commit) as change:
        if newer := superseded_by(change):
            return Completed(name="Superseded", message=f"{environment} has the newer commit {newer[:12]} already.")
        try:
            record = release_change(change, approved_by=approved_by, approval_hours=approval_hours)
        except SupersededError as error:
            return Completed(name="Superseded", message=str(error))
        except HeldError as error:
            return Completed(name="Held", message=str(error))
        if record is None:
            return Completed(message=f"Nothing that {environment} has differs from {change.commit[:12]}.")
        left = f" {held_sentence(environment, record.left)}" if record.left else ""
        return Completed(message=f"{change.commit[:12]} is live in {environment} after {record.seconds:.1f} s.{left}")


def release_change(
    change: Change, *, approved_by: str = "", approval_hours: float = APPROVAL_HOURS
) -> ReleaseRecord | None:
    """Take a change through all stages and record what became of it.

    Args:
        change: The commit being released.
        approved_by: Who approves changes to a protected environment beforehand.
        approval_hours: How long to wait for a person's approval.

    Returns:
        The release's record; None where nothing was affected.

    Raises:
        SupersededError: The environment got a newer commit meanwhile.
        HeldError: All that would move is held where it is.
        SymphonyError: A stage failed; what it had changed in the cluster is undone, and the record says why.
    """
    story = Story(change, Consent(approved_by, approval_hours))
    affected, removed = affected_applications(change), removed_applications(change)
    story.left = held(change, [*affected, *removed])
    applications = [name for name in affected if name not in story.left]
    story.removed = tuple(name for name in removed if name not in story.left)
    if story.removed:
        show_removed(change, story.removed)
    with recorded(story):
        with story.stage("provision"):
            _provision(story, approved_by, approval_hours)
            fed = fed_anew(change)
            story.left |= held(change, fed)
            applications = sorted({*applications, *fed} - story.left.keys())
        if not (story.units or applications or story.removed):
            if story.left:
                raise HeldError(held_sentence(change.environment, story.left))
            get_run_logger().info("Nothing affected since %s: no unit, no application.", (change.base or "")[:12])
            return None
        if moving := [*applications, *story.removed]:
            rename(named("release", {"environment": change.environment, "commit": change.commit}, moving))
        with contextlib.ExitStack() as beside:
            with story.stage("build"):
                watched = watched_images(change, applications)
                built = story.images = build_images(change, [name for name in applications if name not in watched])
                beside.enter_context(attached(change, built))
            beside.enter_context(locked(change.environment, [*applications, *story.removed]))
            story.images = (*built, *watched_images(change, [*watched]).values())
            with story.stage("deploy"):
                story.deployed = deploy_images(change, story.images, story.removed, consent=story.consent)
                story.left |= story.deployed.held if story.deployed else {}
            ask_urls(story)
    return story.record()


def _provision(story: Story, approved_by: str, approval_hours: float) -> None:
    """Provision, and keep what was applied also where a unit failed."""
    try:
        story.units = provision_change(story.change, approved_by=approved_by, approval_hours=approval_hours, later=True)
    except ProvisionError as error:
        story.units = error.results
        raise
