"""Images: built and pushed under a tag that stands for what went into them."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import get_run_logger, task

from symphony.change import Change
from symphony.config import Application
from symphony.errors import SymphonyError, TransientError
from symphony.models import Digest, Image
from tasks import buildkit, docker_engine
from tasks.ecr import confirm, find_image, shortcomings, tags_of
from tasks.oci_registry import oci_registry
from tasks.retry import TRANSIENT
from tasks.source import VERSION, Source

COMMIT_TAG = "commit-"
"""Beginning of the alias tags that name a commit; they are never candidates of the watch."""


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
    if change.configuration.build.builder == "buildkit":
        buildkit.build(change, name, source, target)
    else:
        docker_engine.build(change, name, source, target)
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
    push = buildkit.push if change.configuration.build.builder == "buildkit" else docker_engine.push
    tag = target.rpartition(":")[2]
    try:
        digest = push(change, name, source, target)
    except SymphonyError as error:
        if "immutable" not in str(error).lower():
            raise
        return _as_good(change, name, source, tag)
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
