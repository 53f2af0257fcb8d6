"""Which failures a task is tried again for: what can pass by itself, and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from symphony.errors import TransientError

_failures: ContextVar[list[str] | None] = ContextVar("failures", default=None)


@contextlib.contextmanager
def passing_failures(into: list[str]) -> Iterator[None]:
    """Have the tasks that are submitted meanwhile add each failure that they are tried again for to a list."""
    mark = _failures.set(into)
    try:
        yield
    finally:
        _failures.reset(mark)


def is_transient(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed task run ended with a `TransientError`; Prefect asks this before it retries."""
    del task, run
    try:
        state.result()
    except TransientError as error:
        if (failures := _failures.get()) is not None:
            failures.append(str(error))
        return True
    except Exception:  # noqa: BLE001 - whatever else it was, it will not pass by itself
        return False
    return False


ONCE: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
"""Options of a task that has a side effect and is not tried again."""

TRANSIENT: dict[str, Any] = {
    **ONCE,
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(backoff_factor=1),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": is_transient,
}
"""Options of a task that is tried again, with jitter, for transient errors alone."""

BROKEN_CONNECTION = ("connection reset", "connection refused", "eof", "timeout", "tls handshake")
"""What tools that speak to a registry say, in small letters, where the network failed and not the registry."""

BROKEN_PUSH = (
    *BROKEN_CONNECTION,
    "500 ",
    "502 ",
    "503 ",
    "504 ",
    "429 ",
    "broken pipe",
    "closed network connection",
    "blob upload",
    "rate exceeded",
    "toomanyrequests",
    # Of a login that was good when the push began; the next one brings its own.
    "expired",
)
"""What an engine says, in small letters, where a push can do better the next time."""
