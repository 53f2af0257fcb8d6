"""What runs cost: requests to each service, rows in Prefect's database, processor time and memory.

Run ``make bench NAME=costs``; the sandbox must be up on SQLite and have released once (``make demo`` does both). The
sandbox's worker is stopped for the time of it, and one takes its place whose requests are counted on their way.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from benchmarks.counting import Counted, counted
from benchmarks.deploy import Bench, many
from benchmarks.drawn import draw
from benchmarks.kept import conclude, positive_number
from benchmarks.raw import RawCommands
from benchmarks.watch import PLACE, POLICY
from cli.world import world as find_world
from sandbox import daemon
from sandbox.lifecycle import up
from sandbox.prefect import database, worker_environment
from sandbox.prefect.part import LAUNCHER, SERVER, WORKER
from sandbox.world import HOST, World
from symphony.errors import SymphonyError

_IDLE_SECONDS = 20
_SETTLED_SECONDS = 3
"""By then Prefect's server has written what a run's last events were."""
_SAMPLE_SECONDS = 0.1
_MEBIBYTE = 2**20
_PROXY_PORT = 4598


@dataclass
class Cost:
    """What one run took.

    Attributes:
        seconds: From the call to the end.
        requests: By service and by what was asked.
        rows: By table of Prefect's database.
        processor: Seconds of the run's processes and all that they started.
        server: Seconds of Prefect's server.
        memory: MiB that they held at most, beyond a worker that waits.
    """

    seconds: float
    requests: dict[str, Counter[str]] = field(default_factory=dict)
    rows: Counter[str] = field(default_factory=Counter)
    processor: float = 0.0
    server: float = 0.0
    memory: float = 0.0

    def told(self) -> dict[str, Any]:
        """For the file of results, with the eight requests of each service that were asked most."""
        return {
            "seconds": round(self.seconds, 1),
            "requests": {name: found.total() for name, found in self.requests.items()},
            "most": {name: dict(found.most_common(8)) for name, found in self.requests.items() if name == "aws"},
            "rows": dict(self.rows),
            "processor_seconds": round(self.processor, 2),
            "server_processor_seconds": round(self.server, 2),
            "memory_mebibytes": round(self.memory),
        }


class Meter:
    """Measures what happens between two moments."""

    def __init__(self, world: World, services: dict[str, Counted], worker: psutil.Process) -> None:
        """Of a worker whose requests pass by these services."""
        self._world, self._services, self._worker = world, services, worker
        self._server = psutil.Process(daemon.recorded(world)[SERVER])

    def measure(self, work: Callable[[], object]) -> Cost:
        """What a piece of work costs."""
        for one in self._services.values():
            one.take()
        rows, processor, server = self._rows(), _processor(self._worker), _processor(self._server)
        with _watched(self._worker) as watched:
            started = time.monotonic()
            work()
            cost = Cost(time.monotonic() - started)
            time.sleep(_SETTLED_SECONDS)
        cost.requests = {name: one.take() for name, one in self._services.items()}
        cost.rows = self._rows() - rows
        cost.processor = _processor(self._worker) - processor + sum(watched.runs.values())
        cost.server = _processor(self._server) - server
        cost.memory = watched.memory
        return cost

    def bytes_a_row(self) -> float:
        """Bytes of the database by its rows, indexes among them."""
        with contextlib.closing(sqlite3.connect(database.path(self._world))) as base:
            pages, free, size = (
                base.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
            )
        return float((pages - free) * size / self._rows().total())

    def _rows(self) -> Counter[str]:
        with contextlib.closing(sqlite3.connect(database.path(self._world))) as base:
            tables = base.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return Counter(
                {name: base.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for (name,) in tables}  # noqa: S608 - names that the database told
            )


def _tree(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def _processor(process: psutil.Process) -> float:
    """Seconds of a process and its descendants, those that ended among them."""
    total = 0.0
    for one in _tree(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


@dataclass
class _Watched:
    """What was seen of a process: its memory in MiB at most beyond the beginning, and its runs' processor time.

    The launcher never asks for the times of runs that ended, so they are read while these live; by the process's id.
    """

    memory: float = 0.0
    runs: dict[int, float] = field(default_factory=dict)


@contextmanager
def _watched(process: psutil.Process) -> Iterator[_Watched]:
    """Look at a process and its descendants ten times a second; pages that they share count once."""
    ended, found = threading.Event(), _Watched()

    def held() -> float:
        total = 0
        for one in _tree(process):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += one.memory_full_info().pss
        return total / _MEBIBYTE

    def watch() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            found.memory = max(found.memory, held() - before)
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in process.children():
                    found.runs |= {one.pid: _processor(one) for one in child.children()}

    before = held()
    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield found
    finally:
        ended.set()
        watching.join()


@contextmanager
def _cluster(world: World) -> Iterator[int]:
    """The cluster's API over plain HTTP on loopback, and its port."""
    environment = {"KUBECONFIG": str(world.kubeconfig), "PATH": world.path}
    argv = ["kubectl", "proxy", f"--address={HOST}", f"--port={_PROXY_PORT}"]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            if proxy.stdout is None or not proxy.stdout.readline():
                raise SymphonyError("`kubectl proxy` did not start.")
            yield _PROXY_PORT
        finally:
            proxy.terminate()


