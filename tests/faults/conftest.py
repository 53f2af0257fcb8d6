"""The sandbox, a platform that is live on it, and the table of what the faults did, printed in the end."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from deployments.client import PrefectApi
from sandbox.lifecycle import up
from sandbox.world import World
from tests.faults.settled import FREE_SECONDS, UNDER_WAY, Row, busy, settled
from tests.world.conftest import machine as machine  # noqa: PLC0414 - a fixture of theirs
from tests.world.conftest import world as world  # noqa: PLC0414 - as above
from tests.world.seat import NUMBERS, Seat, until

_TABLE = pytest.StashKey[list[Row]]()
_PASSED = pytest.StashKey[bool]()
HEAD = "| fault | stage | seen | the run | mended by | seconds to mend |\n| --- | --- | --- | --- | --- | --- |"


@pytest.fixture
def row(request: pytest.FixtureRequest, world: World, capsys: pytest.CaptureFixture[str]) -> Iterator[Row]:
    """A row of the table, for the test to fill; it is shown once the test has ended."""
    made = Row("", "")
    request.config.stash.setdefault(_TABLE, []).append(made)
    yield made
    made.passed = request.node.stash.get(_PASSED, False)
    with capsys.disabled():
        print(f"\n{made}", flush=True)  # noqa: T201 - as it comes: all of them take an hour and more
    if not made.passed:
        clear(world)


def clear(world: World) -> None:
    """Let no case inherit what another one that failed has left."""
    up(world)
    api = PrefectApi(f"{world.prefect_url}/api", f"admin:{world.secret('prefect-password')}")
    for run in api.call("POST", "/flow_runs/filter", UNDER_WAY):
        api.cancel(run["id"])
    until(lambda: not busy(api), "the end of all runs", FREE_SECONDS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    return report


@pytest.fixture(scope="session")
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
        terminalreporter.write_line(HEAD)
    for one in rows:
        terminalreporter.write_line(str(one))
    if rows:
        terminalreporter.write_line(f"{sum(one.passed for one in rows)} of {len(rows)} cases were seen to be mended.")
