"""The flow ``release``: a commit, whole, into an environment — provision, build, deploy, smoke, one record."""

from __future__ import annotations

import contextlib
from typing import Any

from prefect import flow, get_run_logger
from prefect.exceptions import Pause
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.build import build_images
from flows.deploy import deploy_images, undo
from flows.names import run_name
from flows.provision import ProvisionError, provision_change
from flows.smoke import smoke_applications
from flows.supply_chain import attached
from symphony.change import Change
from symphony.config import Name
from symphony.errors import SmokeError, SupersededError, SymphonyError
from symphony.models import ReleaseRecord
from tasks.affected import affected_applications, fed_anew
from tasks.approval import ApprovalHours, Consent
from tasks.change import open_change, superseded_by
from tasks.desired import removed_applications
from tasks.lock import locked
from tasks.records import write_record
from tasks.removal import show_removed
from tasks.story import Story


@flow(name="release", flow_run_name=run_name("release"), task_runner=ThreadPoolTaskRunner(max_workers=8))  # type: ignore[arg-type]
def release(environment: Name, commit: str = "main", approved_by: str = "", approval_hours: ApprovalHours = 24) -> Any:
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
        if record is None:
            return Completed(message=f"Nothing that {environment} has differs from {change.commit[:12]}.")
        return Completed(message=f"{change.commit[:12]} is live in {environment} after {record.seconds:.1f} s.")


def release_change(change: Change, *, approved_by: str = "", approval_hours: float = 24) -> ReleaseRecord | None:
    """Take a change through all stages and record what became of it.

    Args:
        change: The commit being released.
        approved_by: Who approves changes to a protected environment beforehand.
        approval_hours: How long to wait for a person's approval.

    Returns:
        The release's record; None where nothing was affected.

    Raises:
        SupersededError: The environment got a newer commit meanwhile.
        SymphonyError: A stage failed; what it had changed in the cluster is undone, and the record says why.
    """
    story = Story(change, Consent(approved_by, approval_hours))
    applications = affected_applications(change)
    story.removed = removed_applications(change)
    if story.removed:
        show_removed(change, story.removed)
    try:
        with story.stage("provision"):
            _provision(story, approved_by, approval_hours)
            applications = tuple(sorted({*applications, *fed_anew(change)}))
        if not (story.units or applications or story.removed):
            get_run_logger().info("Nothing affected since %s: no unit, no application.", (change.base or "")[:12])
            return None
        with contextlib.ExitStack() as beside:
            with story.stage("build"):
                story.images = build_images(change, applications)
                beside.enter_context(attached(change, story.images))
            beside.enter_context(locked(change.environment, [*applications, *story.removed]))
            with story.stage("deploy"):
                story.deployed = deploy_images(change, story.images, story.removed, consent=story.consent)
            with story.stage("smoke"):
                _smoke(story)
    except Pause:
        # Suspended until a person has decided: resumed, the run begins at its top, and tells its story then.
        raise
    except BaseException as error:  # also a cancelled run's: whatever ended it, the record says so
        story.failed(error)
        # A record that cannot be written is a failed task of its own; it must not hide why the release failed.
        with contextlib.suppress(SymphonyError):
            _keep(story)
        raise
    _keep(story)
    return story.record()


def _keep(story: Story) -> None:
    """Leave the story with the run, and in Git."""
    story.tell()
    write_record(story.change.mirror, story.record())


def _provision(story: Story, approved_by: str, approval_hours: float) -> None:
    """Provision, and keep what was applied also where a unit failed."""
    try:
        story.units = provision_change(story.change, approved_by=approved_by, approval_hours=approval_hours)
    except ProvisionError as error:
        story.units = error.results
        raise


def _smoke(story: Story) -> None:
    """Ask every URL; where one fails, the applications of this release go back to what they were."""
    moved = story.deployed.applications if story.deployed else ()
    images = [image for image in story.images if image.application in moved]
    try:
        story.probes = smoke_applications(story.change, images)
    except SmokeError as error:
        put_back = undo(story.change, [image.application for image in images])
        raise SmokeError(f"{error} {put_back}") from error
