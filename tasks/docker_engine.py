"""The Docker engine of prefect-docker's host block: builds and pushes images with its own builder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, cast

import requests
from docker import DockerClient
from docker.errors import APIError, DockerException, create_api_error_from_http_exception
from docker.types import CancellableStream
from prefect import get_run_logger
from prefect_docker import DockerHost

from symphony.change import Change
from symphony.ending import under_way
from symphony.errors import BadInputError, SymphonyError, TransientError
from symphony.models import Digest
from tasks.ecr import login
from tasks.retry import BROKEN_PUSH
from tasks.source import Source

HOST_BLOCK = "docker"
_LOG_TAIL = 15


def build(change: Change, name: str, source: Source, target: str) -> None:
    """Build an application's image, its log streamed to the run's.

    Args:
        change: The commit being released.
        name: The application.
        source: Where it is built from.
        target: The image's local name, ``host/repository:tag``.

    Raises:
        SymphonyError: The Dockerfile does not build (the sentence has the failing step's last lines), or not in time.
        TransientError: The engine is out of reach, or broke off.
    """
    application = change.configuration.applications[name]
    arguments = dict(application.build_args)
    if "SOURCE_DATE_EPOCH" in (source.folder / application.dockerfile).read_text(encoding="utf-8"):
        arguments.setdefault("SOURCE_DATE_EPOCH", str(source.epoch))
    log, lines, made = get_run_logger(), list[str](), False
    with docker_client() as engine, engine_errors(f"build {name}"):
        for event in events(
            engine,
            f"build of {name}",
            change.configuration.build.timeout,
            engine.api.build,
            path=str(source.folder),
            dockerfile=application.dockerfile,
            tag=target,
            buildargs=arguments,
            labels=source.labels(target.rpartition(":")[2]),
            rm=True,
            forcerm=True,
        ):
            line = str(event.get("stream") or event.get("status") or "").rstrip()
            if line:
                lines.append(line)
                log.info("%s │ %s", name, line)
            if "error" in event:
                tail = "\n".join(lines[-_LOG_TAIL:])
                raise SymphonyError(
                    f"The image of {name} does not build: {event['error'].strip()}. Last lines:\n{tail}"
                )
            made = made or "ID" in event.get("aux", {})
    if not made:
        raise TransientError(f"The Docker engine broke the build of {name} off.")


def push(change: Change, name: str, source: Source, target: str) -> Digest:
    """Push a built image with a fresh ECR login.

    Args:
        change: The commit being released.
        name: The application.
        source: Where it was built from.
        target: The image's local name, ``host/repository:tag``.

    Returns:
        Its digest, as the engine tells it.

    Raises:
        TransientError: The registry broke off, throttled, or was out of reach, or the login ended.
        SymphonyError: The registry refuses the push.
    """
    del source
    repository, _, tag = target.rpartition(":")
    digest, refused = "", ""
    with docker_client() as engine, engine_errors(f"push {name}"):
        given = login(change.target)
        auth = {"username": given.username, "password": given.password.get_secret_value()}
        limit, call = change.configuration.build.timeout, engine.api.push
        for event in events(
            engine, f"push of {name}", limit, call, repository=repository, tag=tag, auth_config=auth, stream=True
        ):
            refused = refused or str(event.get("error", "")).strip()
            digest = event.get("aux", {}).get("Digest", digest)
    if refused:
        kind = TransientError if any(sign in refused.lower() for sign in BROKEN_PUSH) else SymphonyError
        raise kind(f"The registry does not take the image of {name} as {target}: {refused}")
    if not digest:
        raise TransientError(f"The Docker engine broke the push of {name} off.")
    return digest


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
    told = call(**options, decode=True)
    # The client's build takes a refusal, such as of a full disk, for one more event.
    try:
        answers[-1].raise_for_status()
    except requests.HTTPError as error:
        create_api_error_from_http_exception(error)
    stream = CancellableStream(told, answers[-1])

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
