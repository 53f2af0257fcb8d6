"""Bringing a commit of the desired state live: waited for, its URLs asked, and put back where that fails."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Sequence

from flows.smoke import smoke_applications
from symphony.change import Change
from symphony.errors import DeployError, SmokeError, SymphonyError
from symphony.models import Commit, Deployed, Desired, Image, Probe
from tasks.approval import APPROVAL_HOURS
from tasks.desired_commit import before_commit, bring_trees, put_back, written_by
from tasks.lock import locked
from tasks.proposal import wait_for_merge
from tasks.rollout import Outcome, RolloutError, reach_argocd, refresh_applications, wait_until_live
from tasks.rollout_report import failure, not_put_back_sentence, put_back_sentence, report_deploy, report_failure


def deploy_trees(  # noqa: PLR0913 - what the commit has and says, and who let it pass
    change: Change,
    entries: Sequence[Desired],
    origin: Commit,
    subject: str,
    removed: Sequence[str] = (),
    *,
    approver: str = "",
    hours: float = APPROVAL_HOURS,
) -> Deployed:
    """Bring applications as another commit of a desired state has them, and wait until Argo CD has them live.

    The locks of the applications are held by the caller; whether they may move, it has asked.

    Args:
        change: Where to.
        entries: What the environment's branch shall say about each application.
        origin: The commit that has their charts.
        subject: What the commit's message says is done.
        removed: Applications to take out of the environment.
        approver: Who approved it; empty where nobody had to.
        hours: How long to wait for a person who has to merge it.

    Returns:
        What was deployed.

    Raises:
        DeployError: An application did not come up; the sentence says why and what was put back.
    """
    reach_argocd(change)
    started = time.monotonic()
    written = bring_trees(change, entries, origin, subject, removed, approver)
    return come_up(change, written, entries, removed, started, hours)


def come_up(  # noqa: PLR0913, PLR0917 - what was written, and since when
    change: Change, written: Commit, entries: Sequence[Desired], removed: Sequence[str], started: float, hours: float
) -> Deployed:
    """Wait until a commit of the desired state is live, and put back what does not come up.

    Args:
        change: The commit being released.
        written: The commit that was written; somebody may have to merge it first.
        entries: What it says about each application that it moves.
        removed: Applications that it takes out.
        started: When this began, by the monotonic clock.
        hours: How long to wait for a person who has to merge it.

    Returns:
        What was deployed.

    Raises:
        DeployError: An application did not come up; the sentence says why and what was put back.
    """
    names = [entry.application for entry in entries]
    commit = _merged(change, written, [*names, *removed], hours)
    outcome = _wait(change, commit, names, removed)
    if outcome.live:
        report_deploy(change, commit, entries, outcome.live)
    if outcome.failed:
        report_failure(change, commit, outcome.failed)
        raise DeployError(failure(change, outcome.failed, _undone(change, outcome, hours)))
    return Deployed(
        environment=change.environment,
        commit=commit,
        revision=next((one.revision for one in outcome.live if one.revision), commit),
        applications=(*names, *removed),
        seconds=round(time.monotonic() - started, 3),
    )


def prove(change: Change, deployed: Deployed, images: Sequence[Image], hours: float) -> tuple[Probe, ...]:
    """Ask every URL of what was deployed; where one fails, the applications go back to what they were.

    Args:
        change: The commit being released.
        deployed: What was deployed.
        images: Images among which those of it are.
        hours: How long to wait for a person who has to merge what is put back.

    Returns:
        One probe a URL.

    Raises:
        SmokeError: A URL did not answer as it should; the sentence says what was put back.
        DeployError: What was put back does not come up either.
    """
    moved = [image for image in images if image.application in deployed.applications]
    try:
        return smoke_applications(change, moved)
    except SmokeError as error:
        put_back = undo(change, [image.application for image in moved], hours)
        raise SmokeError(f"{error} {put_back}") from error


def undo(change: Change, applications: Collection[str], hours: float = APPROVAL_HOURS) -> str:
    """Put applications back to what they were before this run's deploy, and wait until that is live.

    Args:
        change: The commit that was being released.
        applications: Names of those to put back.
        hours: How long to wait for a person who has to merge that.

    Returns:
        A sentence on what was put back.

    Raises:
        DeployError: What was put back does not come up either.
    """
    with locked(change.environment, applications):
        written = written_by(change)
        if written is None or not applications:
            return "Nothing was put back, since this run had changed nothing."
        before = before_commit(change, written, applications)
        stay = [name for name, entry in before.items() if entry]
        leave = [name for name, entry in before.items() if not entry]
        commit = _merged(change, put_back(change, written, applications), applications, hours)
        outcome = _wait(change, commit, stay, leave)
        if outcome.failed:
            report_failure(change, commit, outcome.failed)
            raise DeployError(not_put_back_sentence(change.environment, outcome.failed))
        return put_back_sentence(before)


def _merged(change: Change, written: Commit, names: Collection[str], hours: float) -> Commit:
    """The commit of the environment's branch that has what was written; somebody may have to merge it first."""
    return wait_for_merge(change, written, names, hours) if change.target.proposals else written


def _wait(change: Change, commit: Commit, names: Sequence[str], gone: Sequence[str]) -> Outcome:
    with contextlib.suppress(SymphonyError):  # the wait asks again, and tells what is wrong
        refresh_applications(change, names, whole=True)
    try:
        return wait_until_live(change, commit, names, gone)
    except RolloutError as error:  # the failed task run is the one to look at; what follows is the undo
        return error.outcome


def _undone(change: Change, outcome: Outcome, hours: float) -> str:
    """What became of the undo, as a sentence; one that fails too must not hide why the deploy did."""
    try:
        return undo(change, [one.application for one in outcome.failed], hours)
    except DeployError as error:
        return str(error)
    except SymphonyError as error:
        return f"PUTTING BACK FAILED, and {change.environment} needs a person now: {error}"
