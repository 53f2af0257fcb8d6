"""Other runs of this run's deployment: those that wait to do what this one does, and one that waits for an answer."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import FlowRunContext
from prefect.states import Cancelled

from tasks.retry import ONCE


@task(name="gather", task_run_name="gather runs that wait", **ONCE)
def gather() -> str:
    """Do the work of those runs of this deployment that are due with the same parameters: they are cancelled.

    Call it before anything is looked at; what a cancelled run was started for has happened by then.

    Returns:
        Name of a run of this deployment that waits for a person's answer; empty where none does, and outside a
        deployment. Once it has it, that run looks anew.
    """
    context = FlowRunContext.get()
    mine = context.flow_run if context else None
    if mine is None or mine.deployment_id is None:
        return ""
    with get_client(sync_client=True) as client:
        states = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PAUSED]))
        runs = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=states),
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[mine.deployment_id])),
        )
        others = [run for run in runs if run.id != mine.id]
        if asking := next((run.name for run in others if run.state_type == StateType.PAUSED), ""):
            return asking
        now = datetime.now(UTC)
        for run in others:
            if _due(run, now) and run.parameters == mine.parameters:
                _absorb(client, run, mine)
    return ""


def _due(run: FlowRun, now: datetime) -> bool:
    """Whether a run that never began should have by now; one that is resumed has begun."""
    return run.run_count == 0 and run.expected_start_time is not None and run.expected_start_time <= now


def _absorb(client: SyncPrefectClient, run: FlowRun, mine: FlowRun) -> None:
    client.set_flow_run_state(run.id, Cancelled(message=f"The run {mine.name} does its work."))
