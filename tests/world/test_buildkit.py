"""Images by BuildKit on real parts: caches in the registry, build secrets, two platforms, and an end when asked for."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.aws.client import client
from sandbox.docker.base_image import NAME
from sandbox.docker.engine import Engine
from sandbox.world import HOST, World
from tests.world.builder import Builder, cancelled, configured, sleeping, slow

CACHE, BASE = "dev/build-cache", "dev/build-base"


@dataclass
class BuildKit:
    """A BuildKit of the test's own, and dev, which builds by it.

    Attributes:
        folder: Its state and socket; sockets need a short path.
        base: The sandbox's base image in the registry, where BuildKit looks for it.
    """

    seat: Builder
    folder: Path
    base: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it with nothing in its cache."""
        self.stop()
        command = [
            *(str(self.seat.world.tool("buildkitd")), "--addr", self.address),
            *("--root", str(self.folder / uuid.uuid4().hex[:8]), "--containerd-worker=false"),
            *("--oci-worker-net", "host"),
        ]
        environment = os.environ | {"PATH": self.seat.world.path}
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 30
        while not (self.folder / "socket").exists():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """End it and what it runs."""
        if self.process:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            (self.folder / "socket").unlink(missing_ok=True)

    @property
    def address(self) -> str:
        return f"unix://{self.folder}/socket"

    def edits(self, dockerfile: str, **build: object) -> tuple[Callable[[Path], object], ...]:
        """Edits by which hello is built by BuildKit from a Dockerfile."""
        return (
            configured("build", {"builder": "buildkit", "address": self.address, **build}),
            lambda copy: (copy / "apps/hello/Dockerfile").write_text(dockerfile),
            configured("applications", "hello", "build_args", {"BASE": self.base}),
        )


@pytest.fixture(scope="module")
def buildkit(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildKit]:
    seat = Builder.take(world, tmp_path_factory.mktemp("buildkit")).provisioned()
    ecr = client(world, "ecr")
    for name in (CACHE, BASE):
        with contextlib.suppress(ecr.exceptions.RepositoryAlreadyExistsException):
            ecr.create_repository(repositoryName=name)
    base = f"{HOST}:{world.ports.ecr}/{BASE}"
    engine = Engine(world.docker_host, own=False).client()
    engine.images.get(NAME).tag(base, "1")
    user, password = seat.login()
    told = engine.images.push(base, tag="1", auth_config={"username": user, "password": password})
    assert "error" not in told, told
    engine.images.remove(f"{base}:1")
    engine.close()
    with tempfile.TemporaryDirectory(prefix="sy-") as folder:
        made = BuildKit(seat, Path(folder), f"{base}:1")
        made.start()
        yield made
        made.stop()
    for name in (CACHE, BASE):
        ecr.delete_repository(repositoryName=name, force=True)


SECRET = """\
ARG BASE
FROM ${BASE}
RUN --mount=type=secret,id=token echo "got $(cat /run/secrets/token)" && date +%N > /made
COPY hello.py greeting.txt /app/
"""


def test_secrets_are_masked_and_a_new_builder_takes_what_it_can_from_the_registry(
    buildkit: BuildKit, tmp_path: Path
) -> None:
    seat, secret = buildkit.seat, uuid.uuid4().hex
    (tmp_path / "token").write_text(f"{secret}\n")
    edits = (
        *buildkit.edits(SECRET, cache="{environment}/build-cache"),
        configured("applications", "hello", "build_secrets", {"token": str(tmp_path / "token")}),
    )
    branch, commit = seat.changing(*edits)
    ended = seat.build(branch)
    assert ended.succeeded, ended.message
    said = seat.logs(ended)
    assert "got ********" in said
    assert secret not in said
    labels = seat.registry().labels("dev/hello", seat.image(commit)["imageDigest"])
    assert labels["org.opencontainers.image.revision"] == commit

    ended = seat.build(branch)
    assert ended.succeeded, ended.message
    assert seat.built(ended) == set()

    buildkit.start()
    branch, later = seat.changing(*edits)
    ended = seat.build(branch)
    assert ended.succeeded, ended.message
    said = seat.logs(ended)
    assert "CACHED" in said
    assert "got ********" not in said, "the step ran again"
    assert seat.image(later)["imageDigest"] != seat.image(commit)["imageDigest"]


def test_an_image_for_two_platforms_is_the_same_wherever_it_is_built(buildkit: BuildKit) -> None:
    seat, platforms = buildkit.seat, ["linux/amd64", "linux/arm64"]
    branch, commit = seat.changing(
        *buildkit.edits("FROM scratch\nCOPY hello.py greeting.txt /app/\n"),
        configured("applications", "hello", "platforms", platforms),
    )
    ended = seat.build(branch)
    assert ended.succeeded, ended.message
    digest = seat.image(commit)["imageDigest"]
    index = seat.registry().client.get(
        f"/v2/dev/hello/manifests/{digest}", headers={"Accept": "application/vnd.oci.image.index.v1+json"}
    )
    built = [one["platform"] for one in index.json()["manifests"]]
    assert [f"{one['os']}/{one['architecture']}" for one in built] == platforms

    client(seat.world, "ecr").batch_delete_image(repositoryName="dev/hello", imageIds=[{"imageDigest": digest}])
    buildkit.start()
    ended = seat.build(branch)
    assert ended.succeeded, ended.message
    assert seat.built(ended) == {"hello"}
    assert seat.image(commit)["imageDigest"] == digest


def test_a_build_by_buildkit_cancelled_in_the_ui_leaves_no_process(buildkit: BuildKit) -> None:
    branch, _ = buildkit.seat.changing(*buildkit.edits("ARG BASE\nFROM ${BASE}\n"), slow)
    cancelled(buildkit.seat, branch)
    assert not sleeping()
