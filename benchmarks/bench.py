"""What benchmarks of flows over Terragrunt units share: services of their own, both sides, and the telling."""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.kept import conclude, positive_number
from benchmarks.units import Tree
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

_SERVER = "prefect-server"
_SERVER_SECONDS = 90
_POLL_SECONDS = 0.1


@dataclass
class Bench:
    """Runs both sides and keeps what was measured.

    Attributes:
        world: AWS API, Prefect server and tools.
        folder: Where checkouts are made.
        parallelism: Units at once, on both sides.
        repeat: How often each side is measured; the median counts.
        details: Every single measurement.
    """

    world: World
    folder: Path
    parallelism: int
    repeat: int
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

    def flow(self, tree: Tree, module: str, asked: dict[str, Any]) -> dict[str, Any]:
        """What a module of the benchmarks measures of one run of a flow, in a process of its own as a worker starts it.

        Args:
            tree: Where the units are.
            module: Name of the module; it takes what is asked as JSON, and its last line is JSON.
            asked: The flow's parameters.
        """
        env = {**self._environment(), "SYMPHONY_CONFIG": str(tree.configuration)}
        finished = run([sys.executable, "-m", module, json.dumps(asked)], cwd=ROOT, env=env, limit=3600)
        found = dict(json.loads(finished.stdout.splitlines()[-1]))
        self.details.setdefault("flow_processes", []).append(
            {"tree": tree.folder.name, **found, "with_imports_seconds": finished.seconds}
        )
        return found

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
    serve = [sys.executable, "-m", "deployments.server", "--host", HOST, "--port", str(ports.prefect)]
    server = Daemon(_SERVER, serve, server_environment(world))
    try:
        server.start(world)
        Aws().bring_up(world)
        _wait_for(f"{world.prefect_url}/api/health", client_environment(world)["PREFECT_API_AUTH_STRING"])
        yield world
    finally:
        Aws().stop(world)
        server.stop(world)


def measured(
    name: str,
    sizes: Mapping[str, tuple[int, str]],
    targets: Mapping[str, float],
    measure: Callable[..., dict[str, float]],
) -> None:
    """Measure, print a table, and as the last line one JSON object of the figures.

    Args:
        name: The benchmark.
        sizes: The sizes that can be asked for, each with its default and what it is; they are handed to ``measure``.
        targets: What each figure may be at most.
        measure: Takes the bench and the sizes; the figures.
    """
    parser = argparse.ArgumentParser(prog=f"benchmarks.{name}")
    for size, (default, help_) in sizes.items():
        parser.add_argument(f"--{size}", type=positive_number, default=default, help=help_)
    parser.add_argument("--parallelism", type=positive_number, default=4, help="Units at once, on both sides.")
    parser.add_argument(
        "--repeat", type=positive_number, default=3, help="Measurements of each side; the median counts."
    )
    asked = parser.parse_args()
    given = {size: getattr(asked, size) for size in sizes}
    with tempfile.TemporaryDirectory(prefix="symphony-bench-") as folder, opened(Path(folder)) as world:
        bench = Bench(world, Path(folder), asked.parallelism, asked.repeat)
        figures = {figure: round(value, 3) for figure, value in measure(bench, **given).items()}
    console = Console()
    counts = " and ".join(str(count) for count in given.values())
    table = Table("figure", "measured", "at most", "", title=f"{name}, {counts} units")
    for figure, value in figures.items():
        met = "met" if value <= targets[figure] else "[red]missed[/]"
        table.add_row(figure, f"{value:.3f}", f"{targets[figure]:g}", met)
    console.print(table)
    conclude(name, figures, {**given, "parallelism": asked.parallelism, "repeat": asked.repeat, **bench.details})


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


def bytes_on_disk(folder: Path) -> int:
    """What a folder takes on disk; what a link in it leads to is not its own."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))
