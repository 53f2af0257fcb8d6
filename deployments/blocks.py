"""Prefect blocks that the tasks load: where AWS and Docker are, and no long-lived keys."""

from __future__ import annotations

from prefect_aws import AwsCredentials
from prefect_aws.client_parameters import AwsClientParameters
from prefect_docker import DockerHost

from symphony.config import Aws, Configuration
from symphony.errors import BadInputError

DOCKER = "docker"
_ENGINE_SECONDS = 600
"""Time limit of one call to the Docker engine; a push of a large layer answers late."""


def credentials(configuration: Configuration) -> dict[str, Aws]:
    """The AWS section that each credentials block stands for.

    Raises:
        BadInputError: Environments share a block and differ in account, region or endpoint.
    """
    found: dict[str, tuple[str, Aws]] = {}
    for name, environment in configuration.environments.items():
        aws = environment.aws
        other, before = found.setdefault(aws.credentials, (name, aws))
        if (before.account, before.region, before.endpoint) != (aws.account, aws.region, aws.endpoint):
            raise BadInputError(
                f"The environments {other!r} and {name!r} share the credentials block {aws.credentials!r}, but not "
                "account, region and endpoint; give one of them another name at aws.credentials."
            )
    return {block: aws for block, (_, aws) in found.items()}


def save(configuration: Configuration) -> tuple[str, ...]:
    """Put the blocks onto the server, over what is there.

    Credentials come from each worker's own environment (role, profile or credentials file), so the blocks say only
    where to ask. The Docker host too is the worker's own (``DOCKER_HOST``, or the local engine).

    Returns:
        The blocks' slugs.
    """
    slugs = []
    for name, aws in credentials(configuration).items():
        block = AwsCredentials(
            region_name=aws.region, aws_client_parameters=AwsClientParameters(endpoint_url=aws.endpoint)
        )
        block.save(name, overwrite=True)
        slugs.append(f"aws-credentials/{name}")
    DockerHost(timeout=_ENGINE_SECONDS).save(DOCKER, overwrite=True)
    return (*slugs, f"docker-host/{DOCKER}")