def _kubeconfig(world: World, url: str, path: Path) -> Path:
    """The sandbox's kubeconfig for a cluster at another address, which asks for no credentials."""
    yaml = YAML()
    told = yaml.load(world.kubeconfig)
    for cluster in told["clusters"]:
        cluster["cluster"] = {"server": url}
    for user in told["users"]:
        user["user"] = {}
    yaml.dump(told, path)
    return path


@contextmanager
def _metered(world: World, folder: Path) -> Iterator[tuple[Meter, Callable[[str], str]]]:
    """A worker in place of the sandbox's, a meter of it, and what has a ``symphony.yaml`` name the counted AWS API."""
    with (
        _cluster(world) as cluster,
        counted(
            prefect=(HOST, world.ports.prefect), aws=(HOST, world.ports.aws), kubernetes=(HOST, cluster)
        ) as services,
    ):

        def aimed(told: str) -> str:
            return told.replace(world.aws_endpoint, services["aws"].url)

        configuration = folder / "symphony.yaml"
        configuration.write_text(aimed((world.source / configuration.name).read_text()))
        environment = os.environ | worker_environment(world) | {
            "SYMPHONY_CONFIG": str(configuration),
            daemon.MARK: str(world.state),
            "PREFECT_API_URL": f"{services['prefect'].url}/api",
            "AWS_ENDPOINT_URL": services["aws"].url,
            "KUBECONFIG": str(_kubeconfig(world, services["kubernetes"].url, folder / "kubeconfig")),
        }  # fmt: skip
        for name in (WORKER, LAUNCHER):
            daemon.stop(world, name)
        command = [sys.executable, "-P", "-c", "from cli.main import main; main()", "worker", "--name", "costs"]
        log = folder / "worker.log"
        try:
            with (
                log.open("wb") as out,
                subprocess.Popen(
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder
                ) as started,
            ):
                worker = psutil.Process(started.pid)
                try:
                    yield Meter(world, services, worker), aimed
                finally:
                    for one in _tree(worker):
                        with contextlib.suppress(psutil.NoSuchProcess):
                            one.terminate()
        finally:
            up(world)


