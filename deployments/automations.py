"""What starts a flow when an event comes in: a push to ECR starts the watch of the environments that wait for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events import AutomationCore, EventTrigger, Posture, ResourceSpecification, RunDeployment, SendNotification
from prefect.events.actions import ChangeFlowRunState
from prefect.events.filters import AutomationFilter, AutomationFilterTags
from prefect.exceptions import ObjectNotFound

from deployments.listing import Declared
from deployments.pool import POOL
from deployments.stale import own_deployments
from symphony.config import Configuration
from symphony.errors import BadInputError

PUSH = "aws.ecr.image-action"
"""Prefect's name of EventBridge's event "ECR Image Action"; see ``infra/modules/events``."""


DRIFT, FAILURES = "Tell of drift", "Tell of runs that fail"
SILENT, WAITING = "End runs whose process is gone", "End runs that do not begin"
"""Names of the automations that are not for one environment."""
OWN = "symphony"
"""Tag of this project's automations: one that has it and is no longer asked for is removed."""
_SILENT = timedelta(seconds=90)
"""Three heartbeats of a run, which prefect.yaml asks for every 30 seconds."""
_WAITING = timedelta(minutes=15)
"""For a pool that runs no processes of its own: a cluster may make a node first, and fetch the image to it."""
_BEGINNING = ("Pending", "Submitting")
_GOING = ("Running", "Retrying", "Cancelling", "heartbeat")


async def ensure_automations(client: PrefectClient, configuration: Configuration, declared: Sequence[Declared]) -> None:
    """Have a push to a watched repository start the watch of its environment, and tell people what they asked for.

    A run whose process is gone is marked as crashed, which frees its place for the next. What is no longer asked for
    is removed.

    Args:
        client: A client of the server, which has the deployments already.
        configuration: ``symphony.yaml``.
        declared: Deployments that were put onto the server.

    Raises:
        BadInputError: A block to notify by is not on the server.
    """
    for one in declared:
        if one.flow == "watch" and (watch := await _watch(client, configuration, one)):
            await _ensure(client, watch)
    wanted = {name_of(environment) for environment in configuration.environments if configuration.watched(environment)}
    blocks = [await _block(client, slug) for slug in configuration.notifications.blocks]
    people = configuration.notifications
    made = [_of_drift(blocks)] if blocks and people.drift else []
    made += [_of_failures(blocks)] if blocks and people.failures else []
    if own := await own_deployments(client):
        made += _of_silence([one.id for one in own], (await client.read_work_pool(POOL)).type)
    for automation in made:
        await _ensure(client, automation)
    wanted |= {automation.name for automation in made}
    for present in await client.read_automations(automations=AutomationFilter(tags=AutomationFilterTags(all_=[OWN]))):
        if present.name not in wanted:
            await client.delete_automation(present.id)


def name_of(environment: str) -> str:
    """What the automation of an environment is called in Prefect."""
    return f"New images for {environment}"


async def _ensure(client: PrefectClient, wanted: AutomationCore) -> None:
    """Have exactly this automation of its name; one that is so already keeps what it has seen of runs."""
    present = await client.read_automations_by_name(wanted.name)
    for spare in present[1:]:
        await client.delete_automation(spare.id)
    if present and AutomationCore.model_validate(present[0].model_dump()) != wanted:
        await client.update_automation(present[0].id, wanted)
    elif not present:
        await client.create_automation(wanted)


async def _watch(client: PrefectClient, configuration: Configuration, one: Declared) -> AutomationCore | None:
    environment = str(one.parameters["environment"])
    watched = configuration.watched(environment)
    if not watched:
        return None
    deployment = await client.read_deployment_by_name(one.full_name)
    applications = configuration.applications
    repositories = {applications[name].repository.replace("{environment}", environment) for name in watched}
    match = {
        "prefect.resource.id": [f"aws.ecr.repository.{name}" for name in sorted(repositories)],
        "aws.ecr.registry": configuration.environments[environment].aws.registry_host,
        # What has no tag refers to an image, and is none; a tag by commit comes beside another.
        "aws.ecr.image-tag": "!commit-*",
    }
    return AutomationCore(
        name=name_of(environment),
        tags=[OWN],
        description=f"Starts {one.full_name} when an image is pushed to one of its repositories.",
        trigger=_at_once({PUSH}, match),
        actions=[RunDeployment.model_validate({"deployment_id": deployment.id})],
    )


