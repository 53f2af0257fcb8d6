"""A network that is slow or breaks on the way to one part, in the middle of a release, on real parts."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.world import BRIDGE_ADDRESS, HOST, Ports
from tests.faults.network import network
from tests.faults.settled import Row, settled
from tests.faults.stages import STAGES
from tests.faults.strikes import HANG_SECONDS
from tests.faults.struck import held, outcome
from tests.world.seat import NUMBERS, Seat

DELAY_SECONDS = 0.2


@dataclass(frozen=True)
class Way:
    """A way that a release goes.

    Attributes:
        stage: Where it does.
        part: What is at its end, as `Ports` calls it.
        said: What the run says where it could not get there, as a regular expression.
        host: Where the part listens.
    """

    stage: str
    part: str
    said: str
    host: str = HOST


WAYS = (
    Way("provision", "aws", "AWS|access"),
    Way("build", "prefect", "Prefect"),
    Way("push", "ecr", "registry"),
    Way("commit", "git", "[Gg]it"),
    Way("sync", "kubernetes", "cluster", BRIDGE_ADDRESS),
    Way("smoke", "ingress", "hello"),
)


@pytest.mark.parametrize("way", WAYS, ids=[one.part for one in WAYS])
def test_a_release_outlives_a_network_that_is_cut_or_says_what_it_could_not_reach(
    seat: Seat, tmp_path: Path, row: Row, way: Way
) -> None:
    row.fault, row.stage = f"network to {way.part} cut", way.stage
    stage = next(one for one in STAGES if one.name == way.stage)
    with network(getattr(Ports(), way.part), way.host) as between:
        with held(seat, tmp_path, stage, f"Cut off, number {next(NUMBERS)}") as struck:
            between.cut()
            struck.release()
        time.sleep(HANG_SECONDS)
        between.mend()
        assert between.broken, "nothing went that way meanwhile"
        ended = outcome(seat, row, struck)
    assert ended.succeeded or (ended.state_type == "FAILED" and re.search(way.said, ended.message)), row.run


@pytest.mark.parametrize("way", WAYS, ids=[one.part for one in WAYS])
def test_a_release_takes_longer_on_a_slow_network_and_goes_live(seat: Seat, row: Row, way: Way) -> None:
    row.fault, row.stage = f"network to {way.part} slow", "all"
    greeting = f"Slow, number {next(NUMBERS)}"
    since = time.monotonic()
    with network(getattr(Ports(), way.part), way.host) as between:
        between.delay = DELAY_SECONDS
        ended = seat.released(seat.say(greeting))
    row.run = f"{ended.state_name}: {' '.join(ended.message.split())[:160]}"
    row.seconds["run"] = time.monotonic() - since
    assert ended.succeeded, row.run
    assert between.carried, "nothing went that way"
    assert seat.answer() == greeting
    settled(seat)
