"""The work pool, its queues, and the concurrency limits."""

from __future__ import annotations

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

from deployments.listing import queues
from symphony.config import Configuration
from symphony.limits import deploy_limit

POOL = "symphony"
_DEFAULT = "default"
"""The queue that each pool of Prefect has."""


def queue_names(configuration: Configuration) -> tuple[str, ...]:
    """Every queue of the pool, in the order of priority."""
    return (*queues(configuration.environments), _DEFAULT)


async def ensure_pool(client: PrefectClient, configuration: Configuration) -> None:
    """Make the process work pool and its queues where they are missing, and put their priorities in order."""
    try:
        template = ProcessWorker.get_default_base_job_template()
        await client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
    except ObjectAlreadyExists:
        pass
    names = queue_names(configuration)
    there = {queue.name for queue in await client.read_work_queues(work_pool_name=POOL)}
    for priority, name in enumerate(names, 1):
        if name not in there:
            await client.create_work_queue(name=name, work_pool_name=POOL, priority=priority)
    found = {queue.name: queue for queue in await client.read_work_queues(work_pool_name=POOL)}
    for priority, name in enumerate(names, 1):
        # A new queue moves those below it down; here each is put to its own place.
        if found[name].priority != priority:
            await client.update_work_queue(found[name].id, priority=priority)


def limit_names(configuration: Configuration) -> tuple[str, ...]:
    """Every limit that flows take with ``strict=True``."""
    return tuple(
        deploy_limit(environment, application)
        for environment in configuration.environments
        for application in configuration.applications
    )


async def ensure_limits(client: PrefectClient, configuration: Configuration) -> None:
    """Make the limits of one slot each; Prefect skips a limit that does not exist in silence, so they come first."""
    for name in limit_names(configuration):
        await client.upsert_global_concurrency_limit_by_name(name, limit=1)
