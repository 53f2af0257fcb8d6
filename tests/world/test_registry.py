"""ECR as the sandbox plays it: real Docker pushes through the gate, seen through the real API."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from sandbox import daemon
from sandbox.aws.client import client
from sandbox.aws.part import login_life_file
from sandbox.docker.base_image import NAME
from sandbox.lifecycle import up
from sandbox.world import HOST, World
from symphony import tool
from symphony.errors import ToolError


@dataclass
class Shelf:
    """A repository of the test's own, and a Docker client with a login of its own."""

    world: World
    repository: str
    folder: Path

    @property
    def image(self) -> str:
        return f"{HOST}:{self.world.ports.ecr}/{self.repository}"

    def docker(self, *arguments: str | Path, stdin: str | None = None) -> str:
        environment = {"DOCKER_HOST": self.world.docker_host, "DOCKER_CONFIG": str(self.folder / "docker")}
        lines: list[str] = []
        tool.run(["docker", *arguments], env=environment, stdin=stdin, limit=120, on_line=lines.append)
        return "\n".join(lines)

    def login(self) -> None:
        entry = client(self.world, "ecr").get_authorization_token()["authorizationData"][0]
        password = base64.b64decode(entry["authorizationToken"]).decode().partition(":")[2]
        self.docker("login", "--username", "AWS", "--password-stdin", entry["proxyEndpoint"], stdin=password)

    def build(self, tag: str) -> str:
        """Build an image that differs from every other, and tag it."""
        (self.folder / "content").write_text(uuid.uuid4().hex)
        (self.folder / "Dockerfile").write_text(f"FROM {NAME}\nCOPY content /content\nRUN python3 -c 'import ssl'\n")
        self.docker("build", "--quiet", "--network", "host", "--tag", f"{self.image}:{tag}", self.folder)
        return f"{self.image}:{tag}"

    def images(self) -> dict[str, Any]:
        found = client(self.world, "ecr").describe_images(repositoryName=self.repository)["imageDetails"]
        return {tag: image for image in found for tag in image.get("imageTags", [])}


@pytest.fixture
def shelf(world: World, tmp_path: Path) -> Iterator[Shelf]:
    name = f"test/{uuid.uuid4().hex[:8]}"
    ecr = client(world, "ecr")
    ecr.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
    (tmp_path / "docker").mkdir()
    yield Shelf(world, name, tmp_path)
    ecr.delete_repository(repositoryName=name, force=True)


def test_a_push_is_seen_in_ecr_when_it_is_done(shelf: Shelf) -> None:
    shelf.login()
    told = shelf.docker("push", shelf.build("one"))
    image = shelf.images()["one"]
    assert image["imageDigest"] in told
    assert image["imageSizeInBytes"] > 10_000_000


def test_a_taken_immutable_tag_is_refused(shelf: Shelf) -> None:
    shelf.login()
    shelf.docker("push", shelf.build("one"))
    before = shelf.images()["one"]["imageDigest"]
    with pytest.raises(ToolError, match="immutable"):
        shelf.docker("push", shelf.build("one"))
    assert shelf.images()["one"]["imageDigest"] == before


def test_no_login_and_an_expired_login_are_refused(shelf: Shelf) -> None:
    name = shelf.build("one")
    with pytest.raises(ToolError, match=r"no basic auth credentials|unauthorized"):
        shelf.docker("push", name)
    life = login_life_file(shelf.world)
    shelf.world.write(life, "0")
    try:
        with pytest.raises(ToolError, match=r"401|expired"):
            shelf.login()
    finally:
        life.unlink()


def test_a_repository_that_does_not_exist_is_refused_by_name(shelf: Shelf) -> None:
    shelf.login()
    missing = f"{HOST}:{shelf.world.ports.ecr}/test/missing:one"
    shelf.docker("tag", shelf.build("one"), missing)
    with pytest.raises(ToolError, match="test/missing"):
        shelf.docker("push", missing)


def test_an_image_deleted_in_ecr_cannot_be_pulled(shelf: Shelf) -> None:
    shelf.login()
    name = shelf.build("one")
    shelf.docker("push", name)
    client(shelf.world, "ecr").batch_delete_image(repositoryName=shelf.repository, imageIds=[{"imageTag": "one"}])
    with pytest.raises(ToolError, match=r"no image|not found|unknown"):
        shelf.docker("pull", name)


def test_images_are_put_back_after_the_api_was_killed(shelf: Shelf) -> None:
    shelf.login()
    shelf.docker("push", shelf.build("one"))
    before = shelf.images()["one"]
    process = psutil.Process(daemon.recorded(shelf.world)["aws"])
    process.kill()
    psutil.wait_procs([process], timeout=10)
    # The whole of it: what was provisioned is lost too, and other tests rest on it.
    up(shelf.world)
    after = shelf.images()["one"]
    assert after["imageDigest"] == before["imageDigest"]
    assert abs((after["imagePushedAt"] - before["imagePushedAt"]).total_seconds()) <= 1
    settings = client(shelf.world, "ecr").describe_repositories(repositoryNames=[shelf.repository])["repositories"][0]
    assert settings["imageTagMutability"] == "IMMUTABLE"


def test_the_sandboxs_secrets_are_the_owners_alone(world: World) -> None:
    for path in (world.state / "aws" / "credentials", world.state / "registry" / "gate.json"):
        assert path.stat().st_mode & 0o077 == 0
    processes = json.dumps(
        {name: Path(f"/proc/{pid}/cmdline").read_text() for name, pid in daemon.recorded(world).items()}
    )
    for secret in ("aws-secret-key", "registry-password", "ecr-login", "registry-notifications", "git-password"):
        assert world.secret(secret) not in processes
