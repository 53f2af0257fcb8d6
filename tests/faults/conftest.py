"""The sandbox, a platform that is live on it, and the table of what the faults did, printed in the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.world import World
from tests.faults.settled import Row, settled
from tests.world.conftest import machine as machine  # noqa: PLC0414 - a fixture of theirs
from tests.world.conftest import world as world  # noqa: PLC0414 - as above
from tests.world.seat import NUMBERS, Seat

_TABLE = pytest.StashKey[list[Row]]()


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    """A row of the table, for the test to fill."""
    made = Row("", "")
    request.config.stash.setdefault(_TABLE, []).append(made)
    return made


@pytest.fixture(scope="module")
def seat(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seat]:
    """A platform that is live; main is as it was in the end."""
    taken = Seat.take(world, tmp_path_factory.mktemp("faults"))
    good = taken.git("rev-parse", "origin/main^{tree}")
    ended = taken.released(taken.say(f"Hello, number {next(NUMBERS)}"))
    assert ended.succeeded, ended.message
    settled(taken)
    yield taken

    def mend(copy: Path) -> None:
        del copy
        taken.git("read-tree", "--reset", "-u", good)

    ended = taken.released(taken.push("mend", mend))
    assert ended.succeeded, ended.message


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "faults":
            item.add_marker(pytest.mark.fault)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(_TABLE, [])
    if rows:
        terminalreporter.section("faults")
        terminalreporter.write_line("| fault | stage | the run | mended by | seconds to mend |")
        terminalreporter.write_line("| --- | --- | --- | --- | --- |")
    for one in rows:
        seconds = ", ".join(f"{what} {number:.0f}" for what, number in one.seconds.items())
        terminalreporter.write_line(f"| {one.fault} | {one.stage} | {one.run} | {one.mended} | {seconds} |")
