"""The one lock of an environment and application, across deploy, promote, rollback and watch."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from contextvars import ContextVar

from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency

from symphony.errors import BadInputError, SymphonyError
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
        BadInputError: A lock does not exist, since nobody made the deployments known for that application.
        SymphonyError: Somebody else held one for too long.
    """
    held = _held.get()
    wanted = sorted({deploy_limit(environment, name) for name in applications} - held)
    if not wanted:
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(concurrency(wanted, occupy=1, timeout_seconds=_SECONDS, strict=True))
        except TimeoutError as error:
            raise SymphonyError(
                f"Another run moves {', '.join(applications)} in {environment} for more than {_SECONDS // 60} minutes; "
                "look at that run in Prefect, then start this one again."
            ) from error
        except ConcurrencySlotAcquisitionError as error:
            raise BadInputError(
                f"The lock {' or '.join(wanted)} cannot be taken ({error}); it is a concurrency limit in Prefect, made "
                "with the deployments for every application in symphony.yaml."
            ) from error
        mark = _held.set(held | frozenset(wanted))
        stack.callback(_held.reset, mark)
        yield
