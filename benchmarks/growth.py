"""How soon a run's first task begins, and how a promotion and smoke tests take longer the more there is to do.

Run ``make bench NAME=growth``; the sandbox must be up and have released once (``make demo`` does both).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.deploy import Bench, many, moment
from benchmarks.drawn import draw
from benchmarks.kept import conclude, positive_number
from benchmarks.watch import PLACE
from cli.world import world as find_world
from sandbox.world import HOST, World
from symphony.smoke import Smoke
from symphony.tool import run

_LIMIT_SECONDS = 1200


def _first_task(bench: Bench) -> float:
    """Seconds from the call to the API until the run's first task began."""
    called = time.time()
    ended = bench.ended("smoke", applications=["hello"])
    return min(moment(one.start_time) for one in bench.api.tasks(ended.id) if one.start_time) - called


def _promotions(bench: Bench, counts: list[int]) -> Iterator[tuple[float, float]]:
    """Seconds of the promotion of so many new applications, and those of it that were a wait for Argo CD."""
    before = bench.text("symphony.yaml")
    files = dict[str, str]()
    bench.ended("promote", "staging", _LIMIT_SECONDS)  # what else there is to promote
    try:
        for count in counts:
            names = [f"grown-{count}-{number:03}" for number in range(count)]
            files |= many(names, files.get("symphony.yaml", before))
            bench.publish(files)
            whole, wait, _ = bench.spans(bench.ended("promote", "staging", _LIMIT_SECONDS))
            yield whole, wait
    finally:
        if files:
            bench.publish({**dict.fromkeys(files), "symphony.yaml": before})
            bench.ended("promote", "staging", _LIMIT_SECONDS)


def _smoke_tests(bench: Bench, world: World, counts: list[int]) -> Iterator[tuple[float, float]]:
    """Seconds of a smoke run over so many paths, and those of a script that asks each as often by ``curl``."""
    before = bench.text("symphony.yaml")
    curl = ["curl", "--fail", "--silent", "--output", "/dev/null", "--header", "Host: hello.dev.localhost"]
    try:
        for count in counts:
            paths = "".join(f'        "/?page={number}": {{}}\n' for number in range(count))
            told = f"{PLACE}    smoke:\n      paths:\n{paths}"
            bench.publish({"symphony.yaml": before.replace(PLACE, told)})
            whole = bench.api.call("GET", f"/flow_runs/{bench.ended('smoke', applications=['hello']).id}")
            started = time.monotonic()
            for number in range(count):
                for _ in range(Smoke().good):
                    run([*curl, f"http://{HOST}:{world.ports.ingress}/?page={number}"])
            yield moment(whole["end_time"]) - moment(whole["start_time"]), time.monotonic() - started
    finally:
        bench.publish({"symphony.yaml": before})


def main() -> None:
    """Measure and print a table and a plot, and as the last line one JSON object of the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=positive_number, default=10, help="Calls of the API; the median counts.")
    parser.add_argument(
        "--counts", type=positive_number, nargs="+", default=[1, 10, 100], help="Applications, and paths."
    )
    asked = parser.parse_args()
    world = find_world()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(world, Path(folder))
        calls = [_first_task(bench) for _ in track(range(asked.calls), "Calls of the API")]
        smoke = list(track(_smoke_tests(bench, world, asked.counts), "Smoke tests", len(asked.counts)))
        promotions = list(track(_promotions(bench, asked.counts), "Promotions", len(asked.counts)))
    first = statistics.median(calls)
    table = Table("figure", "measured", title="growth")
    table.add_row("API call to the first task, s", f"{first:.2f}")
    for count, (whole, wait) in zip(asked.counts, promotions, strict=True):
        table.add_row(f"promotion of {count} applications, of it Symphony's own, s", f"{whole:.1f}, {whole - wait:.1f}")
    for count, (whole, script) in zip(asked.counts, smoke, strict=True):
        table.add_row(f"smoke tests of {count} paths / by curl, s", f"{whole:.1f} / {script:.1f}")
    Console().print(table)
    if len(asked.counts) > 1:
        series = {
            "promotion": [whole for whole, _ in promotions],
            "of it Symphony's own": [whole - wait for whole, wait in promotions],
            "smoke tests": [whole for whole, _ in smoke],
            "by curl": [script for _, script in smoke],
        }
        draw("seconds of a run", "applications, or paths", asked.counts, series, scale="log")
    figures = {
        "call_to_first_task_seconds": round(first, 2),
        "smoke_to_curl_ratio": round(smoke[-1][0] / smoke[-1][1], 2),
        "promotion_seconds": round(promotions[-1][0], 1),
    }
    conclude(
        "growth",
        figures,
        {"counts": asked.counts, "calls": calls, "promotion and wait": promotions, "smoke and curl": smoke},
    )


if __name__ == "__main__":
    main()
