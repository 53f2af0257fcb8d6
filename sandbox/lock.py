"""One command at a time changes a sandbox."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator

from sandbox.world import World
from symphony.errors import SymphonyError

_POLL_SECONDS = 0.1
_LIMIT_SECONDS = 1800.0
"""A first start builds tools and a base image; longer than that nobody holds the lock for a good reason."""


@contextlib.contextmanager
def held(world: World, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the sandbox's lock: the state folder itself, so that ``down`` leaves no lock file behind.

    Args:
        world: The sandbox; its state folder is made where it is missing.
        waiting: Called once where another command holds the lock.

    Raises:
        SymphonyError: The other command does not end.
    """
    deadline, told = time.monotonic() + _LIMIT_SECONDS, False
    while True:
        try:
            descriptor = os.open(world.folder(), os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            # A `down` has removed it just now.
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _still_the_folder(descriptor, world):
                yield
                return
        except BlockingIOError:
            if not told:
                waiting()
                told = True
            if time.monotonic() > deadline:
                raise SymphonyError(
                    f"Another command has been working on the sandbox in {world.state} for "
                    f"{_LIMIT_SECONDS / 60:.0f} minutes; end it, then try again."
                ) from None
            time.sleep(_POLL_SECONDS)
        finally:
            os.close(descriptor)


def _still_the_folder(descriptor: int, world: World) -> bool:
    """Whether what is locked is still there: a ``down`` that was waited for has removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), world.state.stat())
    except FileNotFoundError:
        return False