def _runs(bench: Bench, counts: list[int]) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is measured, one after the other."""

    def release() -> None:
        greeting = {"apps/hello/greeting.txt": f"Hello, measured at {time.time()}\n"}
        bench.ended("release", commit=bench.branch(greeting))

    yield "release, an image built", release
    yield "release, its image built before", lambda: bench.ended("release", commit=bench.branch({}))
    yield "release, nothing changed", lambda: bench.ended("release", commit=bench.branch({}))
    yield "promote", lambda: bench.ended("promote", "staging", applications=["hello"])
    yield "drift", lambda: bench.ended("drift")
    policy = {"symphony.yaml": bench.text("symphony.yaml").replace(PLACE, PLACE + POLICY)}
    yield "watch, nothing new", lambda: bench.ended("watch", commit=bench.branch(policy))
    for count in counts:
        names = [f"many-{number:03}" for number in range(count)]
        images = dict.fromkeys(names, bench.digest())

        def deploy(names: list[str] = names, images: dict[str, str] = images) -> None:
            branch = bench.branch(many(names, bench.text("symphony.yaml")))
            bench.ended("deploy", commit=branch, images=images, force=True)

        yield f"deploy, {count} new applications", deploy
        bench.remove(names)


def _by_hand(world: World, folder: Path) -> tuple[float, float]:
    """Processor seconds and the most memory, in MiB, of the raw commands from a change to Argo CD's look."""
    raw = RawCommands(world, folder)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with _watched(psutil.Process()) as watched:
        raw.push(world.state / "workspace", f"Hello by hand {time.time()}", int(time.time()))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, watched.memory


def main() -> None:
    """Measure and print a table, and as the last line one JSON object of the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--applications", type=positive_number, nargs="*", default=[1, 10, 100], help="New ones in a deploy."
    )
    asked = parser.parse_args()
    world, found = find_world(), dict[str, Cost]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(world, folder)
        (folder / "raw").mkdir()
        hand_processor, hand_memory = _by_hand(world, folder / "raw")
        with _metered(world, folder) as (meter, aimed):
            before = bench.text("symphony.yaml")
            # It warms the worker, too.
            bench.publish({"symphony.yaml": aimed(before)})
            for what, work in _runs(bench, asked.applications):
                found[what] = meter.measure(work)
            idle = meter.measure(lambda: time.sleep(_IDLE_SECONDS))
            row = meter.bytes_a_row()
        bench.publish({"symphony.yaml": before})
    minutes = (_IDLE_SECONDS + _SETTLED_SECONDS) / 60
    services = list(idle.requests)
    table = Table("run", "s", *(f"{one} requests" for one in services), "rows", "processor, s", "server, s", "MiB")
    for what, cost in found.items():
        counts = (str(cost.requests[one].total()) for one in services)
        figures = (f"{cost.processor:.1f}", f"{cost.server:.1f}", f"{cost.memory:.0f}")
        table.add_row(what, f"{cost.seconds:.1f}", *counts, str(cost.rows.total()), *figures)
    each = (f"{idle.requests[one].total() / minutes:.0f}" for one in services)
    table.add_row("a worker that waits, a minute", "", *each, f"{idle.rows.total() / minutes:.0f}",
                  f"{idle.processor / minutes:.1f}", f"{idle.server / minutes:.1f}", "")  # fmt: skip
    table.add_row(
        "the raw commands", "", *("" for _ in services), "", f"{hand_processor:.1f}", "", f"{hand_memory:.0f}"
    )
    console = Console(width=160)
    console.print(table, f"{row:.0f} bytes a row of Prefect's database.")
    several = [found[f"deploy, {count} new applications"] for count in asked.applications]
    if len(several) > 1:
        series = {
            "seconds": [one.seconds for one in several],
            "processor seconds": [one.processor for one in several],
            "requests / 10": [sum(each.total() for each in one.requests.values()) / 10 for one in several],
            "rows / 100": [one.rows.total() / 100 for one in several],
        }
        draw("cost of one deploy", "new applications", asked.applications, series, scale="log")
    built = found["release, an image built"]
    conclude(
        "costs",
        {"processor_seconds_of_a_release": round(built.processor, 2), "bytes_a_row": round(row)},
        {
            "runs": {what: cost.told() for what, cost in found.items()},
            "idle": idle.told(),
            "idle_seconds": _IDLE_SECONDS + _SETTLED_SECONDS,
            "raw": {"processor_seconds": round(hand_processor, 2), "memory_mebibytes": round(hand_memory)},
        },
    )


if __name__ == "__main__":
    main()
