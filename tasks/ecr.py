"""ECR: what it holds, and the login that a push needs."""

from __future__ import annotations

import base64
import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from prefect import task
from pydantic import SecretStr

from symphony.config import Environment
from symphony.errors import SymphonyError
from symphony.models import Digest, Fact
from tasks.aws import client, code_of, told
from tasks.retry import TRANSIENT

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


@task(name="look up image", task_run_name="look up {repository}:{tag:.12}", **TRANSIENT)
def find_image(target: Environment, repository: str, tag: str) -> Digest | None:
    """The digest that ECR has under a tag; None where it has none.

    Raises:
        SymphonyError: The repository does not exist, or ECR refused.
        TransientError: ECR was throttling or out of reach.
    """
    return _digest(client(target, "ecr"), repository, tag)


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
