"""ECR's own books: which repositories and images there are, kept true to what the registry holds."""

from __future__ import annotations

import fnmatch
import json
import logging
import os
import threading
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from sandbox.aws.ecr_names import PUSHED_AT, RESTORED
from sandbox.registry.manifest import Manifest

_log = logging.getLogger(__name__)
_PUSHED: ContextVar[float | None] = ContextVar("pushed", default=None)


@dataclass(frozen=True)
class Repository:
    """A repository's settings that matter to a push.

    Attributes:
        name: Its name.
        mutability: ECR's ``imageTagMutability``.
        exclusions: Wildcards of tags to which the opposite applies.
        scan_on_push: Whether ECR scans what comes in.
    """

    name: str
    mutability: str = "MUTABLE"
    exclusions: tuple[str, ...] = ()
    scan_on_push: bool = False

    def immutable(self, tag: str) -> bool:
        """Whether this tag, once taken, keeps its image."""
        excluded = any(fnmatch.fnmatchcase(tag, pattern) for pattern in self.exclusions)
        return self.mutability.startswith("IMMUTABLE") != excluded


class Books:
    """ECR's repositories and images through its API, and a small ledger that outlives the API's memory."""

    def __init__(self, client: Any, ledger: Path) -> None:
        """Use a boto3 client of ECR and a JSON file."""
        self._client = client
        self._ledger = ledger
        self._lock = threading.Lock()
        self._known: dict[str, Repository] | None = None
        client.meta.events.register("before-sign.ecr.PutImage", _date)

    def repository(self, name: str) -> Repository | None:
        """The repository of that name, or none where ECR has none."""
        try:
            found = self._client.describe_repositories(repositoryNames=[name])["repositories"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] == "RepositoryNotFoundException":
                return None
            raise
        repository = Repository(
            name,
            found.get("imageTagMutability", "MUTABLE"),
            tuple(rule["filter"] for rule in found.get("imageTagMutabilityExclusionFilters", [])),
            bool(found.get("imageScanningConfiguration", {}).get("scanOnPush", False)),
        )
        self._remember(repository)
        return repository

    def digest_of(self, repository: str, reference: str) -> str | None:
        """Digest of the image with this tag or digest, or none where ECR has none."""
        key = "imageDigest" if ":" in reference else "imageTag"
        try:
            images = self._client.describe_images(repositoryName=repository, imageIds=[{key: reference}])
        except ClientError as error:
            if error.response["Error"]["Code"] == "ImageNotFoundException":
                return None
            raise
        return str(images["imageDetails"][0]["imageDigest"])

    def put(self, repository: str, tag: str | None, image: Manifest, pushed: float | None = None) -> None:
        """Enter an image, as pushed now or at another Unix time; harmless where it is entered already."""
        if self.digest_of(repository, tag or image.digest) == image.digest:
            return
        token = _PUSHED.set(pushed)
        try:
            self._client.put_image(
                repositoryName=repository,
                imageManifest=image.text,
                imageManifestMediaType=image.media_type,
                imageDigest=image.digest,
                **({"imageTag": tag} if tag else {}),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ImageAlreadyExistsException":
                raise
            if self.digest_of(repository, tag or image.digest) != image.digest:
                raise
        finally:
            _PUSHED.reset(token)

    def restore(self, name: str) -> bool:
        """Make a repository again that the API lost; tells whether it had to.

        Only what the registry holds is restored, so that a lost unit of infrastructure is still a lost one: the
        repository carries a tag by which the next CreateRepository adopts it.
        """
        if self.repository(name):
            return False
        before = self._ledgered().get(name, Repository(name))
        rules = [{"filterType": "WILDCARD", "filter": pattern} for pattern in before.exclusions]
        self._client.create_repository(
            repositoryName=name,
            imageTagMutability=before.mutability,
            imageScanningConfiguration={"scanOnPush": before.scan_on_push},
            tags=[{"Key": RESTORED, "Value": "true"}],
            **({"imageTagMutabilityExclusionFilters": rules} if rules else {}),
        )
        _log.warning("The AWS API had lost repository %s; it was made again, %s.", name, before.mutability)
        return True

    def _ledgered(self) -> dict[str, Repository]:
        with self._lock:
            if self._known is None:
                text = self._ledger.read_text() if self._ledger.exists() else "{}"
                entries = json.loads(text).items()
                self._known = {
                    name: Repository(**{**entry, "exclusions": tuple(entry["exclusions"])}) for name, entry in entries
                }
            return dict(self._known)

    def _remember(self, repository: Repository) -> None:
        known = self._ledgered()
        if known.get(repository.name) == repository:
            return
        with self._lock:
            self._known = {**known, repository.name: repository}
            half = self._ledger.with_suffix(f".{os.getpid()}")
            half.write_text(json.dumps({name: asdict(entry) for name, entry in self._known.items()}, indent=1))
            half.replace(self._ledger)


def _date(request: Any, **_: Any) -> None:
    """Give a PutImage the time at which its image was pushed, where that was not now."""
    if (pushed := _PUSHED.get()) is not None:
        request.headers[PUSHED_AT] = str(int(pushed))
