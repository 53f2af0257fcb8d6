"""The clock of one process moved by an hour in the middle of a release, on real parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.lifecycle import up
from sandbox.prefect.part import LAUNCHER, SERVER, WORKER
from tests.faults.clock import movable
from tests.faults.settled import Row
from tests.faults.stages import STAGES
from tests.faults.struck import held, outcome
from tests.world.seat import NUMBERS, Seat

HOUR = 3600
PROCESSES = {"server": SERVER, "worker": WORKER, "run": LAUNCHER, "git": "git"}
"""Processes by what they are in the table; a run's process is forked from the launcher's."""


@pytest.mark.parametrize("moved", [HOUR, -HOUR], ids=["ahead", "behind"])
@pytest.mark.parametrize("which", PROCESSES)
def test_a_release_goes_live_where_the_clock_of_a_process_is_moved_or_the_next_does(
    seat: Seat, tmp_path: Path, row: Row, which: str, moved: int
) -> None:
    row.fault, row.stage = f"clock of the {which} an hour {'ahead' if moved > 0 else 'behind'}", "provision"
    with movable(seat.world, PROCESSES[which], tmp_path) as move:
        up(seat.world)
        with held(seat, tmp_path, STAGES[0], f"Moved, number {next(NUMBERS)}") as struck:
            move(moved)
            struck.release()
        seat.ended(struck.run)
    up(seat.world)
    ended = outcome(seat, row, struck)
    # The server then has heard of no run for an hour; the run's process goes on all the same.
    assert ended.succeeded or (moved > 0 and which == "server" and "no sign of life" in ended.message), row.run
