"""The Docker engine of prefect-docker's host block."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import cast

import requests
from docker import DockerClient
from docker.errors import APIError, DockerException
from prefect_docker import DockerHost

from symphony.errors import BadInputError, SymphonyError, TransientError

HOST_BLOCK = "docker"


@contextlib.contextmanager
def docker_client() -> Iterator[DockerClient]:
    """The Docker engine of prefect-docker's host block.

    Raises:
        BadInputError: The block is missing.
        TransientError: The engine is out of reach.
    """
    try:
        host = cast("DockerHost", DockerHost.load(HOST_BLOCK))
    except ValueError as error:
        raise BadInputError(
            f"The Prefect block docker-host/{HOST_BLOCK} is missing; `symphony deploy-flows` makes it."
        ) from error
    with engine_errors("reach the engine"):
        engine = host.get_client()
    with engine:
        yield engine


@contextlib.contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """What the engine's client raises, as this project's errors."""
    try:
        yield
    except APIError as error:
        raise SymphonyError(f"The Docker engine refuses to {doing}: {error.explanation or error}") from error
    except (DockerException, requests.RequestException) as error:
        raise TransientError(f"The Docker engine does not answer ({doing}): {error}") from error
