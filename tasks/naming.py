"""A run's name, once it is known what the run does it with."""

from __future__ import annotations

import contextlib

import httpx
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext


def rename(name: str) -> None:
    """Give this run another name; outside a run there is none, and a server that is busy leaves it the old one."""
    context = FlowRunContext.get()
    if context and context.flow_run and context.flow_run.name != name:
        with contextlib.suppress(httpx.HTTPError), get_client(sync_client=True) as client:
            client.update_flow_run(context.flow_run.id, name=name)
