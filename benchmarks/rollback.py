"""A rollback against the raw commands: commit, push, refresh, watch.

Run ``make bench NAME=rollback``; the sandbox must be up and have released once (``make demo`` does both).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.deploy import Bench
from benchmarks.kept import conclude, positive_number
from cli.world import world as find_world
from deployments.client import Run

_LIMIT_SECONDS = 300
_PROBE = "probe "


def _answering(bench: Bench, run: Run) -> float:
    """Seconds from the run's start until its last URL had answered with the old version."""
    started = datetime.fromisoformat(bench.api.call("GET", f"/flow_runs/{run.id}")["start_time"])
    body = {"flow_runs": {"id": {"any_": [run.id]}}, "limit": 200}
    tasks = bench.api.call("POST", "/task_runs/filter", body)
    ends = [datetime.fromisoformat(one["end_time"]) for one in tasks if one["name"].startswith(_PROBE)]
    return (max(ends) - started).total_seconds()


def main() -> None:
    """Measure and print a table, and as the last line one JSON object of the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollbacks", type=positive_number, default=3, help="Rollbacks, each after a release.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(find_world(), Path(folder))
        ours, theirs = list[float](), list[float]()
        for number in range(arguments.rollbacks):
            for turn in ("good", "bad"):
                greeting = {"apps/hello/greeting.txt": f"Hello, {turn} {number} at {time.time()}\n"}
                bench.ended("release", limit=_LIMIT_SECONDS, commit=bench.branch(greeting))
            ours.append(_answering(bench, bench.ended("rollback", limit=_LIMIT_SECONDS, why="benchmark")))
            bench.ended("rollback", limit=_LIMIT_SECONDS, action="lift the hold")
            theirs.append(bench.raw(f"raw {number}"))
    median, floor = statistics.median(ours), statistics.median(theirs)
    table = Table("figure", "measured", "target", title="rollback")
    table.add_row("start to the old version answering, Symphony / raw, s", f"{median:.2f} / {floor:.2f}", "")
    table.add_row("its ratio", f"{median / floor:.2f}", "1.5")
    Console().print(table)
    figures = {"rollback_ratio": round(median / floor, 2)}
    conclude("rollback", figures, {"symphony": ours, "raw": theirs})


if __name__ == "__main__":
    main()
