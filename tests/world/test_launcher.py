"""Runs that the launcher starts, cancelled, and killed at each of their processes: what Prefect's server shows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from cli.connection import connect
from deployments.client import FINAL, PrefectApi
from deployments.engine import connect as connect_launcher
from sandbox.daemon import recorded
from sandbox.lifecycle import up
from sandbox.prefect import worker_environment
from sandbox.prefect.part import LAUNCHER, WORKER
from sandbox.world import World
from tests.world import by_hand

SECONDS = 240.0
BUSY = ["PENDING", "RUNNING"]
ENDED_SECONDS = 150
"""Until a run whose worker is gone is told, and the next one has its place."""


def until(answer: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := answer()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def api(world: World) -> PrefectApi:
    del world
    return connect()


@contextmanager
def git_hangs(world: World) -> Iterator[None]:
    """Meanwhile every flow waits in its first task."""
    server = psutil.Process(recorded(world)["git"])
    server.suspend()
    try:
        yield
    finally:
        server.resume()


def begin(api: PrefectApi) -> str:
    return api.start("smoke", "dev", {"environment": "dev"}, key=f"launcher-{time.time_ns()}").id


def state(api: PrefectApi, run: str) -> str:
    return str(api.call("GET", f"/flow_runs/{run}")["state"]["type"])


def begun(api: PrefectApi) -> tuple[str, psutil.Process]:
    """A run that hangs in its first task, and its client."""
    run = begin(api)
    until(lambda: api.tasks(run))
    return run, client(run)


def client(run: str) -> psutil.Process:
    for process in psutil.process_iter():
        try:
            command, environment = process.cmdline(), process.environ()
        except psutil.Error:
            continue
        if command[-1:] == ["deployments.engine"] and environment.get("PREFECT__FLOW_RUN_ID") == run:
            return process
    pytest.fail(f"No process is the client of run {run}: it did not start by the launcher.")


def launched(world: World) -> list[psutil.Process]:
    """The watcher and the process of the one run that there is."""
    watcher = [one for one in psutil.Process(recorded(world)[LAUNCHER]).children() if one.children()][-1]
    return [watcher, watcher.children()[0]]


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture(autouse=True)
def _loaded(world: World) -> None:
    """A launcher answers; the socket of one that was killed is there until the next has loaded everything."""

    def listens() -> bool:
        try:
            connect_launcher(str(world.state / "launcher")).close()
        except OSError:
            return False
        return True

    until(listens)


def test_a_cancelled_run_ends_as_cancelled(world: World, api: PrefectApi) -> None:
    with git_hangs(world):
        run, _ = begun(api)
        processes = launched(world)
        api.cancel(run)
        until(lambda: state(api, run) == "CANCELLED")
        until(lambda: all(gone(one) for one in processes))


@pytest.mark.parametrize("killed", ["client", "watcher", "run"])
def test_a_run_whose_process_is_killed_has_crashed(world: World, api: PrefectApi, killed: str) -> None:
    with git_hangs(world):
        run, its_client = begun(api)
        watcher, process = launched(world)
        {"client": its_client, "watcher": watcher, "run": process}[killed].send_signal(signal.SIGKILL)
        until(lambda: state(api, run) == "CRASHED")
        until(lambda: all(gone(one) for one in (its_client, watcher, process)))


def test_runs_outlive_a_killed_launcher_and_start_plainly_until_it_is_back(world: World, api: PrefectApi) -> None:
    with git_hangs(world):
        run, _ = begun(api)
        psutil.Process(recorded(world)[LAUNCHER]).kill()
    until(lambda: state(api, run) == "COMPLETED")
    plain = begin(api)
    until(lambda: state(api, plain) == "COMPLETED")
    up(world)
    assert LAUNCHER in recorded(world)


def test_runs_whose_worker_is_gone_are_crashed_people_are_told_and_the_next_one_begins(
    world: World, api: PrefectApi
) -> None:
    with by_hand.webhook(api, "try-launcher") as heard:
        by_hand.notify(api, "custom-webhook/try-launcher")
        until(lambda: not api.call("POST", "/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": BUSY}}}}))
        try:
            with git_hangs(world):
                run = api.start("release", "dev", {"commit": "main"}).id
                until(lambda: api.tasks(run))
                worker = psutil.Process(recorded(world)[WORKER])
                processes = [worker, client(run), *launched(world)]
                worker.suspend()
                held = begin(api)
                for process in processes:
                    process.kill()
                since = time.monotonic()
                # As a worker leaves it that dies between taking a run and starting it.
                api.call("POST", f"/flow_runs/{held}/set_state", {"state": {"type": "PENDING"}, "force": True})
            after = api.start("release", "dev", {"commit": "main"}).id
            told = until(lambda: [one for one in heard if after in one])
            assert told[0].startswith("Symphony: release → dev is Late\n")
            assert "(release/dev) is Late: it should have begun by now; is a worker up?" in told[0]
            up(world)
            for dead in (run, held):
                told = until(lambda dead=dead: [one for one in heard if dead in one])
                assert "/dev) is Crashed: Its process gave no sign of life for 90 seconds" in told[0]
                assert state(api, dead) == "CRASHED"
            until(lambda: state(api, after) == "COMPLETED")
            assert time.monotonic() - since < ENDED_SECONDS
        finally:
            by_hand.notify(api)


def test_a_worker_of_one_environment_leaves_the_runs_of_others_alone_and_its_own_find_the_toolchain(
    world: World, api: PrefectApi
) -> None:
    command = [sys.executable, "-c", "from cli.main import main; main()", "worker", "-e", "dev", "-n", "try-dev"]
    environment = worker_environment(world) | {"PATH": os.defpath}
    of_all = psutil.Process(recorded(world)[WORKER])
    of_all.suspend()
    with subprocess.Popen(command, cwd=world.source, env=environment) as of_dev:
        try:
            other = api.start("smoke", "staging", {}).id
            run = begin(api)
            until(lambda: state(api, run) == "COMPLETED")
            assert state(api, other) == "SCHEDULED"
        finally:
            of_all.resume()
            of_dev.terminate()
    until(lambda: state(api, other) in FINAL)


def test_a_launcher_loads_changed_code_anew(world: World, api: PrefectApi) -> None:
    before = (world.state / "launcher" / "socket").stat().st_ino
    (world.source / "flows" / "__init__.py").touch()
    until(lambda: (world.state / "launcher" / "socket").stat().st_ino != before)
    with git_hangs(world):
        run, _ = begun(api)
    until(lambda: state(api, run) == "COMPLETED")
