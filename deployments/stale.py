"""What Symphony put onto a server once, and nothing declares any more: it is taken away, and nothing else is."""

from __future__ import annotations

from collections.abc import Collection

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
    WorkQueueFilter,
    WorkQueueFilterId,
)
from prefect.client.schemas.objects import TERMINAL_STATES
from prefect.client.schemas.responses import DeploymentResponse, GlobalConcurrencyLimitResponse
from prefect.exceptions import ObjectNotFound
from prefect.variables import Variable

from deployments.listing import KINDS
from deployments.pool import POOL, limit_names, queue_names
from symphony.config import Configuration
from symphony.limits import deploy_limit

_BLOCKS = "symphony_blocks"
"""Prefect variable with the blocks that were put there, since a block tells of nobody whose it is."""
_PAGE = 200


async def own_deployments(client: PrefectClient) -> list[DeploymentResponse]:
    """The deployments of this project's flows on a server."""
    found: list[DeploymentResponse] = []
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
    while True:
        page = await client.read_deployments(work_pool_filter=pool, limit=_PAGE, offset=len(found))
        found += page
        if len(page) < _PAGE:
            return [one for one in found if (one.entrypoint or "").startswith("flows.")]


async def remove_deployments(client: PrefectClient, declared: Collection[str]) -> tuple[str, ...]:
    """Take those deployments away that are not declared; the runs that they had stay.

    Args:
        client: A client of the server.
        declared: Whole names of all that there shall be.

    Returns:
        Whole names of those that are gone.
    """
    gone = []
    for one in await own_deployments(client):
        name = f"{str(one.entrypoint).rpartition('.')[2]}/{one.name}"
        if name not in declared:
            await client.delete_deployment(one.id)
            gone.append(name)
    return tuple(gone)


async def remove_limits(client: PrefectClient, configuration: Configuration, environments: Collection[str]) -> None:
    """Take away the limits of applications and environments that are no more, but for those that a run holds.

    A run of an older commit that still needs one makes it anew.

    Args:
        client: A client of the server.
        configuration: ``symphony.yaml``.
        environments: Environments that there were, beside those that there are.
    """
    wanted = set(limit_names(configuration))
    own = tuple(deploy_limit(name, "") for name in {*configuration.environments, *environments})
    found: list[GlobalConcurrencyLimitResponse] = []
    while True:
        page = await client.read_global_concurrency_limits(limit=_PAGE, offset=len(found))
        found += page
        if len(page) < _PAGE:
            break
    for one in found:
        if one.name.startswith(own) and one.name not in wanted and not one.active_slots:
            await client.delete_global_concurrency_limit_by_name(one.name)


async def remove_queues(client: PrefectClient, configuration: Configuration) -> None:
    """Take away the queues of environments that are no more, but for those where a run has not ended.

    Such a run, suspended to wait for an answer, would be found by no worker.

    Args:
        client: A client of the server, whose deployments name their queues already.
        configuration: ``symphony.yaml``.
    """
    wanted = queue_names(configuration)
    going = FlowRunFilterState(type=FlowRunFilterStateType(not_any_=list(TERMINAL_STATES)))
    for queue in await client.read_work_queues(work_pool_name=POOL):
        if queue.name in wanted or queue.name.partition("-")[0] not in KINDS:
            continue
        if not await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=going),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL])),
            work_queue_filter=WorkQueueFilter(id=WorkQueueFilterId(any_=[queue.id])),
            limit=1,
        ):
            await client.delete_work_queue_by_id(queue.id)


async def remove_blocks(client: PrefectClient, slugs: Collection[str]) -> None:
    """Take away the blocks that were put there before and are not among these, and keep in mind that these are.

    Args:
        client: A client of the server.
        slugs: Kind and name of each block that there shall be.
    """
    before: object = await Variable.aget(_BLOCKS)
    for slug in set(before if isinstance(before, list) else ()) - set(slugs):
        kind, _, name = str(slug).partition("/")
        try:
            block = await client.read_block_document_by_name(name, kind, include_secrets=False)
        except ObjectNotFound:
            continue
        await client.delete_block_document(block.id)
    await Variable.aset(_BLOCKS, sorted(slugs), overwrite=True)
