"""The flow ``provision`` against ``terragrunt run --all`` with the same parallelism, side by side in one run.

Run ``make bench NAME=provision``; it needs the toolchain alone: AWS API and Prefect server are its own, on free ports.
Both sides work in fresh checkouts, as CI runs do, and with the same provider cache.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.kept import keep
from benchmarks.units import ENVIRONMENT, Tree, diamond, flat
from cli.world import ROOT
from sandbox import toolchain
from sandbox.aws import aws_environment
from sandbox.aws.part import Aws
from sandbox.daemon import Daemon
from sandbox.prefect.environment import client_environment, server_environment
from sandbox.tofu import tofu_environment
from sandbox.world import HOST, Ports, World, cache_home
from symphony.errors import SymphonyError
from symphony.tool import run
from tasks.live import Live
from tasks.units import find_units, layers

_SERVER = "prefect-server"
_SERVER_SECONDS = 90
_POLL_SECONDS = 0.1
TARGETS = {
    "everything_ratio": 1.05,
    "few_ratio": 0.25,
    "nothing_seconds": 3.0,
    "diamond_ratio": 1.2,
    "find_seconds": 1.5,
    "memory_mebibytes": 400.0,
}
"""What each figure may be at most."""


@dataclass
class Bench:
    """Runs both sides and keeps what was measured.

    Attributes:
        world: AWS API, Prefect server and tools.
        folder: Where checkouts are made.
        parallelism: Units at once, on both sides.
        repeat: How often each side is measured; the median counts.
        memory: The most that any flow's process held, MiB.
        details: Every single measurement.
    """

    world: World
    folder: Path
    parallelism: int
    repeat: int
    memory: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)

    def tree(self, name: str, units: dict[str, list[str]], *, applied: bool = True) -> Tree:
        """A new repository with these units; applied, with the bucket for their state."""
        made = Tree(self.world, self.folder / name, units, self.parallelism)
        made.write()
        if applied:
            live = made.checkout(self.folder / f"bucket-{name}")
            run(
                ["terragrunt", "backend", "bootstrap", "--non-interactive"],
                cwd=live / next(iter(units)),
                env=self._environment(),
            )
            self.plain(made, "apply", "-auto-approve")
        return made

    def plain(self, tree: Tree, command: str, *args: str) -> float:
        """Seconds of ``terragrunt run --all`` in a fresh checkout."""
        live = tree.checkout(self.folder / f"plain-{time.monotonic_ns()}")
        all_ = ["terragrunt", "run", "--all", "--non-interactive", "--no-color", f"--parallelism={self.parallelism}"]
        started = time.monotonic()
        run([*all_, "--", command, "-no-color", "-input=false", *args], cwd=live, env=self._environment(), limit=3600)
        return time.monotonic() - started

    def flow(self, tree: Tree, expected: dict[str, int], **parameters: Any) -> float:
        """Seconds of one run of the flow, in a process of its own as a worker starts it.

        Raises:
            SymphonyError: The units did not end as expected.
        """
        asked = json.dumps({"environment": ENVIRONMENT, **parameters})
        env = {**self._environment(), "SYMPHONY_CONFIG": str(tree.configuration)}
        argv = [sys.executable, "-m", "benchmarks.one_flow", asked]
        finished = run(argv, cwd=ROOT, env=env, limit=3600)
        found = json.loads(finished.stdout.splitlines()[-1])
        if found["states"] != expected:
            raise SymphonyError(f"The units of {tree.folder.name} ended as {found['states']}, not {expected}.")
        self.memory = max(self.memory, found["mebibytes"])
        self.details.setdefault("flow_processes", []).append(
            {"tree": tree.folder.name, **found, "with_imports_seconds": finished.seconds}
        )
        return float(found["seconds"])

    def medians(self, **sides: Callable[[int], float]) -> dict[str, float]:
        """The median of each side's rounds. The sides take turns, so that what else the machine does meets all."""
        rounds: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(self.repeat):
            for name, measured in sides.items():
                rounds[name].append(round(measured(number), 3))
        self.details |= rounds
        return {name: statistics.median(found) for name, found in rounds.items()}

    def _environment(self) -> dict[str, str]:
        return {
            **aws_environment(self.world),
            **tofu_environment(self.world),
            **client_environment(self.world),
            "PATH": self.world.path,
            "SYMPHONY_WORK": str(self.folder / "work"),
            "PREFECT_LOGGING_LEVEL": "WARNING",
        }


@contextmanager
def opened(folder: Path) -> Iterator[World]:
    """An AWS API and a Prefect server of this benchmark's own.

    Raises:
        SymphonyError: The toolchain lacks a tool, or one of them does not come up.
    """
    cache = cache_home()
    if lacking := [tool.name for tool in toolchain.missing(cache)]:
        raise SymphonyError(f"The toolchain lacks {', '.join(lacking)}; `make setup` builds it.")
    aws, prefect = _free_ports(2)
    ports = Ports(aws=aws, prefect=prefect)
    world = World(ROOT, folder / "state", cache, toolchain.folders(cache), ports)
    serve = [sys.executable, "-m", "sandbox.prefect.server", "--host", HOST, "--port", str(ports.prefect)]
    server = Daemon(_SERVER, serve, server_environment(world))
    try:
        server.start(world)
        Aws().bring_up(world)
        _wait_for(f"{world.prefect_url}/api/health", client_environment(world)["PREFECT_API_AUTH_STRING"])
        yield world
    finally:
        Aws().stop(world)
        server.stop(world)


