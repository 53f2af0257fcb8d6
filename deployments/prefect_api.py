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

from deployments import automations, blocks, pool
from deployments.apply import flow_of
from deployments.client import PrefectApi
from deployments.listing import Declared, Schedule
from symphony.config import Configuration
from symphony.errors import SymphonyError


def put(
    api: PrefectApi,
    configuration: Configuration,
    declared: Sequence[Declared],
    version: str,
    report: Callable[[str], None],
) -> None:
    """Put pool, queues, limits, blocks and deployments onto the server; what flows need comes before the flows.

    Raises:
        BadInputError: An entrypoint cannot be imported.
        SymphonyError: The server refuses a deployment.
    """
    prepared = [_prepared(one, version, configuration) for one in declared]
    with temporary_settings({PREFECT_API_URL: api.url, PREFECT_API_AUTH_STRING: api.auth or None}):
        asyncio.run(_ground(configuration))
        blocks.save(configuration)
        for one, deployment in zip(declared, prepared, strict=True):
            try:
                deployment.apply()
            except DeploymentApplyError as error:
                raise SymphonyError(f"The Prefect server refuses the deployment {one.full_name}: {error}") from error
            report(one.full_name)
        asyncio.run(_react(configuration, declared))


async def _react(configuration: Configuration, declared: Sequence[Declared]) -> None:
    async with get_client() as client:
        await automations.ensure_automations(client, configuration, declared)


async def _ground(configuration: Configuration) -> None:
    async with get_client() as client:
        await pool.ensure_pool(client)
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
    return cast(
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
