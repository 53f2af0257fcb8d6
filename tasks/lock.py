"""The locks that keep runs from each other's work: one an application, one a Terragrunt unit, in each environment."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Collection, Iterator
from contextvars import ContextVar
from typing import Any

from httpx import HTTPStatusError, codes
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.exceptions import MissingContextError, ObjectAlreadyExists
from prefect.logging import get_run_logger

from symphony.errors import SymphonyError
from symphony.limits import deploy_limit, unit_limit
from tasks.holder import Holder, holder_of

_SECONDS = 1800
"""How long a run waits for another one; above any deploy's own time limit."""
_POLL_SECONDS = (0.4, 0.9)
_LEASE: dict[str, Any] = {"lease_duration": 120, "raise_on_lease_renewal_failure": False}
"""The slot of a process that died is free again after two minutes, and a busy server has thirty seconds to take a
renewal. A lease lost to one that was away cuts no deploy off, which would be half done: the commits to the desired
state are still made one upon the other."""
_UNIT_LEASE = _LEASE | {"lease_duration": 60}
"""The shortest that Prefect takes; half an apply is worse than two, and the lock in S3 is beneath."""
_PAGE = 200
_held: ContextVar[frozenset[str]] = ContextVar("held", default=frozenset())


def locked(environment: str, applications: Collection[str]) -> contextlib.AbstractContextManager[None]:
    """Hold the locks of applications in an environment; what this run holds already is not taken twice.

    A release holds them from its deploy to the end of its smoke tests, so that nobody moves in between.

    Args:
        environment: The environment.
        applications: Names; all are taken at once, so that two runs cannot wait for each other.

    Raises:
        SymphonyError: Somebody else held one for too long.
    """
    return _holding({deploy_limit(environment, name) for name in applications}, **_LEASE)


def locked_units(environment: str, units: Collection[str]) -> contextlib.AbstractContextManager[None]:
    """Hold the locks of Terragrunt units, so that between a plan and its apply nobody moves them.

    Args:
        environment: The environment.
        units: Paths; all are taken at once, so that two runs cannot wait for each other.

    Raises:
        SymphonyError: Somebody else held one for too long; the sentence names them.
    """
    return _holding({unit_limit(environment, path) for path in units}, **_UNIT_LEASE)


@contextlib.contextmanager
def _holding(names: Collection[str], **lease: Any) -> Iterator[None]:
    held = _held.get()
    wanted = sorted(set(names) - held)
    if not wanted:
        yield
        return
    with contextlib.ExitStack() as stack:
        _take(stack, wanted, lease)
        mark = _held.set(held | frozenset(wanted))
        stack.callback(_held.reset, mark)
        yield


def _take(stack: contextlib.ExitStack, wanted: list[str], lease: dict[str, Any]) -> None:
    # Prefect takes those limits that exist and passes over the others in silence, also with `strict`.
    _make_missing(wanted)
    deadline, told = time.monotonic() + _SECONDS, False
    # Asked again by ourselves: an acquisition that Prefect breaks off may be granted all the same, to nobody.
    while not _taken(stack, wanted, lease):
        if time.monotonic() > deadline:
            raise SymphonyError(
                f"Another run holds {' or '.join(wanted)} for more than {_SECONDS // 60} minutes: "
                f"{_told(_busy(wanted))}. Look at that run in Prefect, then start this one again; `symphony unlock` "
                "frees the lock of a unit whose run is dead."
            )
        if not told:
            _say(f"Waiting for {_told(_busy(wanted))}.")
            told = True
        time.sleep(random.uniform(*_POLL_SECONDS))  # noqa: S311 - so that two that wait do not ask in step


def _taken(stack: contextlib.ExitStack, wanted: list[str], lease: dict[str, Any]) -> bool:
    """Take all locks at once; false where another run holds one."""
    try:
        stack.enter_context(concurrency(wanted, occupy=1, max_retries=0, strict=True, **lease))
    except ConcurrencySlotAcquisitionError as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, HTTPStatusError) and cause.response.status_code == codes.LOCKED:
            return False
        raise SymphonyError(
            f"The lock {' or '.join(wanted)} cannot be taken ({error}); look at the concurrency limits in Prefect."
        ) from error
    return True


def _make_missing(names: Collection[str]) -> None:
    with get_client(sync_client=True) as client:
        for name in sorted(set(names) - _existing(client)):
            with contextlib.suppress(ObjectAlreadyExists):  # another run was faster
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))


def _existing(client: SyncPrefectClient) -> set[str]:
    found: set[str] = set()
    while True:
        page = client.read_global_concurrency_limits(limit=_PAGE, offset=len(found))
        found |= {limit.name for limit in page}
        if len(page) < _PAGE:
            return found


def _busy(names: list[str]) -> list[Holder]:
    with get_client(sync_client=True) as client:
        return [holder for name in names if (holder := holder_of(client, name)) is not None]


def _told(holders: list[Holder]) -> str:
    return ", ".join(dict.fromkeys(str(holder) for holder in holders)) or "a run that has just ended"


def _say(text: str) -> None:
    with contextlib.suppress(MissingContextError):
        get_run_logger().info(text)
