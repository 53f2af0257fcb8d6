"""How long from a push until the ingress serves it: through Symphony, and by the raw commands, in turns.

Run ``make bench NAME=push_to_live``; the sandbox must be up and have released once (``make demo`` does both).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.raw import RawCommands
from cli.world import world as find_world
from sandbox.demo import push_change
from sandbox.world import HOST, World
from symphony.errors import SymphonyError

_LIMIT_SECONDS = 120
_POLL_SECONDS = 0.02


def served(world: World, greeting: str) -> None:
    """Wait until the ingress serves a greeting; polls every 20 ms, for two minutes at most.

    Raises:
        SymphonyError: It does not.
    """
    deadline = time.monotonic() + _LIMIT_SECONDS
    address, headers = f"http://{HOST}:{world.ports.ingress}/", {"Host": "hello.dev.localhost"}
    with httpx.Client(timeout=5) as client:
        while time.monotonic() < deadline:
            if client.get(address, headers=headers).text.strip() == greeting:
                return
            time.sleep(_POLL_SECONDS)
    raise SymphonyError(f"The ingress does not serve {greeting!r} after {_LIMIT_SECONDS} s.")


def main() -> None:
    """Measure and print a table, and as the last line one JSON object of the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pushes", type=int, default=3, help="Pushes of each kind.")
    pushes = parser.parse_args().pushes
    world = find_world()
    ours, theirs = list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        raw = RawCommands(world, Path(folder))
        for number in range(pushes):
            started = time.monotonic()
            served(world, push_change(world).greeting)
            ours.append(time.monotonic() - started)
            started = time.monotonic()
            greeting = f"Hello by hand {number} {time.time():.0f}"
            raw.push(world.state / "workspace", greeting, int(time.time()))
            served(world, greeting)
            theirs.append(time.monotonic() - started)
    table = Table("push", "Symphony", "raw commands", title="From push to served, seconds")
    for number, (one, other) in enumerate(zip(ours, theirs, strict=True), 1):
        table.add_row(str(number), f"{one:.2f}", f"{other:.2f}")
    Console().print(table)
    median, floor = statistics.median(ours), statistics.median(theirs)
    figures = {"symphony_seconds": round(median, 2), "raw_seconds": round(floor, 2), "ratio": round(median / floor, 2)}
    print(json.dumps(figures))  # noqa: T201 - the last line is for machines


if __name__ == "__main__":
    main()
