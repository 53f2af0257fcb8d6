"""ECR: what it holds, and the login that a push needs."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from symphony.config import Environment
from symphony.errors import SymphonyError
from symphony.models import Digest, Fact
from tasks.aws import client, code_of, told

_POLL_SECONDS = 0.05
_SETTLE_SECONDS = 20.0


class Login(Fact):
    """A registry login that ECR gave out for one push.

    Attributes:
        username: ``AWS``.
        password: Its token; expires after 12 hours on AWS.
    """

    username: str
    password: SecretStr


def find_image(target: Environment, repository: str, tag: str) -> Digest | None:
    """The digest that ECR has under a tag; None where it has none.

    Raises:
        SymphonyError: The repository does not exist, or ECR refused.
        TransientError: ECR was throttling or out of reach.
    """
    return _digest(client(target, "ecr"), repository, tag)


def tags_of(target: Environment, repository: str, digest: Digest) -> frozenset[str]:
    """The tags of an image.

    Raises:
        SymphonyError: ECR refused, or lacks the image.
        TransientError: ECR was throttling or out of reach.
    """
    try:
        images = client(target, "ecr").describe_images(repositoryName=repository, imageIds=[{"imageDigest": digest}])
    except (BotoCoreError, ClientError) as error:
        raise told(error, f"the tags of {repository}@{digest}") from error
    return frozenset(images["imageDetails"][0].get("imageTags", []))


def shortcomings(target: Environment, repositories: Sequence[str]) -> tuple[str, ...]:
    """What is amiss with repositories that exist: tags that move, no lifecycle.

    Raises:
        SymphonyError: ECR refused.
        TransientError: ECR was throttling or out of reach.
    """
    ecr, found = client(target, "ecr"), list[str]()
    try:
        described = ecr.describe_repositories(repositoryNames=sorted(set(repositories)))["repositories"]
        for repository in described:
            name = repository["repositoryName"]
            if not repository["imageTagMutability"].startswith("IMMUTABLE"):
                found.append(f"The tags of {name} can be moved (imageTagMutability MUTABLE); set it to IMMUTABLE.")
            try:
                ecr.get_lifecycle_policy(repositoryName=name)
            except ClientError as error:
                if code_of(error) != "LifecyclePolicyNotFoundException":
                    raise
                found.append(f"{name} has no lifecycle policy, so what has no tag is kept, and paid for, for ever.")
    except (BotoCoreError, ClientError) as error:
        raise told(error, "a look at the repositories") from error
    return tuple(found)


def login(target: Environment) -> Login:
    """A fresh login for the environment's registry.

    Raises:
        SymphonyError: ECR refused.
        TransientError: ECR was throttling or out of reach.
    """
    try:
        answer = client(target, "ecr").get_authorization_token()
    except (BotoCoreError, ClientError) as error:
        raise told(error, "a registry login") from error
    token = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode()
    username, _, password = token.partition(":")
    return Login(username=username, password=SecretStr(password))


def confirm(target: Environment, repository: str, tag: str, digest: Digest) -> None:
    """Read a pushed image back from ECR and compare its digest.

    Raises:
        SymphonyError: ECR has another digest under the tag, or none within 20 seconds.
        TransientError: ECR was throttling or out of reach.
    """
    ecr = client(target, "ecr")
    deadline = time.monotonic() + _SETTLE_SECONDS
    while (found := _digest(ecr, repository, tag)) is None:
        if time.monotonic() > deadline:
            raise SymphonyError(f"ECR does not list {repository}:{tag}, {_SETTLE_SECONDS:.0f} s after it was pushed.")
        time.sleep(_POLL_SECONDS)
    if found != digest:
        raise SymphonyError(f"ECR has {found} under {repository}:{tag}, but {digest} was pushed.")


def _digest(ecr: Any, repository: str, tag: str) -> Digest | None:
    try:
        images = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])["imageDetails"]
    except (BotoCoreError, ClientError) as error:
        if code_of(error) == "ImageNotFoundException":
            return None
        if code_of(error) == "RepositoryNotFoundException":
            raise SymphonyError(
                f"The ECR repository {repository!r} does not exist; list it in the environment's registry unit, "
                "and the provision flow makes it."
            ) from error
        raise told(error, f"a look at {repository}") from error
    return str(images[0]["imageDigest"]) if images else None
