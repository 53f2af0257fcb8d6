"""How far a rollout is, shown in Prefect while it runs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from symphony.markdown import escape
from symphony.models import Commit
from tasks.artifacts import in_run, key_of
from tasks.kubernetes import Object

_EVERY = 1.0
"""Seconds between two updates; Prefect's database is not there to be written to all the time."""
_SHOWN = 20
_WAIT = 5.0


@dataclass(frozen=True)
class Step:
    """How far one application is.

    Attributes:
        application: Its name.
        synced: Resources that are as the desired state wants them.
        resources: All its resources.
        ready: Replicas that are ready in the version that is wanted.
        replicas: All that are wanted.
        now: What it does, in one clause; ``live`` or ``failed`` once it is decided.
    """

    application: str
    synced: int
    resources: int
    ready: int
    replicas: int
    now: str

    @property
    def share(self) -> float:
        """Of the whole, from 0 to 1."""
        if self.now in {"live", "failed"}:
            return 1.0
        parts = [(self.synced, self.resources), (self.ready, self.replicas)]
        return min(0.95, sum(done / whole / 2 for done, whole in parts if whole))


def step(application: str, seen: Object | None, deployments: Sequence[Object], now: str) -> Step:
    """Count what is synced and ready of an application.

    Args:
        application: Its name.
        seen: Its Application; None where there is none yet.
        deployments: Its Deployments.
        now: What it does, in one clause.
    """
    resources = [one for one in ((seen or {}).get("status") or {}).get("resources") or [] if not one.get("hook")]
    wanted = [int(one["spec"].get("replicas", 1)) for one in deployments]
    return Step(
        application=application,
        synced=sum(one.get("status") == "Synced" for one in resources),
        resources=len(resources),
        ready=sum(min(_ready(one), count) for one, count in zip(deployments, wanted, strict=True)),
        replicas=sum(wanted),
        now=now,
    )


def _ready(deployment: Object) -> int:
    """Ready replicas of the version that is wanted: those of an old one serve, but are not what is waited for."""
    status = deployment.get("status") or {}
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return 0
    return min(int(status.get("readyReplicas", 0)), int(status.get("updatedReplicas", 0)))


class Progress:
    """The progress artifact of one wait, written beside it, so that a slow server holds nothing up."""

    def __init__(self, environment: str, commit: Commit) -> None:
        """Nothing is written before the first `show`."""
        self._key = key_of("rollout", environment)
        self._title = f"Desired state {commit[:12]} in {environment}"
        self._made: UUID | None = None
        self._shown: tuple[Step, ...] = ()
        self._at = 0.0
        self._writing: Future[None] | None = None
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="progress")

    def show(self, steps: Sequence[Step], *, last: bool = False) -> None:
        """Show how far all are, where that has changed and a second has passed.

        Args:
            steps: One an application.
            last: Whether nothing comes after; it is waited for, for some seconds.
        """
        new = tuple(steps)
        busy = self._writing is not None and not self._writing.done()
        if in_run() and new and new != self._shown and (last or (not busy and time.monotonic() - self._at > _EVERY)):
            self._shown, self._at = new, time.monotonic()
            self._writing = self._pool.submit(copy_context().run, self._write, new)
        if last:
            self._pool.shutdown(wait=False)
            with contextlib.suppress(TimeoutError):
                if self._writing:
                    self._writing.result(timeout=_WAIT)

    def _write(self, steps: tuple[Step, ...]) -> None:
        share = round(100 * sum(one.share for one in steps) / len(steps), 1)
        text = _text(self._title, steps)
        with contextlib.suppress(Exception):  # a picture of the wait, which must not end it
            if self._made is None:
                self._made = create_progress_artifact(share, key=self._key, description=text, _sync=True)  # type: ignore[call-arg, assignment]
            else:
                update_progress_artifact(self._made, share, description=text, _sync=True)  # type: ignore[call-arg]


def _text(title: str, steps: Sequence[Step]) -> str:
    """Those that are still on their way come first."""
    order = sorted(steps, key=lambda one: (one.now == "live", one.application))
    lines = [
        f"- {escape(one.application)}: {one.synced} of {one.resources} resources synced, "
        f"{one.ready} of {one.replicas} replicas ready; {escape(one.now)}"
        for one in order[:_SHOWN]
    ]
    more = [f"- … and {len(order) - _SHOWN} more"] if len(order) > _SHOWN else []
    return "\n".join([f"**{escape(title)}**", "", *lines, *more])
