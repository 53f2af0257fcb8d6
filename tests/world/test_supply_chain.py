"""What an environment asks of an image's origin, on real parts: syft, cosign, ECR's gate, a deploy that goes live."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from deployments.client import Run
from sandbox.aws.client import client
from sandbox.docker.base_image import NAME
from sandbox.world import HOST, World
from symphony import tool
from tasks.oci_registry import MANIFEST, OciRegistry
from tasks.sbom import SPDX
from tasks.signature import BUNDLE
from tests.world.seat import NUMBERS, Seat

_KEYS = {"key": "env://COSIGN_PRIVATE_KEY", "public_key": "env://COSIGN_PUBLIC_KEY"}
STRICT = {"sbom": "required", "signature": {**_KEYS, "required": True}}
FINDING = "CVE-9999-9999"
"""The one finding that moto's ECR has, of severity HIGH."""


@dataclass
class Origin(Seat):
    """The flow deploy of dev, and ECR."""

    def asking(self, asked: dict[str, Any]) -> str:
        """A branch where dev asks for this, with a greeting of its own."""
        name = f"try-{next(NUMBERS)}"

        def edit(copy: Path) -> None:
            path, yaml = copy / "symphony.yaml", YAML()
            configuration = yaml.load(path)
            configuration["environments"]["dev"]["supply_chain"] = asked
            yaml.dump(configuration, path)
            (copy / "apps/hello/greeting.txt").write_text(f"Hello from {name}\n")

        return self.branch(edit, name)

    def deploy(self, branch: str, digest: str = "") -> Run:
        """A deploy to dev, as it ends: of the branch's own image, or of another."""
        chosen = {"images": {"hello": digest}} if digest else {"applications": ["hello"]}
        return self.start("deploy", commit=branch, force=True, **chosen)

    @property
    def digest(self) -> str:
        return str(json.loads(self.answer("/version"))["digest"])

    def written(self) -> str:
        """The commit of dev's desired state."""
        self.git("fetch", "--quiet", "origin")
        return self.git("rev-parse", "origin/env/dev")

    def registry(self) -> OciRegistry:
        return OciRegistry(httpx.Client(base_url=f"http://{HOST}:{self.world.ports.ecr}", auth=self.login()))

    def referrers(self, digest: str) -> set[str]:
        return {one.artifact_type for one in self.registry().referrers("dev/hello", digest)}

    def pushed(self, folder: Path) -> str:
        """Digest of an image pushed by somebody else's means."""
        name = f"{HOST}:{self.world.ports.ecr}/dev/hello:foreign-{next(NUMBERS)}"
        environment = {"DOCKER_HOST": self.world.docker_host, "DOCKER_CONFIG": str(folder)}
        user, password = self.login()
        docker = ["docker", "--host", self.world.docker_host]
        tool.run(
            [*docker, "login", "--username", user, "--password-stdin", name.split("/", maxsplit=1)[0]],
            env=environment,
            stdin=password,
        )
        (folder / "Dockerfile").write_text(f"FROM {NAME}\nENV NUMBER={next(NUMBERS)}\n")
        tool.run([*docker, "build", "--quiet", "--tag", name, folder], env=environment, limit=120)
        tool.run([*docker, "push", "--quiet", name], env=environment, limit=120)
        tag = name.rpartition(":")[2]
        image = {"repositoryName": "dev/hello", "imageIds": [{"imageTag": tag}]}
        return str(client(self.world, "ecr").describe_images(**image)["imageDetails"][0]["imageDigest"])


