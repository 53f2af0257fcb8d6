"""Each fault in the middle of each stage of a release, on real parts: what is left of it, and how it is mended."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from sandbox.lifecycle import up
from tests.faults.settled import Row
from tests.faults.stages import STAGES, Stage
from tests.faults.strikes import EVERYWHERE, ONCE, Strike
from tests.faults.struck import held, outcome
from tests.world.seat import NUMBERS, Seat

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
    with held(seat, tmp_path, stage, f"Struck, number {next(NUMBERS)}") as struck:
        strike.strike(seat, struck.run)
        struck.release()
    if strike.repaired:
        time.sleep(OUTAGE_SECONDS)
        up(seat.world)
        row.seconds["up"] = time.monotonic() - struck.since
    ended = outcome(seat, row, struck)
    assert ended.succeeded or ended.state_type in strike.states, row.run
    assert ended.succeeded or re.search(strike.said, ended.message), row.run