def _of_drift(blocks: Iterable[UUID]) -> AutomationCore:
    """Each finding once when it is new and once when it is gone, since each has one event."""
    body = (
        "{{ event.resource['symphony.environment'] }}: {{ event.resource.name }}\n{{ event.payload['told'] }}\n"
        "Since {{ event.payload['since'] or 'now' }}."
    )
    return AutomationCore(
        name=DRIFT,
        tags=[OWN],
        description="Tells people of what has moved, and of what is as it should be again.",
        trigger=_at_once(
            {"symphony.drift.found", "symphony.drift.cleared"}, {"prefect.resource.id": "symphony.drift.*"}
        ),
        actions=[*_told(blocks, "Symphony: drift {{ event.event.rpartition('.')[2] }}", body)],
    )


def _of_failures(blocks: Iterable[UUID]) -> AutomationCore:
    """Runs of Symphony's work pool that fail, crash, run out of time, or do not begin."""
    states = ("Failed", "Crashed", "TimedOut", "Late")
    body = (
        "{{ flow_run.name }} ({{ flow.name }}/{{ deployment.name }}) is {{ flow_run.state.name }}: "
        "{{ flow_run.state.message or 'it should have begun by now; is a worker up?' }}\n{{ flow_run|ui_url }}"
    )
    pool = {"prefect.resource.role": "work-pool", "prefect.resource.name": POOL}
    return AutomationCore(
        name=FAILURES,
        tags=[OWN],
        description="Tells people why a run of Symphony failed, or that it is late.",
        trigger=_at_once(
            {f"prefect.flow-run.{state}" for state in states}, {"prefect.resource.id": "prefect.flow-run.*"}, pool
        ),
        actions=[*_told(blocks, "Symphony: {{ flow_run.name }} is {{ flow_run.state.name }}", body)],
    )


def _of_silence(deployments: Sequence[UUID], pool: str) -> list[AutomationCore]:
    """Runs of these deployments that gave a sign of life, or were about to begin, and then give none.

    A run's heartbeat comes from its own process, so it ends with the worker's machine, which could tell nobody.

    Args:
        deployments: Those whose runs are meant.
        pool: Type of the pool that they have: a worker of type ``process`` begins what it takes at once.
    """
    gone = (
        f"Its process gave no sign of life for {_SILENT.seconds} seconds: the worker or its machine is gone. "
        "Start it again: it ends in the same state."
    )
    if pool == "process":
        return [_without_sign(SILENT, deployments, (*_BEGINNING, *_GOING), _SILENT, gone)]
    lost = (
        f"It did not begin within {_WAITING.seconds // 60} minutes: look at the worker, and whether its container is "
        "there and has its image. Start it again."
    )
    return [
        _without_sign(SILENT, deployments, _GOING, _SILENT, gone),
        _without_sign(WAITING, deployments, _BEGINNING, _WAITING, lost),
    ]


def _without_sign(
    name: str, deployments: Iterable[UUID], signs: Iterable[str], within: timedelta, message: str
) -> AutomationCore:
    """Any event of a run is a sign of life, one that it ended by among them, whatever the state is called."""
    ours: dict[str, str | list[str]] = {
        "prefect.resource.role": "deployment",
        "prefect.resource.id": sorted(f"prefect.deployment.{one}" for one in deployments),
    }
    return AutomationCore(
        name=name,
        tags=[OWN],
        description=f"Marks a run as crashed that has given no sign of life for {within.seconds} seconds.",
        trigger=EventTrigger(
            after={f"prefect.flow-run.{sign}" for sign in signs},
            expect={"prefect.flow-run.*"},
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification(ours),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=within,
        ),
        actions=[ChangeFlowRunState(name=None, state=StateType.CRASHED, force=False, message=message)],
    )


def _at_once(expect: set[str], match: dict[str, Any], related: dict[str, Any] | None = None) -> EventTrigger:
    """Each such event by itself, as it comes in."""
    return EventTrigger(
        expect=expect,
        match=ResourceSpecification(match),
        match_related=ResourceSpecification(related or {}),
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )


def _told(blocks: Iterable[UUID], subject: str, body: str) -> list[SendNotification]:
    return [SendNotification(block_document_id=block, subject=subject, body=body) for block in blocks]


async def _block(client: PrefectClient, slug: str) -> UUID:
    kind, _, name = slug.partition("/")
    try:
        found = await client.read_block_document_by_name(name, kind, include_secrets=False)
    except ObjectNotFound as error:
        raise BadInputError(
            f"Prefect has no block {slug!r}, which symphony.yaml names at notifications.blocks; make it there (Blocks, "
            "the plus sign), or take it out."
        ) from error
    return found.id
