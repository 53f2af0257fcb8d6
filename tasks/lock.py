"""The one lock of an environment and application, across deploy, promote, rollback and watch."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from contextvars import ContextVar

from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency

from symphony.errors import SymphonyError
from symphony.limits import deploy_limit

_SECONDS = 1800
"""How long a deploy waits for another of the same application; above any deploy's own time limit."""
_held: ContextVar[frozenset[str]] = ContextVar("held", default=frozenset())


@contextlib.contextmanager
def locked(environment: str, applications: Collection[str]) -> Iterator[None]:
    """Hold the locks of applications in an environment; what this run holds already is not taken twice.

    A release holds them from its deploy to the end of its smoke tests, so that nobody moves in between.

    Args:
        environment: The environment.
        applications: Names; all are taken at once, so that two runs cannot wait for each other.

    Raises:
        SymphonyError: Somebody else held one for too long.
    """
    held = _held.get()
    wanted = sorted({deploy_limit(environment, name) for name in applications} - held)
    if not wanted:
        yield
        return
    with contextlib.ExitStack() as stack:
        _take(stack, wanted)
        mark = _held.set(held | frozenset(wanted))
        stack.callback(_held.reset, mark)
        yield


def _take(stack: contextlib.ExitStack, wanted: list[str]) -> None:
    try:
        try:
            stack.enter_context(concurrency(wanted, occupy=1, timeout_seconds=_SECONDS, strict=True))
        except ConcurrencySlotAcquisitionError:
            # An application that this commit is the first to name has no limit yet.
            _make_missing(wanted)
            stack.enter_context(concurrency(wanted, occupy=1, timeout_seconds=_SECONDS, strict=True))
    except TimeoutError as error:
        raise SymphonyError(
            f"Another run holds {' or '.join(wanted)} for more than {_SECONDS // 60} minutes; look at that run in "
            "Prefect, then start this one again."
        ) from error
    except ConcurrencySlotAcquisitionError as error:
        raise SymphonyError(
            f"The lock {' or '.join(wanted)} cannot be taken ({error}); look at the concurrency limits in Prefect."
        ) from error


def _make_missing(names: list[str]) -> None:
    with get_client(sync_client=True) as client:
        for name in names:
            client.upsert_global_concurrency_limit_by_name(name, limit=1)
