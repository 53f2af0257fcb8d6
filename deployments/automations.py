"""What starts a flow when an event comes in: a push to ECR starts the watch of the environments that wait for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.events import AutomationCore, EventTrigger, Posture, ResourceSpecification, RunDeployment, SendNotification
from prefect.exceptions import ObjectNotFound

from deployments.listing import Declared
from deployments.pool import POOL
from symphony.config import Configuration
from symphony.errors import BadInputError

PUSH = "aws.ecr.image-action"
"""Prefect's name of EventBridge's event "ECR Image Action"; see ``infra/modules/events``."""


DRIFT, FAILURES = "Tell of drift", "Tell of runs that fail"
"""Names of the automations that notify people."""


async def ensure_automations(client: PrefectClient, configuration: Configuration, declared: Sequence[Declared]) -> None:
    """Have a push to a watched repository start the watch of its environment, and tell people what they asked for.

    Args:
        client: A client of the server, which has the deployments already.
        configuration: ``symphony.yaml``.
        declared: Deployments that were put onto the server.

    Raises:
        BadInputError: A block to notify by is not on the server.
    """
    for one in declared:
        if one.flow == "watch":
            await _ensure(client, name_of(str(one.parameters["environment"])), await _watch(client, configuration, one))
    blocks = {slug: await _block(client, slug) for slug in configuration.notifications.blocks}
    for name, asked, make in (
        (DRIFT, configuration.notifications.drift, _of_drift),
        (FAILURES, configuration.notifications.failures, _of_failures),
    ):
        await _ensure(client, name, make(blocks.values()) if asked and blocks else None)


def name_of(environment: str) -> str:
    """What the automation of an environment is called in Prefect."""
    return f"New images for {environment}"


async def _ensure(client: PrefectClient, name: str, wanted: AutomationCore | None) -> None:
    """Have exactly this automation of its name, or none."""
    present = await client.read_automations_by_name(name)
    for spare in present[1:] if wanted else present:
        await client.delete_automation(spare.id)
    if wanted and present:
        await client.update_automation(present[0].id, wanted)
    elif wanted:
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
        description="Tells people of what has moved, and of what is as it should be again.",
        trigger=_at_once(
            {"symphony.drift.found", "symphony.drift.cleared"}, {"prefect.resource.id": "symphony.drift.*"}
        ),
        actions=[*_told(blocks, "Symphony: drift {{ event.event.rpartition('.')[2] }}", body)],
    )


def _of_failures(blocks: Iterable[UUID]) -> AutomationCore:
    """Runs of Symphony's work pool that fail, crash, run out of time, or do not begin."""
    states = ("Failed", "Crashed", "TimedOut", "Late")
    body = "{{ flow_run.name }} is {{ flow_run.state.name }}: {{ flow_run.state.message }}\n{{ flow_run|ui_url }}"
    pool = {"prefect.resource.role": "work-pool", "prefect.resource.name": POOL}
    return AutomationCore(
        name=FAILURES,
        description="Tells people why a run of Symphony failed, or that it is late.",
        trigger=_at_once(
            {f"prefect.flow-run.{state}" for state in states}, {"prefect.resource.id": "prefect.flow-run.*"}, pool
        ),
        actions=[*_told(blocks, "Symphony: {{ flow_run.name }} is {{ flow_run.state.name }}", body)],
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
