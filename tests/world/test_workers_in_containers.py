"""Runs as containers of a Docker engine: a release by Prefect's own worker, from the image that this project builds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect_docker.worker import DockerWorker

from sandbox.docker.engine import choose
from sandbox.prefect import jobs
from sandbox.prefect.environment import auth_string
from sandbox.world import World
from tests.world.seat import NUMBERS, Seat, until

POOL = "try-containers"
NOBODY = 10001


@pytest.fixture
def image(world: World) -> str:
    return jobs.image(world)


@pytest.fixture
def seat(world: World, image: str, tmp_path: Path) -> Iterator[Seat]:
    """A seat where releases of dev go to a worker of the Docker engine, beside the sandbox's own."""
    seat = Seat.take(world, tmp_path)
    files = tmp_path / "files"
    files.mkdir(mode=0o755)
    for name, text in jobs.files(world).items():
        (files / name).write_text(text)
    socket = Path(world.docker_host.removeprefix("unix://"))
    # As the engine's group; its folder is closed to all but root still.
    os.chown(socket, -1, NOBODY)
    socket.chmod(0o660)
    template = DockerWorker.get_default_base_job_template()
    own = {"PREFECT_API_URL": f"{world.prefect_url}/api", "PREFECT_API_AUTH_STRING": auth_string(world)}
    for name, value in {
        "command": "python -m deployments.engine",
        "image": image,
        "image_pull_policy": "IfNotPresent",
        "env": jobs.environment(world) | own | {"DOCKER_HOST": "unix:///run/docker.sock"},
        "network_mode": "host",
        "volumes": [
            *(f"{files / name}:{path}:ro" for name, path in jobs.paths(world).items()),
            f"{socket}:/run/docker.sock",
        ],
        "container_create_kwargs": {"read_only": True, "cap_drop": ["ALL"],
                                    "tmpfs": {"/tmp": "", "/home/symphony": "uid=10001,exec"}},  # noqa: S108 - in the container
    }.items():  # fmt: skip
        template["variables"]["properties"][name]["default"] = value
    (tmp_path / "pool.json").write_text(json.dumps(template))
    prefect = [sys.executable, "-m", "prefect"]
    made = [*prefect, "work-pool", "create", POOL, "--type", "docker", "--base-job-template", tmp_path / "pool.json"]
    # A worker hands what it has of Prefect's settings to its containers, where this machine's paths are nothing.
    environment = own | {"DOCKER_HOST": world.docker_host, "PATH": world.path, "HOME": str(tmp_path)}
    subprocess.run(made, env=environment, cwd=tmp_path, check=True)
    deployment = seat.api.call("GET", "/deployments/name/release/dev")
    where = f"/deployments/{deployment['id']}"
    before = {name: deployment[name] for name in ("work_pool_name", "work_queue_name")}
    with subprocess.Popen([*prefect, "worker", "start", "--pool", POOL], env=environment, cwd=tmp_path) as worker:
        try:
            online = {"workers": {"status": {"any_": ["ONLINE"]}}}
            until(lambda: seat.api.call("POST", f"/work_pools/{POOL}/workers/filter", online), "a worker")
            seat.api.call("PATCH", where, {"work_pool_name": POOL, "work_queue_name": "default"})
            yield seat
        finally:
            seat.api.call("PATCH", where, before)
            worker.terminate()
            worker.wait(60)
            socket.chmod(0o600)
            seat.api.call("DELETE", f"/work_pools/{POOL}")


def test_a_release_is_a_container_of_a_pinned_image_that_is_nobody(seat: Seat, image: str) -> None:
    greeting = f"Hello from a container, number {next(NUMBERS)}"

    def edit(copy: Path) -> None:
        (copy / "apps/hello/greeting.txt").write_text(f"{greeting}\n")
        with (copy / "infra/live/dev/registry/terragrunt.hcl").open("a") as unit:
            unit.write(f"# {greeting}\n")  # so that it is planned, whatever ran before

    ended = seat.start("release", commit=seat.branch(edit))
    assert ended.succeeded, ended.message
    assert seat.answer() == greeting
    docker = choose(seat.world).client()
    try:
        (container,) = docker.containers.list(all=True, filters={"label": f"io.prefect.flow-run-id={ended.id}"})
        container.wait(timeout=60)
        container.reload()
        assert container.attrs["State"]["ExitCode"] == 0
        assert container.attrs["Config"]["Image"] == image
        assert "@sha256:" in image
        assert container.attrs["Config"]["User"] not in {"", "0", "root"}
        assert container.attrs["HostConfig"]["ReadonlyRootfs"]
        container.remove()
    finally:
        docker.close()
