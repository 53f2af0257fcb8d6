"""Images on real parts: built side by side, not built again, pushed over a bad line, and never over another image."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from ruamel.yaml import YAML

from deployments.client import Run
from sandbox.aws.client import client
from sandbox.aws.part import login_life_file
from sandbox.docker.engine import Engine
from sandbox.world import HOST, World
from tasks.oci_registry import OciRegistry
from tests.world.gateway import Gateway, before
from tests.world.seat import NUMBERS, Seat

BOTH = ["hello", "greet"]
SLEEP = "import time; time.sleep(3601)"


@dataclass
class Builder(Seat):
    """The flow build of dev, and ECR."""

    def changing(self, *more: Callable[[Path], object]) -> tuple[str, str]:
        """A branch whose applications differ from every other, and its commit."""

        def edit(copy: Path) -> None:
            (copy / "apps/hello/greeting.txt").write_text(f"Hello {next(NUMBERS)}\n")
            with (copy / "apps/greet/greet.py").open("a") as file:
                file.write(f"# {next(NUMBERS)}\n")
            for one in more:
                one(copy)

        return self.branch(edit), self.git("rev-parse", "HEAD")

    def on_top(self, path: str) -> tuple[str, str]:
        """A branch on top of the last one with one more file, and its commit."""
        (self.copy / path).write_text(f"{next(NUMBERS)}\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "try")
        name = f"try-{next(NUMBERS)}"
        self.git("push", "--quiet", "origin", f"HEAD:refs/heads/{name}")
        return name, self.git("rev-parse", "HEAD")

    def build(self, branch: str, applications: list[str] | None = None) -> Run:
        """A run of build, as it ends."""
        return self.start("build", commit=branch, applications=applications or ["hello"])

    def built(self, run: Run) -> set[str]:
        """Applications that the run built."""
        return {task.name.removeprefix("build ") for task in self.api.tasks(run.id) if task.name.startswith("build ")}

    def image(self, commit: str, application: str = "hello") -> dict[str, Any]:
        """What ECR has under a commit's alias."""
        asked = {"repositoryName": f"dev/{application}", "imageIds": [{"imageTag": f"commit-{commit}"}]}
        return dict(client(self.world, "ecr").describe_images(**asked)["imageDetails"][0])

    def containers(self) -> set[str]:
        """Containers of the engine, running or not."""
        engine = Engine(self.world.docker_host, own=False).client()
        try:
            return {one.id or "" for one in engine.containers.list(all=True)}
        finally:
            engine.close()

    def registry(self) -> OciRegistry:
        return OciRegistry(httpx.Client(base_url=f"http://{HOST}:{self.world.ports.ecr}", auth=self.login()))


def sleeping() -> list[psutil.Process]:
    """Processes of a step that sleeps."""
    return [one for one in psutil.process_iter(["cmdline"]) if SLEEP in " ".join(one.info["cmdline"] or [])]


def slow(copy: Path) -> None:
    """An edit by which a step of hello's build never ends."""
    with (copy / "apps/hello/Dockerfile").open("a") as file:
        file.write(f'RUN ["python3", "-c", "{SLEEP}"]\n')


def running(run: Run) -> list[psutil.Process]:
    """Processes of a flow run."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("PREFECT__FLOW_RUN_ID") == run.id:
                found.append(process)
    return found


def configured(*place_and_value: Any) -> Callable[[Path], None]:
    """An edit of ``symphony.yaml``: keys, then the value there."""
    *place, last, value = place_and_value

    def edit(copy: Path) -> None:
        path, yaml = copy / "symphony.yaml", YAML()
        configuration = section = yaml.load(path)
        for key in place:
            section = section[key]
        section[last] = value
        yaml.dump(configuration, path)

    return edit


def through(gateway: Gateway) -> Callable[[Path], None]:
    """An edit by which the registry of dev is reached through a gateway."""
    return configured("environments", "dev", "aws", "registry", f"{HOST}:{gateway.port}")


@pytest.fixture(scope="module")
def seat(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    """Dev with main's image in its repository."""
    seat = Builder.take(world, tmp_path_factory.mktemp("images"))
    repositories = client(world, "ecr").describe_repositories()["repositories"]
    if not {f"dev/{name}" for name in BOTH} <= {one["repositoryName"] for one in repositories}:
        ended = seat.start("provision", commit="main")
        assert ended.succeeded, ended.message
    ended = seat.build("main")
    assert ended.succeeded, ended.message
    return seat


@pytest.fixture
def gateway(world: World) -> Iterator[Gateway]:
    with before(world.ports.ecr) as gateway:
        yield gateway


