"""Images: built and pushed through prefect-docker's host, under a tag that stands for what went into them."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import get_run_logger, task

from symphony.change import Change
from symphony.config import Application
from symphony.errors import SymphonyError, TransientError
from symphony.models import Digest, Image
from tasks.docker_engine import docker_client, engine_errors, events
from tasks.ecr import confirm, find_image, login, shortcomings, tags_of
from tasks.oci_registry import oci_registry
from tasks.retry import BROKEN_CONNECTION, TRANSIENT
from tasks.source import VERSION, Source

COMMIT_TAG = "commit-"
"""Beginning of the alias tags that name a commit; they are never candidates of the watch."""
_LOG_TAIL = 15
_PASSING = (
    *BROKEN_CONNECTION,
    "500 ",
    "502 ",
    "503 ",
    "504 ",
    "429 ",
    "broken pipe",
    "closed network connection",
    "blob upload",
    "rate exceeded",
    "toomanyrequests",
    # Of a login that was good when the push began; the next one brings its own.
    "expired",
)


def repository_of(environment: str, application: Application) -> str:
    """The ECR repository of an application in an environment."""
    return application.repository.replace("{environment}", environment)


def image_repository(change: Change, application: Application) -> str:
    """Host and repository, as the names of an application's images begin."""
    return f"{change.target.aws.registry_host}/{repository_of(change.environment, application)}"


@task(name="look up image", task_run_name="look up {name}", **TRANSIENT)
def find(change: Change, name: str, source: Source, tag: str) -> Image | None:
    """The image that ECR has already under a content tag; None where it must be built.

    Args:
        change: The commit being released.
        name: The application.
        source: Where it would be built from.
        tag: Content tag.

    Raises:
        SymphonyError: The repository does not exist, or ECR refused.
        TransientError: ECR was throttling or out of reach.
    """
    application = change.configuration.applications[name]
    digest = find_image(change.target, repository_of(change.environment, application), tag)
    return _image(change, name, source, tag, digest, built=False) if digest else None


@task(name="check repositories", **TRANSIENT)
def check_repositories(change: Change, names: Sequence[str]) -> None:
    """Warn of repositories whose tags move, or that keep what nobody wants.

    Args:
        change: The commit being released.
        names: Applications whose images are about to be pushed.

    Raises:
        SymphonyError: ECR refused.
        TransientError: ECR was throttling or out of reach.
    """
    repositories = [repository_of(change.environment, change.configuration.applications[name]) for name in names]
    for shortcoming in shortcomings(change.target, repositories):
        get_run_logger().warning("%s", shortcoming)


@task(name="build image", task_run_name="build {name}", **TRANSIENT)
def build_image(change: Change, name: str, source: Source, tag: str) -> str:
    """Build an application's image, its log streamed to the run's.

    Args:
        change: The commit being released.
        name: The application.
        source: Where it is built from.
        tag: Content tag.

    Returns:
        The local name of the image, ``host/repository:tag``.

    Raises:
        SymphonyError: The Dockerfile does not build (the sentence has the failing step's last lines), or not in time.
        TransientError: The engine is out of reach, or broke off.
    """
    application = change.configuration.applications[name]
    target = f"{image_repository(change, application)}:{tag}"
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
            labels=source.labels(tag),
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
    return target


@task(name="push image", task_run_name="push {name}", **TRANSIENT)
def push_image(change: Change, name: str, source: Source, target: str) -> Image:
    """Push a built image with a fresh ECR login and compare the digest that ECR then has.

    Args:
        change: The commit being released.
        name: The application.
        source: Where it was built from.
        target: The image's local name, ``host/repository:tag``.

    Returns:
        The image as ECR has it; one of the same content that took the tag meanwhile is as good.

    Raises:
        TransientError: The registry broke off, throttled, or was out of reach, or the login ended.
        SymphonyError: The registry refuses the push, or another image has the tag.
    """
    repository, _, tag = target.rpartition(":")
    digest, refused = "", ""
    with docker_client() as engine, engine_errors(f"push {name}"):
        given = login(change.target)
        auth = {"username": given.username, "password": given.password.get_secret_value()}
        limit, push = change.configuration.build.timeout, engine.api.push
        for event in events(
            engine, f"push of {name}", limit, push, repository=repository, tag=tag, auth_config=auth, stream=True
        ):
            refused = refused or str(event.get("error", "")).strip()
            digest = event.get("aux", {}).get("Digest", digest)
    if "immutable" in refused.lower():
        return _as_good(change, name, source, tag)
    if refused:
        kind = TransientError if any(sign in refused.lower() for sign in _PASSING) else SymphonyError
        raise kind(f"The registry does not take the image of {name} as {repository}:{tag}: {refused}")
    image = _image(change, name, source, tag, digest, built=True)
    confirm(change.target, image.path, tag, digest)
    return image


@task(name="tag commit", task_run_name="tag {image.application}", **TRANSIENT)
def tag_commit(change: Change, image: Image) -> None:
    """Give an image the alias tag of its commit, ``commit-<id>``, also one that was there before the commit.

    Args:
        change: The commit being released.
        image: The image.

    Raises:
        SymphonyError: The registry refuses, such as where the commit gave another image before, on another base.
        TransientError: The registry was out of reach.
    """
    alias = f"{COMMIT_TAG}{image.commit}"
    if alias not in tags_of(change.target, image.path, image.digest):
        with oci_registry(change.target) as registry:
            registry.tag(image.path, image.digest, alias)


def _as_good(change: Change, name: str, source: Source, tag: str) -> Image:
    """The image that has taken the tag, where its label says that the same went into it."""
    repository = repository_of(change.environment, change.configuration.applications[name])
    digest = find_image(change.target, repository, tag)
    if digest is None:
        raise TransientError(f"The registry says that {repository}:{tag} is taken, and ECR does not have it.")
    with oci_registry(change.target) as registry:
        labels = registry.labels(repository, digest)
    if labels.get(VERSION) != tag:
        raise SymphonyError(
            f"The tag {repository}:{tag}, which stands for the content of {name}, was taken by other content, "
            f"{digest}, and tags of this repository are immutable. Find out who pushed that; once it is deleted in "
            "ECR, start again."
        )
    return _image(change, name, source, tag, digest, built=False)


def _image(  # noqa: PLR0913 - what an image is made of
    change: Change, name: str, source: Source, tag: str, digest: Digest, *, built: bool
) -> Image:
    repository = image_repository(change, change.configuration.applications[name])
    return Image(application=name, repository=repository, tag=tag, digest=digest, built=built, commit=source.commit)
