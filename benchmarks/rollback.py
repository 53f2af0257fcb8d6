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
from benchmarks.kept import conclude
from cli.world import world as find_world
from deployments.client import Run
from symphony.errors import SymphonyError

_LIMIT_SECONDS = 300
_PROBE = "probe "


def _ended(bench: Bench, flow: str, **parameters: object) -> Run:
    run, deadline = bench.api.start(flow, "dev", parameters), time.monotonic() + _LIMIT_SECONDS
    for now, _ in bench.api.follow(run.id):
        if time.monotonic() > deadline:
            raise SymphonyError(f"{now.name} has not ended after {_LIMIT_SECONDS} s.")
        run = now
    if not run.succeeded:
        raise SymphonyError(f"The {flow} ended as {run.state_name}: {run.message}")
    return run


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
    parser.add_argument("--rollbacks", type=int, default=3, help="Rollbacks, each after a release.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(find_world(), Path(folder))
        ours, theirs = list[float](), list[float]()
        for number in range(arguments.rollbacks):
            for turn in ("good", "bad"):
                greeting = {"apps/hello/greeting.txt": f"Hello, {turn} {number} at {time.time()}\n"}
                _ended(bench, "release", commit=bench.branch(greeting))
            ours.append(_answering(bench, _ended(bench, "rollback", why="benchmark")))
            _ended(bench, "rollback", action="lift the hold")
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
