"""What starts a flow when an event comes in: a push to ECR starts the watch of the environments that wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from prefect.client.orchestration import PrefectClient
from prefect.events import AutomationCore, EventTrigger, Posture, ResourceSpecification, RunDeployment

from deployments.listing import Declared
from symphony.config import Configuration

PUSH = "aws.ecr.image-action"
"""Prefect's name of EventBridge's event "ECR Image Action"; see ``infra/modules/events``."""


async def ensure_automations(client: PrefectClient, configuration: Configuration, declared: Sequence[Declared]) -> None:
    """Have a push to a watched repository start the watch of its environment, and no other push.

    Args:
        client: A client of the server, which has the deployments already.
        configuration: ``symphony.yaml``.
        declared: Deployments that were put onto the server.
    """
    for one in declared:
        if one.flow == "watch":
            await _ensure(client, configuration, one)


def name_of(environment: str) -> str:
    """What the automation of an environment is called in Prefect."""
    return f"New images for {environment}"


async def _ensure(client: PrefectClient, configuration: Configuration, one: Declared) -> None:
    environment = str(one.parameters["environment"])
    present = await client.read_automations_by_name(name_of(environment))
    watched = configuration.watched(environment)
    for spare in present[1:] if watched else present:
        await client.delete_automation(spare.id)
    if not watched:
        return
    deployment = await client.read_deployment_by_name(one.full_name)
    applications = configuration.applications
    repositories = {applications[name].repository.replace("{environment}", environment) for name in watched}
    wanted = AutomationCore(
        name=name_of(environment),
        description=f"Starts {one.full_name} when an image is pushed to one of its repositories.",
        trigger=EventTrigger(
            expect={PUSH},
            match=ResourceSpecification(
                {
                    "prefect.resource.id": [f"aws.ecr.repository.{name}" for name in sorted(repositories)],
                    "aws.ecr.registry": configuration.environments[environment].aws.registry_host,
                    # What has no tag refers to an image, and is none; a tag by commit comes beside another.
                    "aws.ecr.image-tag": "!commit-*",
                }
            ),
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[RunDeployment.model_validate({"deployment_id": deployment.id})],
    )
    if present:
        await client.update_automation(present[0].id, wanted)
    else:
        await client.create_automation(wanted)
