"""Each fault in the middle of each stage of a release, on real parts: what is left of it, and how it is mended."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from deployments.client import Run
from sandbox.lifecycle import up
from tests.faults.settled import Row, locks, recovers
from tests.faults.stages import STAGES, Stage
from tests.faults.strikes import EVERYWHERE, ONCE, Strike
from tests.world.seat import NUMBERS, Seat, until

OUTAGE_SECONDS = 3
SAMPLE = {("server killed", "build"), ("controller killed", "sync")}
"""What the CI strikes with; `make faults` does all."""
CASES = [
    pytest.param(
        strike,
        stage,
        id=f"{strike.name.replace(' ', '-')}-in-{stage.name}",
        marks=[pytest.mark.sample] if (strike.name, stage.name) in SAMPLE else [],
    )
    for stage in STAGES
    for strike in (*EVERYWHERE, *ONCE[stage.name])
]


@pytest.mark.parametrize(("strike", "stage"), CASES)
def test_a_release_that_is_struck_leaves_nothing_that_the_next_one_does_not_mend(
    seat: Seat, tmp_path: Path, row: Row, strike: Strike, stage: Stage
) -> None:
    row.fault, row.stage = strike.name, stage.name
    with stage.hold(seat.world, tmp_path) as hold:

        def edit(copy: Path) -> None:
            (copy / "apps/hello/greeting.txt").write_text(f"Struck, number {next(NUMBERS)}\n")
            hold.edit(copy)

        run = begun(seat, seat.push(f"{strike.name} in {stage.name}", edit))
        until(lambda: within(seat, run, stage) and hold.begun(), f"the stage {stage.name} of {run.name}", 90)
        since = time.monotonic()
        strike.strike(seat, run)
        hold.release()
    if strike.repaired:
        time.sleep(OUTAGE_SECONDS)
        up(seat.world)
        row.seconds["up"] = time.monotonic() - since
    ended = seat.ended(run)
    row.run = f"{ended.state_name}: {' '.join(ended.message.split())[:160]}"
    row.seconds["run"] = time.monotonic() - since
    mend(seat, row)
    recovers(seat, row, since)
    assert ended.succeeded or ended.state_type in strike.states, row.run
    assert ended.succeeded or re.search(strike.said, ended.message), row.run


def begun(seat: Seat, commit: str) -> Run:
    """The release that a push started."""
    run = seat.api.find(f"platform:release:dev:{commit}:push")
    assert run is not None, "the push started no release"
    return run


def within(seat: Seat, run: Run, stage: Stage) -> bool:
    """Whether a release is in a stage; one that has ended before will not be."""
    now = seat.api.run(run.id)
    assert not now.final, f"{now.name} ended as {now.state_name}: {now.message}"
    return any(one.name.startswith(stage.task) and one.state_type == "RUNNING" for one in seat.api.tasks(run.id))


def mend(seat: Seat, row: Row) -> None:
    """Free what a dead run's apply left locked, as its operator does."""
    if locks(seat.world):
        row.mended = "symphony unlock"
        until(lambda: "Freed." in seat.symphony("unlock", "--env", "dev", "--yes", ok=(0, 1)), "the unlocking", 150)
