from __future__ import annotations

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

from tasks import naming
from tasks.naming import rename


@flow
def named(name: str) -> str:
    rename(name)
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    return str(context.flow_run.id)


def test_a_run_has_the_name_that_it_is_given(prefect: None) -> None:
    del prefect
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(named("release one → dev")).name == "release one → dev"


def test_a_server_that_is_busy_keeps_no_run_from_its_work(prefect: None, monkeypatch: pytest.MonkeyPatch) -> None:
    del prefect

    def busy(**_: object) -> None:
        raise httpx.ReadTimeout("busy")

    monkeypatch.setattr(naming, "get_client", busy)
    assert named("release one → dev")


def test_outside_a_run_there_is_nothing_to_name() -> None:
    rename("nobody")