def test_two_applications_are_built_side_by_side_and_only_once(seat: Builder) -> None:
    branch, commit = seat.changing()
    ended = seat.build(branch, BOTH)
    assert ended.succeeded, ended.message
    assert seat.built(ended) == set(BOTH)
    builds = [task for task in seat.api.tasks(ended.id) if task.name.startswith("build ")]
    assert max(task.start_time or "" for task in builds) < min(task.end_time or "" for task in builds)
    labels = seat.registry().labels("dev/hello", seat.image(commit)["imageDigest"])
    assert labels["org.opencontainers.image.revision"] == commit
    assert labels["org.opencontainers.image.version"] in seat.image(commit)["imageTags"]

    ended = seat.build(branch, BOTH)
    assert ended.succeeded, ended.message
    assert seat.built(ended) == set()
    assert (seat.api.artifact(ended.id, "images-dev") or "").count("found in ECR") == len(BOTH)


def test_a_file_outside_the_context_builds_nothing_and_the_image_gets_the_commits_alias(seat: Builder) -> None:
    branch, commit = seat.changing()
    assert seat.build(branch).succeeded
    for path in ("README.md", "apps/hello/notes.txt"):  # the second one .dockerignore leaves out
        branch, later = seat.on_top(path)
        ended = seat.build(branch)
        assert ended.succeeded, ended.message
        assert seat.built(ended) == set()
        assert seat.image(later)["imageDigest"] == seat.image(commit)["imageDigest"]


def test_a_login_that_expired_is_got_anew(seat: Builder) -> None:
    branch, commit = seat.changing()
    life = login_life_file(seat.world)
    seat.world.write(life, "0")
    try:
        run = seat.api.start("build", "dev", {"commit": branch, "applications": ["hello"]})
        for _, tasks in seat.api.follow(run.id):
            if any(task.name == "push hello" and task.state_name in {"AwaitingRetry", "Retrying"} for task in tasks):
                break
    finally:
        life.unlink()
    ended = seat.ended(run)
    assert ended.succeeded, ended.message
    assert seat.image(commit)


def test_a_registry_cut_off_half_way_through_a_layer_gets_the_whole_image(seat: Builder, gateway: Gateway) -> None:
    content = os.urandom(6_000_000)
    branch, commit = seat.changing(
        lambda copy: (copy / "apps/hello/greeting.txt").write_bytes(content), through(gateway)
    )
    gateway.cut = 3_000_000
    ended = seat.build(branch)
    assert ended.succeeded, ended.message
    assert gateway.cuts == 1
    registry, digest = seat.registry(), seat.image(commit)["imageDigest"]
    manifest = registry.client.get(
        f"/v2/dev/hello/manifests/{digest}", headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
    ).json()
    (layer,) = (layer for layer in manifest["layers"] if 6_000_000 < layer["size"] < 7_000_000)
    assert len(registry.client.get(f"/v2/dev/hello/blobs/{layer['digest']}").content) == layer["size"]


def test_a_tag_taken_by_other_content_is_an_error_that_says_so(seat: Builder, gateway: Gateway) -> None:
    other = seat.image(seat.git("rev-parse", "origin/main"))["imageDigest"]
    gateway.before_put = lambda tag: seat.registry().tag("dev/hello", other, tag)
    branch, _ = seat.changing(through(gateway))
    ended = seat.build(branch)
    assert ended.state_type == "FAILED"
    assert f"was taken by other content, {other}" in ended.message
    assert "immutable" in ended.message


def test_a_build_cancelled_in_the_ui_leaves_no_container_and_no_process(seat: Builder) -> None:
    before = seat.containers()
    branch, _ = seat.changing(slow)
    run = seat.api.start("build", "dev", {"commit": branch, "applications": ["hello"]})
    deadline = time.monotonic() + 60
    while not sleeping():
        assert time.monotonic() < deadline, "the step did not begin"
        time.sleep(0.1)
    assert seat.containers() > before
    seat.api.cancel(run.id)  # what the UI's button asks of the API
    asked = time.monotonic()
    assert seat.ended(run).state_type == "CANCELLED"
    while sleeping() or seat.containers() != before or running(run):
        assert time.monotonic() < asked + 60, (sleeping(), seat.containers() - before, running(run))
        time.sleep(0.1)
    assert time.monotonic() < asked + 25, "it went on until Prefect killed its process"


def test_a_build_that_takes_too_long_is_ended_and_leaves_nothing(seat: Builder) -> None:
    before = seat.containers()
    branch, _ = seat.changing(slow, configured("build", {"timeout": 3}))
    ended = seat.build(branch)
    assert ended.state_type == "FAILED"
    assert "The build of hello was ended after 3 s, its time limit." in ended.message
    assert not sleeping()
    assert seat.containers() == before
