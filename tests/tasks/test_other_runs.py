"""Runs of one deployment, on a real Prefect server of the test session's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.context import FlowRunContext
from prefect.states import Paused, Scheduled, State

from tasks import other_runs
from tasks.other_runs import gather


@flow
def asked(environment: str) -> str:
    del environment
    return gather()


@pytest.fixture
def client(prefect: None) -> SyncPrefectClient:
    del prefect
    return get_client(sync_client=True)


def deployment(client: SyncPrefectClient) -> UUID:
    flow_id = client.create_flow(asked)
    return client.create_deployment(flow_id, name=f"d{datetime.now(UTC).timestamp()}")


def run(client: SyncPrefectClient, of: UUID, environment: str = "dev", state: State | None = None) -> UUID:
    return client.create_flow_run_from_deployment(of, parameters={"environment": environment}, state=state).id


def state(client: SyncPrefectClient, identity: UUID) -> str | None:
    return client.read_flow_run(identity).state_name


def as_run(client: SyncPrefectClient, identity: UUID, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the task says within that run."""

    found = client.read_flow_run(identity)

    class Context:
        @staticmethod
        def get() -> FlowRunContext:
            return FlowRunContext.model_construct(flow_run=found)

    monkeypatch.setattr(other_runs, "FlowRunContext", Context)
    return gather.fn()


def test_runs_that_are_due_end_with_the_one_that_does_their_work(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = deployment(client)
    mine, *others = [run(client, of) for _ in range(4)]
    later = run(client, of, state=Scheduled(scheduled_time=datetime.now(UTC) + timedelta(minutes=1)))
    other = run(client, of, "staging")
    elsewhere = run(client, deployment(client))
    assert as_run(client, mine, monkeypatch) == ""
    assert [state(client, one) for one in others] == ["Cancelled"] * 3
    assert [state(client, one) for one in (mine, later, other, elsewhere)] == ["Scheduled"] * 4


def test_one_that_waits_for_an_answer_is_left_to_look_anew(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = deployment(client)
    mine, due, waits = (run(client, of) for _ in range(3))
    client.set_flow_run_state(waits, Paused(timeout_seconds=60), force=True)
    assert as_run(client, mine, monkeypatch) == client.read_flow_run(waits).name
    assert state(client, due) == "Scheduled"


def test_outside_a_deployment_nothing_is_cancelled(client: SyncPrefectClient) -> None:
    of = deployment(client)
    due = run(client, of)
    assert asked("dev") == ""
    assert state(client, due) == "Scheduled"