def measure(bench: Bench, units: int, found: int) -> dict[str, float]:
    """Everything that has a target."""
    flat_tree = bench.tree("flat", flat(units))
    seconds = bench.medians(
        plain_plan_seconds=lambda _: bench.plain(flat_tree, "plan"),
        everything_seconds=lambda _: bench.flow(flat_tree, {"unchanged": units}, everything=True),
        few_seconds=lambda number: _few(bench, flat_tree, number),
    )
    flat_tree.commit("nothing")
    seconds |= bench.medians(nothing_seconds=lambda _: bench.flow(flat_tree, {}, since="main"))

    layered = bench.tree("diamond", diamond(units))
    seconds |= bench.medians(
        diamond_plain_seconds=lambda number: _plain_diamond(bench, layered, number),
        diamond_seconds=lambda number: _diamond(bench, layered, number),
    )

    many = bench.tree("many", diamond(found), applied=False)
    seconds |= bench.medians(find_seconds=lambda _: _find(bench, many))
    many.commit("nothing")
    bench.flow(many, {}, since="main")
    figures = {
        "everything_ratio": seconds["everything_seconds"] / seconds["plain_plan_seconds"],
        "few_ratio": seconds["few_seconds"] / seconds["plain_plan_seconds"],
        "nothing_seconds": seconds["nothing_seconds"],
        "diamond_ratio": seconds["diamond_seconds"] / seconds["diamond_plain_seconds"],
        "find_seconds": seconds["find_seconds"],
        "memory_mebibytes": bench.memory,
    }
    return {name: round(value, 3) for name, value in figures.items()}


def _few(bench: Bench, tree: Tree, number: int) -> float:
    """Three units changed in a comment: planned, with nothing to apply, as on the other side."""
    before = tree.commit("before")
    for unit in list(tree.units)[:3]:
        with (tree.folder / tree.file(unit)).open("a") as file:
            file.write(f"# {number}\n")
    tree.commit("three units")
    return bench.flow(tree, {"unchanged": 3}, since=before)


def _plain_diamond(bench: Bench, tree: Tree, number: int) -> float:
    """Three units at the bottom changed, everything applied by plain Terragrunt."""
    tree.change(list(tree.units)[:3], f"plain-{number}")
    return bench.plain(tree, "apply", "-auto-approve")


def _diamond(bench: Bench, tree: Tree, number: int) -> float:
    """The same units changed, applied by the flow."""
    before = tree.commit("before")
    tree.change(list(tree.units)[:3], f"flow-{number}")
    return bench.flow(tree, {"applied": 3, "unchanged": len(tree.units) - 3}, since=before)


def _find(bench: Bench, tree: Tree) -> float:
    """Seconds to find and order the units of a fresh checkout, within this process."""
    to = bench.folder / f"found-{time.monotonic_ns()}"
    tree.checkout(to)
    live = Live(to, "infra/live", ENVIRONMENT, (ENVIRONMENT,), {"PATH": bench.world.path})
    started = time.monotonic()
    units = find_units.fn(live)
    ordered = layers(units)
    seconds = time.monotonic() - started
    if len(units) != len(tree.units) or len(ordered) != 3:  # noqa: PLR2004 - a diamond has three layers
        raise SymphonyError(f"Of {len(tree.units)} units {len(units)} were found, in {len(ordered)} layers.")
    return seconds


def main() -> None:
    """Measure, print a table, and as the last line one JSON object of the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=40, help="Units planned.")
    parser.add_argument("--found", type=int, default=200, help="Units found and ordered.")
    parser.add_argument("--parallelism", type=int, default=4, help="Units at once, on both sides.")
    parser.add_argument("--repeat", type=int, default=3, help="Measurements of each side; the median counts.")
    parser.add_argument("--no-keep", action="store_true", help="Do not write benchmarks/results.")
    asked = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="symphony-bench-") as folder, opened(Path(folder)) as world:
        bench = Bench(world, Path(folder), asked.parallelism, asked.repeat)
        figures = measure(bench, asked.units, asked.found)
    table = Table("figure", "measured", "at most", "", title=f"provision, {asked.units} and {asked.found} units")
    for name, value in figures.items():
        table.add_row(name, f"{value:.3f}", f"{TARGETS[name]:g}", "met" if value <= TARGETS[name] else "[red]missed[/]")
    console.print(table)
    if not asked.no_keep:
        sizes = {name: getattr(asked, name) for name in ("units", "found", "parallelism", "repeat")}
        console.print(f"Kept in {keep('provision', figures, {**sizes, **bench.details}).relative_to(ROOT)}.")
    print(json.dumps(figures))  # noqa: T201 - the last line is for machines


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _wait_for(url: str, login: str) -> None:
    user, _, password = login.partition(":")
    deadline = time.monotonic() + _SERVER_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, auth=(user, password), timeout=2).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(_POLL_SECONDS)
    raise SymphonyError(f"The Prefect server of the benchmark does not answer at {url} after {_SERVER_SECONDS} s.")


if __name__ == "__main__":
    main()
