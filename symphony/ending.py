"""Ending what is under way: at its time limit, or when the run that waits for it is cancelled."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal


@dataclass
class UnderWay:
    """Something that can be ended from outside.

    Attributes:
        stop: Ends it; may be called at any time, and twice.
        ended: What ended it; empty while nothing did.
    """

    stop: Callable[[], object]
    ended: Literal["", "limit", "run"] = ""

    def end(self, why: Literal["limit", "run"]) -> None:
        """End it, if nothing has yet."""
        self.ended = self.ended or why
        self.stop()


@dataclass
class _Together:
    works: list[UnderWay] = field(default_factory=list)
    over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


_together: ContextVar[_Together | None] = ContextVar("together", default=None)


@contextlib.contextmanager
def ended_together() -> Iterator[None]:
    """End all that is under way in here, also in threads that begin with this context, when the run is cancelled.

    Prefect raises what is no ``Exception`` in the main thread then; the others would go on until they are done.
    """
    together = _Together()
    mark = _together.set(together)
    try:
        yield
    except Exception:
        raise
    except BaseException:
        with together.lock:
            together.over = True
            works = list(together.works)
        for work in works:
            work.end("run")
        raise
    finally:
        _together.reset(mark)


@contextlib.contextmanager
def under_way(stop: Callable[[], object], limit: float | None = None) -> Iterator[UnderWay]:
    """Have what the body does ended by `ended_together`, and at a time limit.

    Args:
        stop: Ends it, called from another thread.
        limit: Seconds it may take; as long as it takes by default.
    """
    work, together = UnderWay(stop), _together.get()
    timer = threading.Timer(limit, work.end, ["limit"]) if limit else None
    if together:
        with together.lock:
            together.works.append(work)
            over = together.over
        if over:
            work.end("run")
    if timer:
        timer.daemon = True
        timer.start()
    try:
        yield work
    finally:
        if timer:
            timer.cancel()
        if together:
            with together.lock:
                together.works.remove(work)
