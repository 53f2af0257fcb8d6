"""The side of `deployments.apply` that speaks through Prefect's own client; importing it loads Prefect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import DeploymentApplyError, RunnerDeployment
from prefect.schedules import Cron, Interval
from prefect.schedules import Schedule as PrefectSchedule
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.types.entrypoint import EntrypointType

from deployments import automations, blocks, pool, stale
from deployments.apply import flow_of
from deployments.choices import offer
from deployments.client import PrefectApi
from deployments.listing import Declared, Schedule
from symphony.config import Configuration
from symphony.errors import SymphonyError


def put(  # noqa: PLR0913, PLR0917 - what there shall be, and who is told
    api: PrefectApi,
    configuration: Configuration,
    everything: Sequence[Declared],
    declared: Sequence[Declared],
    version: str,
    report: Callable[[str], None],
) -> tuple[str, ...]:
    """Put pool, queues, limits, blocks and deployments onto the server; what flows need comes before the flows.

    Args:
        api: The server.
        configuration: ``symphony.yaml``.
        everything: All deployments that there shall be.
        declared: Those of them to put there now.
        version: What they shall carry.
        report: Called with each one's whole name as it is put there.

    Returns:
        Whole names of the deployments that nothing declares any more, which are gone.

    Raises:
        BadInputError: An entrypoint cannot be imported.
        SymphonyError: The server refuses a deployment.
    """
    prepared = [_prepared(one, version, configuration) for one in declared]
    with temporary_settings({PREFECT_API_URL: api.url, PREFECT_API_AUTH_STRING: api.auth or None}):
        asyncio.run(_ground(configuration))
        slugs = blocks.save(configuration)
        for one, deployment in zip(declared, prepared, strict=True):
            try:
                deployment.apply()
            except DeploymentApplyError as error:
                raise SymphonyError(f"The Prefect server refuses the deployment {one.full_name}: {error}") from error
            report(one.full_name)
        return asyncio.run(_finish(configuration, everything, declared, slugs))


async def _finish(
    configuration: Configuration, everything: Sequence[Declared], declared: Sequence[Declared], slugs: Sequence[str]
) -> tuple[str, ...]:
    """Put up what reacts to the deployments, and take away what is no longer declared."""
    async with get_client() as client:
        gone = await stale.remove_deployments(client, [one.full_name for one in everything])
        await stale.remove_limits(client, configuration, {name.partition("/")[2] for name in gone})
        await stale.remove_queues(client, configuration)
        await stale.remove_blocks(client, slugs)
        await automations.ensure_automations(client, configuration, declared)
        return gone


async def _ground(configuration: Configuration) -> None:
    async with get_client() as client:
        await pool.ensure_pool(client, configuration)
        await pool.ensure_limits(client, configuration)


def _clock(schedule: Schedule, *, active: bool) -> PrefectSchedule:
    return Cron(schedule.cron, active=active) if schedule.cron else Interval(schedule.interval or 0, active=active)


def _prepared(one: Declared, version: str, configuration: Configuration) -> RunnerDeployment:
    flow = cast("Flow[..., object]", flow_of(one))
    limit = None
    if one.concurrency:
        strategy = ConcurrencyLimitStrategy(one.concurrency.collision_strategy)
        limit = ConcurrencyLimitConfig(limit=one.concurrency.limit, collision_strategy=strategy)
    # The list has watches switched off: they look nowhere but where symphony.yaml says what to look for.
    watched = one.flow == "watch" and bool(configuration.watched(str(one.parameters["environment"])))
    schedules = [_clock(clock, active=clock.active or watched) for clock in one.schedules]
    made = cast(
        "RunnerDeployment",
        flow.to_deployment(
            one.name,
            description=one.description,
            tags=list(one.tags),
            version=version,
            parameters=one.parameters,
            concurrency_limit=limit,
            schedules=schedules or None,
            enforce_parameter_schema=one.enforce_parameter_schema,
            work_pool_name=one.work_pool.name,
            work_queue_name=one.work_pool.work_queue_name,
            job_variables=one.work_pool.job_variables,
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
    )
    offer(made._parameter_openapi_schema.properties, choices(one, configuration))  # noqa: SLF001 - has no public name
    return made


def choices(one: Declared, configuration: Configuration) -> dict[str, list[str]]:
    """What the run form of a deployment offers, by parameter.

    The environment is its own alone: another one's runs would pass by that one's limits.
    """
    applications = list(configuration.applications)
    offered = {"environment": [str(one.parameters["environment"])], "applications": applications}
    return offered | ({"restore": applications} if one.flow == "deploy" else {})
