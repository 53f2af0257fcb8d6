"""A process of the sandbox whose clock is moved while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from sandbox.daemon import Daemon, recorded, stop
from sandbox.world import World
from symphony import tool

_SOURCE = Path(__file__).with_name("clock.c")


@contextmanager
def movable(world: World, name: str, folder: Path) -> Iterator[Callable[[int], None]]:
    """A daemon that runs anew, and whose time of day can be moved; what it forks has the same.

    Programs in Go ask the kernel and cannot be told another time, so this is for those in Python.

    Args:
        world: The sandbox.
        name: The daemon.
        folder: Where what moves it is put.

    Yields:
        What moves its clock by so many seconds.
    """
    library, moved = folder / "clock.so", folder / "moved"
    tool.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, _SOURCE])
    moved.write_text("0")
    process = psutil.Process(recorded(world)[name])
    environment = process.environ() | {"LD_PRELOAD": str(library), "CLOCK": str(moved)}
    daemon = Daemon(name, process.cmdline(), environment, Path(process.cwd()))
    daemon.stop(world)
    daemon.start(world)

    def move(seconds: int) -> None:
        world.write(moved, str(seconds))

    try:
        yield move
    finally:
        stop(world, name)
