"""Images: named by what goes into them, built and pushed through prefect-docker's host."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import requests
from docker import DockerClient
from docker.errors import APIError, DockerException, ImageNotFound
from docker.utils.build import exclude_paths
from prefect import get_run_logger, task
from prefect_docker import DockerHost

from symphony.change import Change
from symphony.config import Application
from symphony.errors import BadInputError, SymphonyError, TransientError
from symphony.models import Image
from tasks.ecr import confirm, find_image, login
from tasks.git import fetch, resolve, worktree
from tasks.retry import BROKEN_CONNECTION, ONCE, TRANSIENT

HOST_BLOCK = "docker"
_HASH_LENGTH = 32
_FROM = re.compile(r"^\s*FROM\s+(?:--platform=\S+\s+)?(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_ARG = re.compile(r"^\s*ARG\s+(\w+)(?:=(\S+))?", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")
_LOG_TAIL = 15
_BUILD_SECONDS = 1800
_PASSING = (*BROKEN_CONNECTION, "500 ", "502 ", "503 ", "504 ")


@contextlib.contextmanager
def source(change: Change, name: str) -> Iterator[Path]:
    """The build context of an application: a folder of the commit, or of another repository's branch or tag."""
    application = change.configuration.applications[name]
    if application.git is None:
        yield _folder(change.tree, name, application)
        return
    mirror = fetch(application.git)
    with worktree(mirror, resolve(mirror, application.ref)) as tree:
        yield _folder(tree, name, application)


def repository_of(environment: str, application: Application) -> str:
    """The ECR repository of an application in an environment."""
    return application.repository.replace("{environment}", environment)


@task(name="hash", task_run_name="hash {name}", **TRANSIENT)
def content_tag(name: str, context: Path, application: Application) -> str:
    """The tag that stands for everything that goes into an image.

    It covers each file of the build context that ``.dockerignore`` lets through (path, executable bit, content), the
    Dockerfile, the build arguments, and the identity of each base image.

    Args:
        name: The application.
        context: Its build context.
        application: Its section of ``symphony.yaml``.

    Returns:
        32 hexadecimal digits.

    Raises:
        BadInputError: The Dockerfile is missing.
    """
    del name
    dockerfile = context / application.dockerfile
    text = dockerfile.read_text(encoding="utf-8")
    total = hashlib.sha256()
    with docker_client() as engine:
        bases = {base: _identity(engine, base) for base in bases_of(text, application.build_args)}
    parts = {"dockerfile": text, "arguments": application.build_args, "bases": bases}
    total.update(json.dumps(parts, sort_keys=True).encode())
    for path in _context_files(context, application.dockerfile):
        file = context / path
        mode = file.lstat().st_mode
        body = str(file.readlink()).encode() if stat.S_ISLNK(mode) else file.read_bytes()
        total.update(f"\0{path}\0{bool(mode & stat.S_IXUSR)}\0".encode() + hashlib.sha256(body).digest())
    return total.hexdigest()[:_HASH_LENGTH]


@task(name="build image", task_run_name="build {name}", **ONCE)
def build_image(change: Change, name: str, context: Path, tag: str) -> str:
    """Build an application's image, its log streamed to the run's.

    Args:
        change: The commit being released.
        name: The application.
        context: Its build context.
        tag: Content tag.

    Returns:
        The local name of the image, ``host/repository:tag``.

    Raises:
        SymphonyError: The Dockerfile does not build; the sentence has the failing step's last lines.
        TransientError: The engine is out of reach.
    """
    application = change.configuration.applications[name]
    target = f"{image_repository(change, application)}:{tag}"
    labels = {
        "org.opencontainers.image.revision": change.commit,
        "org.opencontainers.image.source": application.git or change.configuration.git.remote,
        "org.opencontainers.image.version": tag,
    }
    log, lines = get_run_logger(), list[str]()
    with docker_client() as engine, _engine_errors(f"build {name}"):
        stream = engine.api.build(
            path=str(context),
            dockerfile=application.dockerfile,
            tag=target,
            buildargs=dict(application.build_args),
            labels=labels,
            rm=True,
            forcerm=True,
            decode=True,
            timeout=_BUILD_SECONDS,
        )
        for event in stream:
            line = str(event.get("stream") or event.get("status") or "").rstrip()
            if line:
                lines.append(line)
                log.info("%s │ %s", name, line)
            if "error" in event:
                tail = "\n".join(lines[-_LOG_TAIL:])
                raise SymphonyError(
                    f"The image of {name} does not build: {event['error'].strip()}. Last lines:\n{tail}"
                )
    return target


