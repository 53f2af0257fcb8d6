"""A release that is kept in a stage until a fault has struck, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deployments.client import Run
from tests.faults.settled import Row, locks, recovers, settled
from tests.faults.stages import Stage
from tests.world.seat import Seat, until

_SAID = 160


@dataclass(frozen=True)
class Struck:
    """A release that a fault strikes.

    Attributes:
        run: Its run.
        greeting: What the service says once it is live.
        since: When its stage began, on `time.monotonic`'s clock.
        release: Lets it go on.
    """

    run: Run
    greeting: str
    since: float
    release: Callable[[], None]


@contextmanager
def held(seat: Seat, folder: Path, stage: Stage, greeting: str) -> Iterator[Struck]:
    """The release of a greeting, kept in a stage."""
    with stage.hold(seat.world, folder) as hold:

        def edit(copy: Path) -> None:
            (copy / "apps/hello/greeting.txt").write_text(f"{greeting}\n")
            hold.edit(copy)

        run = _begun(seat, seat.push(f"{greeting} in {stage.name}", edit))
        until(lambda: _within(seat, run, stage) and hold.begun(), f"the stage {stage.name} of {run.name}", 90)
        yield Struck(run, greeting, time.monotonic(), hold.release)


def outcome(seat: Seat, row: Row, struck: Struck) -> Run:
    """The release as it ended, once it is live and settled itself, or the next one is."""
    ended = seat.ended(struck.run)
    row.run = f"{ended.state_name}: {' '.join(ended.message.split())[:_SAID]}"
    row.seconds["run"] = time.monotonic() - struck.since
    _mend(seat, row)
    if ended.succeeded:
        assert seat.answer() == struck.greeting
        settled(seat)
    else:
        recovers(seat, row, struck.since)
    return ended


def _begun(seat: Seat, commit: str) -> Run:
    """The release that a push started."""
    run = seat.api.find(f"platform:release:dev:{commit}:push")
    assert run is not None, "the push started no release"
    return run


def _within(seat: Seat, run: Run, stage: Stage) -> bool:
    """Whether a release is in a stage; one that has ended before will not be."""
    now = seat.api.run(run.id)
    assert not now.final, f"{now.name} ended as {now.state_name}: {now.message}"
    return any(one.name.startswith(stage.task) and one.state_type == "RUNNING" for one in seat.api.tasks(run.id))


def _mend(seat: Seat, row: Row) -> None:
    """Free what a dead run's apply left locked, as its operator does."""
    if locks(seat.world):
        row.mended = "symphony unlock"
        until(lambda: "Freed." in seat.symphony("unlock", "--env", "dev", "--yes", ok=(0, 1)), "the unlocking", 150)
