"""The Docker engine of the sandbox: its base image, and a private engine that leaves nothing behind."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sandbox import daemon
from sandbox.docker import Docker
from sandbox.docker.base_image import NAME
from sandbox.docker.engine import Engine, remember
from sandbox.docker.leftovers import cgroup
from sandbox.world import World


def run(world: World, *command: str, detach: bool = False) -> str:
    client = Engine(world.docker_host, own=False).client()
    try:
        done = client.containers.run(NAME, list(command), network_mode="host", remove=not detach, detach=detach)
        return "" if detach else done.decode()
    finally:
        client.close()


def left(world: World) -> list[str]:
    """Processes, mounts and cgroups of an engine."""
    folder = f"{world.state}/"
    found = [
        f"process {process.pid}"
        for process in psutil.process_iter(["cmdline"])
        if any(argument.startswith(folder) for argument in process.info["cmdline"] or [])
    ]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if folder in line]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/{cgroup(world)}")]
    return found


@pytest.fixture
def alone(world: World) -> Iterator[World]:
    """A second sandbox's private engine, beside the world's; sockets need a short path."""
    folder = Path(tempfile.mkdtemp(prefix="sy-"))
    beside = World(source=world.source, state=folder, cache=world.cache)
    remember(beside, Engine(f"unix://{folder}/docker/docker.sock", own=True))
    yield beside
    Docker().stop(beside)
    shutil.rmtree(folder)


def test_the_base_image_is_small_and_runs_what_a_service_needs(world: World) -> None:
    told = run(
        world,
        "python3",
        "-c",
        "import http.server, json, sqlite3, ssl; print(ssl.create_default_context().cert_store_stats())",
    )
    assert "'x509_ca': 1" in told
    client = Engine(world.docker_host, own=False).client()
    assert client.images.get(NAME).attrs["Size"] < 130_000_000
    client.close()


def test_a_private_engine_leaves_nothing_even_when_it_was_killed(alone: World) -> None:
    Docker().bring_up(alone)
    run(alone, "python3", "-c", "import time; time.sleep(600)", detach=True)
    assert left(alone)
    process = psutil.Process(daemon.recorded(alone)["dockerd"])
    process.send_signal(signal.SIGKILL)
    psutil.wait_procs([process], timeout=10)
    Docker().stop(alone)
    assert left(alone) == []


def test_a_killed_engine_comes_up_again(alone: World) -> None:
    Docker().bring_up(alone)
    process = psutil.Process(daemon.recorded(alone)["dockerd"])
    process.send_signal(signal.SIGKILL)
    psutil.wait_procs([process], timeout=10)
    Docker().bring_up(alone)
    assert run(alone, "python3", "-c", "print(42)").strip() == "42"
