"""What a part of the sandbox is: started, checked, stopped, and explained when it fails."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from sandbox import daemon
from sandbox.world import World
from symphony.errors import SymphonyError

_POLL_SECONDS = 0.2


class NotReadyError(Exception):
    """A part does not answer as it should yet; the message says what is missing."""


class PartError(SymphonyError):
    """A part did not come up; the sentence names it, the reason, and where to look."""


class Part(ABC):
    """One real part.

    Attributes:
        name: What people call it.
        needs: Parts that must be ready before this one starts.
        daemons: Names of its processes, in the order they start; stopped in reverse.
        limit: Seconds it may take to become ready.
        hint: What to look at when it fails, beyond its logs.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    daemons: ClassVar[tuple[str, ...]] = ()
    limit: ClassVar[float] = 60.0
    hint: ClassVar[str] = ""

    def ports(self, world: World) -> Mapping[str, int]:
        """Ports on loopback that this part's daemons listen on, by daemon."""
        del world
        return {}

    @abstractmethod
    def start(self, world: World) -> None:
        """Bring it up or repair it; harmless where it is up. Need not wait until it is ready."""

    @abstractmethod
    def check(self, world: World) -> None:
        """Ask it whether it works, with a real request that takes at most a second.

        Raises:
            NotReadyError: It does not, and why.
        """

    def stop(self, world: World) -> None:
        """End it and leave nothing behind; harmless where it is down or half up."""
        for name in reversed(self.daemons):
            daemon.stop(world, name)

    def bring_up(self, world: World) -> None:
        """Start it and wait until it is ready.

        Raises:
            PartError: A daemon of it ended, or it was not ready within its limit.
        """
        self.start(world)
        self.wait(world, lambda: self.check(world))

    def wait(self, world: World, check: Callable[[], None], limit: float | None = None) -> None:
        """Ask ``check`` until it raises no `NotReadyError`, five times a second.

        Raises:
            PartError: A daemon of this part ended, or the limit (this part's own by default) passed.
        """
        deadline = time.monotonic() + (limit or self.limit)
        while True:
            try:
                return check()
            except NotReadyError as reason:
                # Records first: what another thread starts between the two questions has not ended.
                known = [name for name in self.daemons if (world.state / "run" / f"{name}.json").exists()]
                alive = daemon.recorded(world)
                for name in known:
                    if name not in alive:
                        raise self.failure(world, f"its process {name} ended", name) from reason
                if time.monotonic() > deadline:
                    latest = [name for name in self.daemons if name in alive] or list(self.daemons)
                    raise self.failure(world, str(reason), *latest[-1:]) from reason
            time.sleep(_POLL_SECONDS)

    def failure(self, world: World, reason: str, *names: str) -> PartError:
        """The sentence for a failure, with the last log lines of the named daemons."""
        logs = [f"Look at {world.log(name)}, which ends with:\n{daemon.tail(world, name)}" for name in names]
        hint = [self.hint] if self.hint else []
        return PartError("\n".join([f"{self.name} did not come up: {reason}.", *logs, *hint]))
