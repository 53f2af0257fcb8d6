"""The part ``docker``: chooses the engine, starts the private one where none runs, and gives it the base image."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from docker.errors import DockerException

from sandbox.daemon import Daemon, recorded
from sandbox.docker import base_image, leftovers
from sandbox.docker.engine import Engine, choose, own_socket, remember, remembered
from sandbox.part import NotReadyError, Part
from sandbox.world import World
from symphony import tool
from symphony.errors import BadInputError, ToolError

_DAEMON = "dockerd"
_SOCKET_PATH = 107
"""Bytes that the path of a socket may have (unix(7))."""


class Docker(Part):
    """A Docker engine with the base image in it.

    Attributes:
        progress: Called with a line for each step of making the base image.
    """

    name: ClassVar[str] = "docker"
    daemons: ClassVar[tuple[str, ...]] = (_DAEMON,)
    limit: ClassVar[float] = 30.0
    hint: ClassVar[str] = (
        "A private engine needs root and the kernel's overlay or plain folders, namespaces and cgroups."
    )
    progress: Callable[[str], None] | None = None

    def ports(self, world: World) -> Mapping[str, int]:
        """None: the engine listens on a socket."""
        del world
        return {}

    def start(self, world: World) -> None:
        """Start the private engine where none runs, then make and import the base image where it is missing."""
        engine = choose(world)
        if engine.own:
            engine = self._start_own(world, engine)
        self.wait(world, lambda: self._ping(world))
        base_image.provide(world, engine, self.progress)

    def check(self, world: World) -> None:
        """Ask the engine for the base image.

        Raises:
            NotReadyError: The engine does not answer, or lacks the image.
        """
        self._ping(world)
        engine = choose(world)
        try:
            present = base_image.present(engine)
        except DockerException as error:
            raise NotReadyError(f"the Docker engine at {engine.host} fails ({error})") from error
        if not present:
            raise NotReadyError(f"the Docker engine at {engine.host} lacks the image {base_image.NAME}")

    def stop(self, world: World) -> None:
        """End the private engine and everything it started; another engine is left as it is."""
        super().stop(world)
        engine = remembered(world)
        if engine and engine.own:
            self._clear(world)

    def _clear(self, world: World) -> None:
        """Remove what keeps the next engine from starting: containerd, mounts, and files that name dead processes."""
        leftovers.clear(world, _data(world), _run(world))
        tool.run([world.tool("rm"), "-rf", "--one-file-system", _run(world)], limit=30)
        own_socket(world).unlink(missing_ok=True)

    def _ping(self, world: World) -> None:
        engine = choose(world)
        if not engine.answers():
            raise NotReadyError(f"the Docker engine at {engine.host} does not answer")

    def _start_own(self, world: World, engine: Engine) -> Engine:
        if os.geteuid() != 0:
            raise BadInputError("No Docker engine runs, and a private one needs root; start one, or use sudo.")
        longest = world.state / "docker" / "run" / "containerd" / "containerd-debug.sock"
        if len(os.fsencode(longest)) > _SOCKET_PATH:
            raise BadInputError(
                f"The state folder {world.state} is too deep for a Docker engine's sockets "
                f"({_SOCKET_PATH} bytes at most); set SYMPHONY_STATE to a shorter path."
            )
        if not engine.driver:
            engine = remember(world, replace(engine, driver=_storage_driver(world)))
        if _DAEMON not in recorded(world):
            self._clear(world)
        config = world.write(world.folder("docker") / "daemon.json", "{}\n")
        Daemon(
            _DAEMON,
            [
                world.tool("dockerd"),
                *("--config-file", config),
                *("--data-root", _data(world)),
                *("--exec-root", _run(world)),
                *("--pidfile", _run(world) / "dockerd.pid"),
                *("--host", engine.host),
                *("--group", str(os.getegid())),
                *("--storage-driver", engine.driver),
                *("--cgroup-parent", f"/{leftovers.cgroup(world)}"),
                # Builds use the host's network, so the engine makes no bridge and touches no rule or forwarding switch.
                *("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"),
                *("--log-level", "warn"),
            ],
            {"DOCKER_TMPDIR": str(world.folder("docker", "tmp")), "OTEL_TRACES_EXPORTER": "none"},
            grace=20,
        ).start(world)
        self.wait(world, lambda: self._ping(world))
        own_socket(world).chmod(0o600)
        return engine


def _data(world: World) -> Path:
    return world.folder("docker", "data")


def _run(world: World) -> Path:
    return world.folder("docker", "run")


def _storage_driver(world: World) -> str:
    """``overlay2`` where the kernel mounts an overlay on the data folder, else ``vfs``."""
    probe = world.folder("docker", "probe")
    lower, upper, work, merged = (
        world.folder("docker", "probe", name) for name in ("lower", "upper", "work", "merged")
    )
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    try:
        tool.run([world.tool("mount"), "-t", "overlay", "overlay", "-o", options, merged], limit=10)
    except ToolError:
        return "vfs"
    else:
        tool.run([world.tool("umount"), merged], limit=10)
        return "overlay2"
    finally:
        tool.run([world.tool("rm"), "-rf", "--one-file-system", probe], limit=10)
