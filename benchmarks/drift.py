"""What ``drift`` takes to look at units against ``terragrunt run --all plan`` with the same parallelism, in one run.

Run ``make bench NAME=drift``; it needs the toolchain alone: AWS API and Prefect server are its own, on free ports, and
what they take counts on neither side. Nothing has moved, and both sides work in fresh checkouts. Cluster and images
are left out: the other side has nothing like it.
"""

from __future__ import annotations

import resource
import statistics

from benchmarks.bench import Bench, bytes_on_disk, measured
from benchmarks.units import ENVIRONMENT, Tree, flat
from symphony.errors import SymphonyError

SIZES = {"units": (100, "Units looked at.")}
TARGETS = {"wall_ratio": 0.7, "processor_ratio": 0.5, "disk_kibibytes_a_unit": 128.0, "disk_kibibytes_left": 0.0}
"""What each figure may be at most."""
_KIBIBYTE = 1024


def measure(bench: Bench, units: int) -> dict[str, float]:
    """Everything that has a target."""
    tree = bench.tree("flat", flat(units))
    seconds = bench.medians(plan_seconds=lambda _: _plan(bench, tree), drift_seconds=lambda _: _drift(bench, tree))
    looked = bench.details["flow_processes"]
    bench.details["checkout_bytes"] = bytes_on_disk(tree.checkout(bench.folder / "untouched").parents[2])
    grown = statistics.median(one["bytes"] for one in looked) - bench.details["checkout_bytes"]
    processor = statistics.median(one["own_processor_seconds"] + one["tools_processor_seconds"] for one in looked)
    return {
        "wall_ratio": seconds["drift_seconds"] / seconds["plan_seconds"],
        "processor_ratio": processor / statistics.median(bench.details["plan_processor_seconds"]),
        "disk_kibibytes_a_unit": grown / units / _KIBIBYTE,
        "disk_kibibytes_left": bytes_on_disk(bench.folder / "work" / "trees") / _KIBIBYTE,
    }


def _plan(bench: Bench, tree: Tree) -> float:
    before = _children_seconds()
    seconds = bench.plain(tree, "plan", "-lock=false")
    bench.details.setdefault("plan_processor_seconds", []).append(_children_seconds() - before)
    return seconds


def _drift(bench: Bench, tree: Tree) -> float:
    """Seconds of one look.

    Raises:
        SymphonyError: It found something.
    """
    found = bench.flow(tree, "benchmarks.one_drift", {"environment": ENVIRONMENT})
    if found["findings"]:
        raise SymphonyError(f"Of units that have not moved, {found['findings']} were told.")
    return float(found["seconds"])


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure, print a table, and as the last line one JSON object of the figures."""
    measured("drift", SIZES, TARGETS, measure)


if __name__ == "__main__":
    main()