@task(name="push image", task_run_name="push {name}", **TRANSIENT)
def push_image(change: Change, name: str, target: str) -> Image:
    """Push a built image with a fresh ECR login and compare the digest that ECR then has.

    Args:
        change: The commit being released.
        name: The application.
        target: The image's local name, ``host/repository:tag``.

    Returns:
        The image as ECR has it.

    Raises:
        TransientError: The registry broke off, or was out of reach.
        SymphonyError: The registry refuses the push.
    """
    application = change.configuration.applications[name]
    repository, _, tag = target.rpartition(":")
    digest = ""
    with docker_client() as engine, _engine_errors(f"push {name}"):
        given = login(change.target)
        auth = {"username": given.username, "password": given.password.get_secret_value()}
        for event in engine.api.push(repository, tag=tag, auth_config=auth, stream=True, decode=True):
            if "error" in event:
                raise _refused(name, repository, tag, str(event["error"]))
            digest = event.get("aux", {}).get("Digest", digest)
    confirm(change.target, repository_of(change.environment, application), tag, digest)
    return Image(application=name, repository=repository, tag=tag, digest=digest, built=True, commit=change.commit)


def find(change: Change, name: str, tag: str) -> Image | None:
    """The image that ECR has already under a content tag; None where it must be built."""
    application = change.configuration.applications[name]
    digest = find_image(change.target, repository_of(change.environment, application), tag)
    if digest is None:
        return None
    repository = image_repository(change, application)
    return Image(application=name, repository=repository, tag=tag, digest=digest, built=False, commit=change.commit)


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
    with _engine_errors("reach the engine"):
        engine = host.get_client()
    with engine:
        yield engine


@contextlib.contextmanager
def _engine_errors(doing: str) -> Iterator[None]:
    try:
        yield
    except APIError as error:
        raise SymphonyError(f"The Docker engine refuses to {doing}: {error.explanation or error}") from error
    except (DockerException, requests.RequestException) as error:
        raise TransientError(f"The Docker engine does not answer ({doing}): {error}") from error


def _refused(name: str, repository: str, tag: str, said: str) -> SymphonyError:
    kind = TransientError if any(sign in said.lower() for sign in _PASSING) else SymphonyError
    return kind(f"The registry does not take the image of {name} as {repository}:{tag}: {said.strip()}")


def image_repository(change: Change, application: Application) -> str:
    """Host and repository, as the names of an application's images begin."""
    return f"{change.target.aws.registry_host}/{repository_of(change.environment, application)}"


def _folder(tree: Path, name: str, application: Application) -> Path:
    folder = (tree / application.source).resolve()
    if not folder.is_relative_to(tree.resolve()) or not folder.is_dir():
        raise BadInputError(f"The application {name!r} has no folder {application.source!r} in this commit.")
    if not (folder / application.dockerfile).is_file():
        raise BadInputError(f"The application {name!r} has no {application.dockerfile!r} in {application.source!r}.")
    return folder


def _context_files(context: Path, dockerfile: str) -> list[str]:
    ignore = context / ".dockerignore"
    patterns = []
    if ignore.exists():
        lines = (line.strip() for line in ignore.read_text(encoding="utf-8").splitlines())
        patterns = [line for line in lines if line and not line.startswith("#")]
    paths = exclude_paths(str(context), patterns, dockerfile=dockerfile)
    return sorted(path for path in paths if not (context / path).is_dir() or (context / path).is_symlink())


def bases_of(dockerfile: str, arguments: dict[str, str]) -> list[str]:
    """Images that the Dockerfile's stages begin from, arguments filled in; stages of its own are none."""
    known, stages, found = dict[str, str](), {"scratch"}, list[str]()
    for line in dockerfile.splitlines():
        if argument := _ARG.match(line):
            known.setdefault(argument[1], arguments.get(argument[1], argument[2] or ""))
        elif begin := _FROM.match(line):
            base = _VARIABLE.sub(lambda match: known.get(match[1] or match[2], ""), begin[1])
            if base not in stages:
                found.append(base)
            if begin[2]:
                stages.add(begin[2])
    return found


def _identity(engine: DockerClient, base: str) -> str:
    """What a base image is at present: the id that the engine has, or else the registry's digest."""
    try:
        return str(engine.images.get(base).id)
    except ImageNotFound:
        pass
    try:
        data: Any = engine.images.get_registry_data(base)
    except APIError as error:
        raise SymphonyError(
            f"The base image {base!r} is neither in the engine nor in its registry: {error.explanation}"
        ) from error
    return str(data.id)
