"""One look at many repositories of ECR: every image that has a tag, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from symphony.errors import TransientError
from tasks.aws import code_of, told
from tasks.tag_choice import Pushed

_SIDE_BY_SIDE = 8
_PAGE = 1000
"""Images a page, the most that ECR gives (``DescribeImages``)."""

Found = tuple[Pushed, ...] | str
"""A repository's images; a sentence where they could not be had."""


def poll(ecr: Any, repositories: Mapping[str, frozenset[str]]) -> dict[str, Found]:
    """Read what repositories hold, several at a time.

    Args:
        ecr: boto3's client of it.
        repositories: By repository, the tags that are asked for; none for all.

    Returns:
        Each repository's images that have a tag, or why they could not be had, such as one that does not exist.

    Raises:
        TransientError: ECR was throttling or out of reach.
    """
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        found = pool.map(lambda one: _images(ecr, *one), repositories.items())
        return dict(zip(repositories, found, strict=True))


def _images(ecr: Any, repository: str, tags: frozenset[str]) -> Found:
    try:
        return _named(ecr, repository, tags) if tags else _every(ecr, repository)
    except (BotoCoreError, ClientError) as error:
        if code_of(error) == "RepositoryNotFoundException":
            return f"the ECR repository {repository} does not exist"
        problem = told(error, f"a look at {repository}")
        if isinstance(problem, TransientError):
            raise problem from error
        return str(problem)


def _every(ecr: Any, repository: str) -> tuple[Pushed, ...]:
    pages = ecr.get_paginator("describe_images").paginate(
        repositoryName=repository, filter={"tagStatus": "TAGGED"}, PaginationConfig={"PageSize": _PAGE}
    )
    return tuple(_pushed(image) for page in pages for image in page["imageDetails"] if image.get("imageTags"))


def _named(ecr: Any, repository: str, tags: frozenset[str]) -> tuple[Pushed, ...]:
    found: dict[str, Pushed] = {}
    for tag in sorted(tags):  # one by one, since ECR refuses them all where it lacks one
        try:
            answer = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
        except ClientError as error:
            if code_of(error) != "ImageNotFoundException":
                raise
        else:
            found |= {image["imageDigest"]: _pushed(image) for image in answer["imageDetails"]}
    return tuple(found.values())


def _pushed(image: dict[str, Any]) -> Pushed:
    return Pushed(
        digest=image["imageDigest"],
        tags=tuple(image["imageTags"]),
        at=image["imagePushedAt"],
        artifact=image.get("artifactMediaType") or "",
    )
