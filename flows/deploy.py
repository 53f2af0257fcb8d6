"""The flow ``deploy``: digests into the desired state, rolled out by Argo CD, and undone where they do not come up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

from prefect import flow
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from flows.build import build_images
from flows.names import run_name
from flows.rollout import come_up, deploy_trees, prove
from flows.supply_chain import admit, attached
from symphony.change import Change
from symphony.config import Name, branch_of
from symphony.errors import HeldError, SupersededError
from symphony.models import Deployed, Digest, Image
from tasks.affected import affected_applications
from tasks.approval import APPROVAL_HOURS, ApprovalHours, Consent
from tasks.change import open_change
from tasks.cluster_drift import look_at_cluster
from tasks.desired import image_by_digest, image_of, laid_out, read_desired, watched_images
from tasks.desired_commit import write_desired
from tasks.failure import show_failure
from tasks.git import head
from tasks.helm import render_charts
from tasks.holds import held_sentence
from tasks.lock import locked
from tasks.manifest_diff import show_changes
from tasks.moving import may_not_move
from tasks.overview import overview_after
from tasks.reconcile import moved_applications
from tasks.rollout import reach_argocd


@flow(
    name="deploy",
    flow_run_name=run_name("deploy"),
    task_runner=ThreadPoolTaskRunner(max_workers=8),  # type: ignore[arg-type]
    on_failure=[show_failure],
)
def deploy(  # noqa: PLR0913 - the fields of the run form
    environment: Name,
    commit: str = "main",
    applications: list[Name] | None = None,
    images: dict[Name, Digest] | None = None,
    *,
    force: bool = False,
    approved_by: Annotated[str, Field(max_length=200)] = "",
    approval_hours: ApprovalHours = APPROVAL_HOURS,
    restore: list[Name] | None = None,
) -> Any:
    """Roll images out with the charts of a commit, and put back what was there where they do not come up or answer.

    Args:
        environment: Environment of symphony.yaml to deploy to.
        commit: Branch, tag or commit id whose charts and values count.
        applications: Applications to deploy; by default those that changed since the environment's last release.
        images: Digests by application; by default the commit's own images, built where ECR has none.
        force: Deploy also where the environment has a newer commit already, and what is held.
        approved_by: Who approves the deploy to a protected environment beforehand; without it the run waits for a
            person's answer to what changes in the manifests.
        approval_hours: How long it waits for an answer.
        restore: Applications whose objects in the cluster are brought back to what the environment's branch has,
            and nothing else; a person is always asked first.
    """
    with open_change(environment, commit) as change, overview_after(change):
        if restore:
            return restore_applications(change, restore, Consent(approved_by, approval_hours, always=True))
        given = tuple(image_by_digest(change, name, digest) for name, digest in (images or {}).items())
        names = () if given else applications or affected_applications(change)
        watched = watched_images(change, names)
        new = [name for name in names if name not in watched]
        built = build_images(change, new) if new else ()
        try:
            with attached(change, built), locked(change.environment, names if watched else ()):
                kept = watched_images(change, [*watched]).values()  # which the watch may have moved meanwhile
                consent = Consent(approved_by, approval_hours)
                deployed = deploy_images(change, given or (*built, *kept), force=force, consent=consent)
        except SupersededError as error:
            return Completed(name="Superseded", message=str(error))
        except HeldError as error:
            return Completed(name="Held", message=str(error))
        if deployed is None:
            return Completed(message=f"Nothing that {environment} has differs from {change.commit[:12]}.")
        prove(change, deployed, given or built, approval_hours)
        left = f" {held_sentence(environment, deployed.held)}" if deployed.held else ""
        return Completed(message=f"{change.commit[:12]} is live in {environment} after {deployed.seconds:.1f} s.{left}")


def deploy_images(
    change: Change,
    images: Sequence[Image],
    removed: Sequence[str] = (),
    *,
    force: bool = False,
    consent: Consent | None = None,
) -> Deployed | None:
    """Write images into the desired state as one commit and wait until Argo CD has them live.

    Applications that do not come up are put back to what they were; those that do stay. One that is held is left alone.

    Args:
        change: The commit being released.
        images: One image an application.
        removed: Applications to take out of the environment.
        force: Deploy also where a newer commit is there, and what is held.
        consent: The approval that a protected environment needs; asked for as the run goes by default.

    Returns:
        What was deployed; None where there was nothing to move.

    Raises:
        BadInputError: An image is not let in, or a chart does not render; nothing has been changed.
        SupersededError: The environment has newer commits of all these applications.
        HeldError: All of them are held.
        DeployError: It was refused, or an application did not come up; the sentence says why and what was put back.
    """
    if not images and not removed:
        return None
    admit(change, images)
    with locked(change.environment, [*(image.application for image in images), *removed]):
        names = [image.application for image in images]
        newer, left = ({}, {}) if force else may_not_move(change, dict.fromkeys(names, change.commit), removed)
        moving = [image for image in images if image.application not in {**newer, **left}]
        reach_argocd(change)
        gone = [name for name in removed if name not in left]
        deployed = _roll_out(change, moving, gone, consent or Consent())
        return deployed.model_copy(update={"superseded": tuple(newer), "held": left})


def restore_applications(change: Change, names: Sequence[str], consent: Consent) -> Any:
    """Bring applications back to what the environment's branch has, where the cluster has moved away from it.

    Args:
        change: Where to; nothing of its commit is deployed.
        names: The applications.
        consent: The approval that it needs.

    Returns:
        The state that the run ends with.

    Raises:
        BadInputError: Nobody has approved, and the run cannot ask.
        DeployError: It was refused, or an application did not come up.
        SmokeError: A URL did not answer as it should.
    """
    with locked(change.environment, names):
        present = read_desired(change.mirror, change.environment)
        desired = {name: present[name] for name in names if name in present}
        moved, page = moved_applications(change, look_at_cluster(change, desired))
        if not moved:
            return Completed(message=f"Nothing of {', '.join(names)} in {change.environment} has moved.")
        approver = consent.obtain(change, moved, page)
        entries = [desired[name] for name in sorted(moved)]
        revision = head(change.mirror, branch_of(change.environment)) or ""
        deployed = deploy_trees(change, entries, revision, "as before", approver=approver, hours=consent.hours)
    prove(change, deployed, [image_of(entry) for entry in entries], consent.hours)
    what = f"{', '.join(deployed.applications)} in {change.environment}"
    return Completed(message=f"{what} is as Git has it again; {approver} approved.")


def _roll_out(change: Change, images: Sequence[Image], removed: Sequence[str], consent: Consent) -> Deployed:
    with laid_out(change, images) as (entries, root):
        namespace = change.target.kubernetes.namespace
        charts = {name: one.chart for name, one in change.configuration.applications.items()}
        rendered = render_charts(entries, root, namespace, charts)
        # Beside the deploy where nobody waits for it; compared with what the branch has before it.
        present = head(change.mirror, branch_of(change.environment))
        changes = show_changes.submit(change, entries, rendered, present, removed)
        approver = ""
        if change.target.protected:
            shown = changes.result()
            approver = consent.obtain(change, shown.changed, shown.page)
        started = time.monotonic()
        written = write_desired(change, entries, root, removed, approver)
    try:
        return come_up(change, written, entries, removed, started, consent.hours)
    finally:
        changes.wait()  # a page that could not be made is a failed task of its own
