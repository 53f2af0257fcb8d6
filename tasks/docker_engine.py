"""The Docker engine of prefect-docker's host block."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, cast

import requests
from docker import DockerClient
from docker.errors import APIError, DockerException
from docker.types import CancellableStream
from prefect_docker import DockerHost

from symphony.ending import under_way
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


def events(engine: DockerClient, doing: str, limit: float, call: Callable[..., Any], **options: Any) -> Iterator[Any]:
    """What the engine tells of a build or a push as it goes, which ends when the run is cancelled, and at a limit.

    The engine ends it, containers and all, as soon as nobody listens.

    Args:
        engine: The engine.
        doing: Words for people, such as "build of hello".
        limit: Seconds it may take.
        call: The client's method.
        options: Its arguments.

    Raises:
        SymphonyError: It was ended, and the sentence says why.
    """
    answers: list[requests.Response] = []
    engine.api.hooks["response"].append(lambda answer, **_: answers.append(answer))
    stream = CancellableStream(call(**options, decode=True), answers[-1])

    def close() -> None:
        # It may have come to its end by itself meanwhile.
        with contextlib.suppress(OSError, AttributeError):
            stream.close()

    with under_way(close, limit) as work:
        yield from stream
    if work.ended == "limit":
        raise SymphonyError(f"The {doing} was ended after {limit:.0f} s, its time limit.")
    if work.ended:
        raise SymphonyError(f"The {doing} was ended, since the run was cancelled.")
