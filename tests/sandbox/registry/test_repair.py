import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.aws.ecr_names import RESTORED
from sandbox.registry.ecr import Books, Repository
from sandbox.registry.manifest import MEDIA_TYPES, Manifest
from sandbox.registry.referrers import Referrers
from sandbox.registry.repair import pushed_at, repair

DIGEST = f"sha256:{'1' * 64}"


class Events:
    def register(self, *_: Any) -> None:
        """The tests look at no header."""


@dataclass
class Ecr:
    """ECR's API, in memory."""

    repositories: dict[str, dict[str, Any]] = field(default_factory=dict)
    images: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def meta(self) -> Any:
        return type("Meta", (), {"events": Events()})

    def describe_repositories(self, repositoryNames: list[str]) -> dict[str, Any]:  # noqa: N803 - boto3's own
        if repositoryNames[0] not in self.repositories:
            raise ClientError({"Error": {"Code": "RepositoryNotFoundException"}}, "DescribeRepositories")
        return {"repositories": [self.repositories[repositoryNames[0]]]}

    def create_repository(self, repositoryName: str, **settings: Any) -> None:  # noqa: N803 - boto3's own
        self.repositories[repositoryName] = settings

    def describe_images(self, repositoryName: str, imageIds: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        (reference,) = imageIds[0].values()
        if (repositoryName, reference) not in self.images:
            raise ClientError({"Error": {"Code": "ImageNotFoundException"}}, "DescribeImages")
        return {"imageDetails": [{"imageDigest": self.images[repositoryName, reference]}]}

    def put_image(self, **image: str) -> None:
        for reference in (image.get("imageTag"), image["imageDigest"]):
            if reference:
                self.images[image["repositoryName"], reference] = image["imageDigest"]


class Registry:
    """A registry that holds one image and one empty repository."""

    async def catalog(self) -> list[str]:
        return ["dev/hello", "empty"]

    async def tags(self, repository: str) -> list[str]:
        return ["one"] if repository == "dev/hello" else []

    async def manifest(self, *_: str) -> Manifest:
        return Manifest(DIGEST, MEDIA_TYPES[2], "{}")


def restored(ecr: Ecr, folder: Path) -> dict[str, list[str]]:
    books, referrers = Books(ecr, folder / "ledger.json"), Referrers(folder / "referrers")
    return asyncio.run(repair(books, Registry(), referrers, folder))  # type: ignore[arg-type]


def test_what_the_api_lost_is_put_back_as_it_was(tmp_path: Path) -> None:
    before = Ecr({"dev/hello": {"imageTagMutability": "IMMUTABLE", "imageScanningConfiguration": {"scanOnPush": True}}})
    assert Books(before, tmp_path / "ledger.json").repository("dev/hello")
    lost = Ecr()
    assert restored(lost, tmp_path) == {"repositories": ["dev/hello"], "images": ["dev/hello:one"]}
    made = lost.repositories["dev/hello"]
    assert made["imageTagMutability"] == "IMMUTABLE"
    assert made["imageScanningConfiguration"] == {"scanOnPush": True}
    assert made["tags"] == [{"Key": RESTORED, "Value": "true"}]
    assert lost.images == {("dev/hello", "one"): DIGEST, ("dev/hello", DIGEST): DIGEST}


def test_nothing_lost_is_nothing_done(tmp_path: Path) -> None:
    lost = Ecr()
    restored(lost, tmp_path)
    assert restored(lost, tmp_path) == {"repositories": [], "images": []}


def test_a_signature_that_the_api_lost_is_put_back_by_digest(tmp_path: Path) -> None:
    referrer = Manifest(f"sha256:{'2' * 64}", MEDIA_TYPES[2], json.dumps({"subject": {"digest": DIGEST}}))
    Referrers(tmp_path / "referrers").keep("dev/hello", referrer)
    lost = Ecr()
    assert f"dev/hello@{referrer.digest}" in restored(lost, tmp_path)["images"]


def test_a_repository_without_images_is_left_to_provisioning(tmp_path: Path) -> None:
    lost = Ecr()
    restored(lost, tmp_path)
    assert "empty" not in lost.repositories


def test_a_repository_nobody_knew_is_mutable(tmp_path: Path) -> None:
    lost = Ecr()
    restored(lost, tmp_path)
    assert lost.repositories["dev/hello"]["imageTagMutability"] == Repository("any").mutability == "MUTABLE"


def test_the_push_time_is_read_from_the_registrys_files(tmp_path: Path) -> None:
    revision = tmp_path / "docker/registry/v2/repositories/dev/hello/_manifests/revisions/sha256" / ("1" * 64)
    revision.mkdir(parents=True)
    (revision / "link").write_text(DIGEST)
    assert pushed_at(tmp_path, "dev/hello", DIGEST) == pytest.approx((revision / "link").stat().st_mtime)
    assert pushed_at(tmp_path, "dev/other", DIGEST) is None
