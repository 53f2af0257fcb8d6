"""Which Docker engine the sandbox uses: chosen once, remembered in the state folder."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import docker
from docker.errors import DockerException

from sandbox.world import World

_SYSTEM = Path("/var/run/docker.sock")


@dataclass(frozen=True)
class Engine:
    """A Docker engine.

    Attributes:
        host: Its address, as ``DOCKER_HOST`` takes it.
        own: Whether the sandbox runs it.
        driver: Storage driver of an own one; changing it would hide its images.
    """

    host: str
    own: bool
    driver: str = ""

    def client(self, timeout: int = 60) -> docker.DockerClient:
        """A client with the given time limit in seconds a call."""
        return docker.from_env(timeout=timeout, environment={**os.environ, "DOCKER_HOST": self.host})

    def answers(self) -> bool:
        """Whether it answers within a second."""
        try:
            client = self.client(timeout=1)
            try:
                return bool(client.ping())
            finally:
                client.close()
        except (DockerException, OSError):
            return False


def own_socket(world: World) -> Path:
    """Socket of the sandbox's own engine."""
    return world.state / "docker" / "docker.sock"


def remembered(world: World) -> Engine | None:
    """The engine chosen before, or none."""
    path = world.state / "docker" / "engine.json"
    return Engine(**json.loads(path.read_text())) if path.exists() else None


def choose(world: World) -> Engine:
    """The engine chosen before while it is there; else one that runs; else an own one that is still to be started."""
    before = remembered(world)
    if before and (before.own or before.answers()):
        return before
    for host in (os.environ.get("DOCKER_HOST"), f"unix://{_SYSTEM}" if _SYSTEM.exists() else None):
        found = Engine(host or "", own=False)
        if host and host != f"unix://{own_socket(world)}" and found.answers():
            return remember(world, found)
    return remember(world, Engine(f"unix://{own_socket(world)}", own=True))


def remember(world: World, engine: Engine) -> Engine:
    """Keep the choice, for this and every other process of the sandbox."""
    world.write(world.folder("docker") / "engine.json", json.dumps(asdict(engine)))
    return engine