@pytest.fixture(scope="module")
def seat(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """Dev as it asks for SBOM and signature, with a version that has both; main's own is put there again in the end."""
    seat = Origin.take(world, tmp_path_factory.mktemp("supply"))
    ended = seat.start("provision", commit="main")
    assert ended.succeeded, ended.message
    branch = seat.asking(STRICT)
    ended = seat.deploy(branch)
    assert ended.succeeded, ended.message
    assert seat.answer() == f"Hello from {branch}"
    yield seat
    ended = seat.deploy("main")
    assert ended.succeeded, ended.message


@pytest.fixture(scope="module")
def foreign(seat: Origin, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image that nobody signed."""
    return seat.pushed(tmp_path_factory.mktemp("foreign"))


def test_a_signed_image_with_its_sbom_goes_live_where_both_are_required(seat: Origin) -> None:
    digest = seat.digest
    assert seat.referrers(digest) == {SPDX, BUNDLE}
    listed = client(seat.world, "ecr").describe_images(repositoryName="dev/hello")["imageDetails"]
    attached = [image for image in listed if image.get("artifactMediaType") in {SPDX, BUNDLE}]
    assert attached
    assert all("imageTags" not in image for image in attached), "the watch would take it for a candidate"
    before = len(attached)
    ended = seat.deploy(seat.asking(STRICT), digest)
    assert ended.succeeded, ended.message
    assert "check origin of hello" in [task.name for task in seat.api.tasks(ended.id)]
    listed = client(seat.world, "ecr").describe_images(repositoryName="dev/hello")["imageDetails"]
    assert len([image for image in listed if image.get("artifactMediaType") in {SPDX, BUNDLE}]) == before


def test_an_image_pushed_without_is_refused_before_anything_is_written(seat: Origin, foreign: str) -> None:
    before = seat.written()
    ended = seat.deploy(seat.asking(STRICT), foreign)
    assert ended.state_type == "FAILED"
    assert f"{foreign}, is not let into dev: it has no SBOM and no signature." in ended.message
    assert "build/dev" in ended.message
    assert seat.written() == before


def test_a_signature_by_another_key_or_of_another_image_is_none(seat: Origin, foreign: str, tmp_path: Path) -> None:
    signed_only = {"signature": STRICT["signature"]}
    auth = base64.b64encode(":".join(seat.login()).encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {f"{HOST}:{seat.world.ports.ecr}": {"auth": auth}}}))
    environment = {"DOCKER_CONFIG": str(tmp_path), "COSIGN_PASSWORD": "another"}
    cosign, image = seat.world.tool("cosign"), f"{HOST}:{seat.world.ports.ecr}/dev/hello@{foreign}"
    tool.run([cosign, "generate-key-pair", "--output-key-prefix", tmp_path / "other"], env=environment)
    options = ["--use-signing-config=false", "--tlog-upload=false", "--allow-http-registry"]
    tool.run([cosign, "sign", "--key", tmp_path / "other.key", *options, image], env=environment)
    ended = seat.deploy(seat.asking(signed_only), foreign)
    assert ended.state_type == "FAILED"
    assert "it has no signature that env://COSIGN_PUBLIC_KEY verifies" in ended.message

    registry = seat.registry()
    (good,) = registry.referrers("dev/hello", seat.digest, BUNDLE)
    accepted = {"Accept": MANIFEST}
    manifest = registry.client.get(f"/v2/dev/hello/manifests/{good.digest}", headers=accepted).json()
    bundle = registry.client.get(f"/v2/dev/hello/blobs/{manifest['layers'][0]['digest']}").content
    registry.attach("dev/hello", foreign, BUNDLE, bundle)
    ended = seat.deploy(seat.asking(signed_only), foreign)
    assert ended.state_type == "FAILED"
    assert "it has no signature that env://COSIGN_PUBLIC_KEY verifies" in ended.message


def test_an_sbom_that_somebody_else_attached_is_not_believed(seat: Origin, tmp_path: Path) -> None:
    image = seat.pushed(tmp_path)
    seat.registry().attach("dev/hello", image, SPDX, b'{"spdxVersion": "SPDX-2.3"}')
    ended = seat.deploy(seat.asking(STRICT), image)
    assert ended.state_type == "FAILED"
    assert "it has an SBOM with no signature and no signature." in ended.message


def test_findings_keep_an_image_out_until_they_are_excepted_and_again_when_that_ends(seat: Origin) -> None:
    today = datetime.now(UTC).date()

    def asked(**exception: object) -> dict[str, Any]:
        one = {"finding": FINDING, "reason": "not reachable here", **exception}
        return {"scan": {"refuse": "high", "exceptions": [one] if exception else []}}

    digest = seat.digest
    ended = seat.deploy(seat.asking(asked()), digest)
    assert ended.state_type == "FAILED"
    assert f"ECR's scan found {FINDING} (high), and high or worse is refused." in ended.message
    yesterday = today - timedelta(days=1)
    ended = seat.deploy(seat.asking(asked(expires=yesterday)), digest)
    assert ended.state_type == "FAILED"
    assert f"The exception for {FINDING} ended on {yesterday}." in ended.message
    ended = seat.deploy(seat.asking(asked(expires=today + timedelta(days=1))), digest)
    assert ended.succeeded, ended.message
