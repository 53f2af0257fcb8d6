"""Images that ECR no longer has: those that are wanted now, and those that a rollback would need."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from botocore.exceptions import BotoCoreError, ClientError
from prefect import task

from symphony.change import Change
from symphony.drift import Finding
from symphony.models import Desired, Digest
from tasks.aws import client, told
from tasks.records import newest
from tasks.retry import TRANSIENT

_BACK = 3
"""Releases that passed whose images must be there, the present one among them."""
_CONSIDERED = 50
_AT_ONCE = 100
"""Images that ECR tells of in one call."""


@task(name="look at images", task_run_name="look at the images of {change.environment}", **TRANSIENT)
def look_at_images(change: Change, desired: Mapping[str, Desired]) -> tuple[Finding, ...]:
    """Images that ECR lacks: of the desired state, and of the last releases that passed, which a rollback goes to.

    Args:
        change: The environment.
        desired: What its branch says about each application.

    Raises:
        TransientError: ECR was throttling or out of reach.
        SymphonyError: ECR refused, or a record cannot be read.
    """
    wanted: dict[tuple[str, str, Digest], str] = {
        (name, _path(entry.repository), entry.digest): "the desired state has it" for name, entry in desired.items()
    }
    records = itertools.islice(newest(change.mirror, change.environment), _CONSIDERED)
    for record in itertools.islice((one for one in records if one.passed), _BACK):
        for image in record.images:
            if image.application in desired:
                key = (image.application, _path(image.repository), image.digest)
                wanted.setdefault(key, f"a rollback to {record.commit[:12]} would need it")
    by_repository: dict[str, list[Digest]] = {}
    for _, repository, digest in wanted:
        by_repository.setdefault(repository, []).append(digest)
    gone = {(repository, one) for repository, many in by_repository.items() for one in _gone(change, repository, many)}
    return tuple(
        Finding(area="images", kind="drift", where=name, what=f"{repository}@{digest}", told=f"ECR lacks it; {why}")
        for (name, repository, digest), why in wanted.items()
        if (repository, digest) in gone
    )


def _gone(change: Change, repository: str, digests: list[Digest]) -> list[Digest]:
    ecr = client(change.target, "ecr")
    there: set[str] = set()
    try:
        for begin in range(0, len(digests), _AT_ONCE):
            ids = [{"imageDigest": one} for one in digests[begin : begin + _AT_ONCE]]
            answer = ecr.batch_get_image(repositoryName=repository, imageIds=ids)
            there.update(one["imageId"]["imageDigest"] for one in answer["images"])
    except ecr.exceptions.RepositoryNotFoundException:
        return digests
    except (BotoCoreError, ClientError) as error:
        raise told(error, f"a look at the images of {repository}") from error
    return [one for one in digests if one not in there]


def _path(repository: str) -> str:
    """The repository as ECR names it, without its host."""
    return repository.partition("/")[2]
