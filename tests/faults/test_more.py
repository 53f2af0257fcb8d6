"""Two releases of one application at once, and disks without space left, on real parts."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from symphony import tool
from tests.faults.settled import Row, recovers, settled
from tests.world.seat import NUMBERS, Seat


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """A folder whose disk has no space left."""
    tool.run(["mount", "-t", "tmpfs", "-o", "size=4k", "full", folder])
    try:
        (folder / "filler").write_bytes(b"-" * 4096)
        yield
    finally:
        tool.run(["umount", "--lazy", folder])


@pytest.mark.parametrize(
    ("stage", "place", "said"),
    [
        ("build", ("docker", "tmp"), "(?s)hello.*no space left on device"),
        ("start", ("work", "trees"), "(?i)no space left on device"),
    ],
)
def test_a_disk_that_is_full_is_told_and_the_next_release_goes_live(
    seat: Seat, row: Row, stage: str, place: tuple[str, str], said: str
) -> None:
    row.fault, row.stage = "disk full", stage
    since = time.monotonic()
    with full(seat.world.folder(*place)):
        ended = seat.released(seat.say(f"Full, number {next(NUMBERS)}"))
    row.run = f"{ended.state_name}: {' '.join(ended.message.split())[:160]}"
    row.seconds["run"] = time.monotonic() - since
    recovers(seat, row, since)
    assert ended.state_type == "FAILED"
    assert re.search(said, ended.message)


def test_of_two_releases_at_once_the_later_one_is_live(seat: Seat, row: Row) -> None:
    row.fault, row.stage = "two at once", "all"
    since = time.monotonic()
    greetings = [f"Hello, number {next(NUMBERS)}" for _ in range(2)]
    ended = [seat.released(commit) for commit in [seat.say(greeting) for greeting in greetings]]
    row.run = ", ".join(str(one.state_name) for one in ended)
    row.seconds["live"] = time.monotonic() - since
    assert all(one.succeeded for one in ended), [one.message for one in ended]
    assert seat.answer() == greetings[1]
    settled(seat)
