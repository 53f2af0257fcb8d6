"""Rolling out by Argo CD: reached, asked to look, and followed until everything is live or will not be."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import get_run_logger, task

from symphony.change import Change
from symphony.errors import SymphonyError
from symphony.models import Commit
from tasks.argocd import access, reach, refresh
from tasks.progress import Progress
from tasks.retry import ONCE, TRANSIENT
from tasks.wait import Outcome as Outcome  # noqa: PLC0414 - what the task returns
from tasks.wait import Wait


class RolloutError(SymphonyError):
    """Some applications did not come up.

    Attributes:
        outcome: What became of each.
    """

    def __init__(self, outcome: Outcome) -> None:
        """Tell the reasons in one sentence."""
        self.outcome = outcome
        super().__init__("; ".join(f"{one.application} did not come up: {one.sentence}" for one in outcome.failed))


@task(name="reach Argo CD", task_run_name="reach Argo CD of {change.environment}", **TRANSIENT)
def reach_argocd(change: Change) -> None:
    """Make sure that the cluster answers and has Argo CD with its ApplicationSet, before anything is written.

    Args:
        change: The commit being released.

    Raises:
        BadInputError: The kubeconfig does not know the environment's context, or Argo CD is not there.
        TransientError: The cluster could not be reached.
    """
    if reach(change.configuration, change.environment):
        get_run_logger().info("Argo CD's project and ApplicationSet for %s were made.", change.environment)


@task(name="refresh Argo CD", task_run_name="refresh Argo CD for {change.environment}", **TRANSIENT)
def refresh_applications(change: Change, applications: Sequence[str], *, whole: bool) -> None:
    """Make Argo CD look at the branch now.

    Args:
        change: The commit being released.
        applications: Applications that were moved.
        whole: Whether applications came or went, so that the ApplicationSet has to look too.

    Raises:
        TransientError: The cluster could not be reached.
        SymphonyError: The cluster refused.
    """
    refresh(change.target, change.environment, applications)
    if whole:
        access(change.target).refresh_set()


@task(name="wait until live", task_run_name="wait until live in {change.environment}", **ONCE)
def wait_until_live(change: Change, commit: Commit, applications: Sequence[str], gone: Sequence[str] = ()) -> Outcome:
    """Watch Argo CD and the pods until every application is live at a commit of the desired state, or cannot be.

    Args:
        change: The commit being released.
        commit: Commit of the desired state.
        applications: Those that the commit moved.
        gone: Those that it took out.

    Returns:
        What became of each.

    Raises:
        RolloutError: Some are not live, for good or when the time was over.
        BadInputError: The kubeconfig does not know the environment's context.
    """
    outcome = Wait(change, commit, tuple(applications), tuple(gone), Progress(change.environment, commit)).run()
    if outcome.failed:
        raise RolloutError(outcome)
    return outcome
