"""The flow ``provision`` against ``terragrunt run --all`` with the same parallelism, side by side in one run.

Run ``make bench NAME=provision``; it needs the toolchain alone: AWS API and Prefect server are its own, on free ports.
Both sides work in fresh checkouts, as CI runs do, and with the same provider cache.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.bench import Bench, measured
from benchmarks.units import ENVIRONMENT, Tree, diamond, flat
from symphony.errors import SymphonyError
from tasks.live import Live
from tasks.units import find_units, layers

SIZES = {"units": (40, "Units planned."), "found": (200, "Units found and ordered.")}
TARGETS = {
    "everything_ratio": 1.05,
    "few_ratio": 0.25,
    "nothing_seconds": 3.0,
    "diamond_ratio": 1.2,
    "find_seconds": 1.5,
    "memory_mebibytes": 400.0,
}
"""What each figure may be at most."""


def measure(bench: Bench, units: int, found: int) -> dict[str, float]:
    """Everything that has a target."""
    flat_tree = bench.tree("flat", flat(units))
    seconds = bench.medians(
        plain_plan_seconds=lambda _: bench.plain(flat_tree, "plan"),
        everything_seconds=lambda _: _flow(bench, flat_tree, {"unchanged": units}, everything=True),
        few_seconds=lambda number: _few(bench, flat_tree, number),
    )
    flat_tree.commit("nothing")
    seconds |= bench.medians(nothing_seconds=lambda _: _flow(bench, flat_tree, {}, since="main"))

    layered = bench.tree("diamond", diamond(units))
    seconds |= bench.medians(
        diamond_plain_seconds=lambda number: _plain_diamond(bench, layered, number),
        diamond_seconds=lambda number: _diamond(bench, layered, number),
    )

    many = bench.tree("many", diamond(found), applied=False)
    seconds |= bench.medians(find_seconds=lambda _: _find(bench, many))
    many.commit("nothing")
    _flow(bench, many, {}, since="main")
    return {
        "everything_ratio": seconds["everything_seconds"] / seconds["plain_plan_seconds"],
        "few_ratio": seconds["few_seconds"] / seconds["plain_plan_seconds"],
        "nothing_seconds": seconds["nothing_seconds"],
        "diamond_ratio": seconds["diamond_seconds"] / seconds["diamond_plain_seconds"],
        "find_seconds": seconds["find_seconds"],
        "memory_mebibytes": max(found["mebibytes"] for found in bench.details["flow_processes"]),
    }


def _flow(bench: Bench, tree: Tree, expected: dict[str, int], **parameters: Any) -> float:
    """Seconds of one run of the flow.

    Raises:
        SymphonyError: The units did not end as expected.
    """
    found = bench.flow(tree, "benchmarks.one_flow", {"environment": ENVIRONMENT, **parameters})
    if found["states"] != expected:
        raise SymphonyError(f"The units of {tree.folder.name} ended as {found['states']}, not {expected}.")
    return float(found["seconds"])


def _few(bench: Bench, tree: Tree, number: int) -> float:
    """Three units changed in a comment: planned, with nothing to apply, as on the other side."""
    before = tree.commit("before")
    for unit in list(tree.units)[:3]:
        with (tree.folder / tree.file(unit)).open("a") as file:
            file.write(f"# {number}\n")
    tree.commit("three units")
    return _flow(bench, tree, {"unchanged": 3}, since=before)


def _plain_diamond(bench: Bench, tree: Tree, number: int) -> float:
    """Three units at the bottom changed, everything applied by plain Terragrunt."""
    tree.change(list(tree.units)[:3], f"plain-{number}")
    return bench.plain(tree, "apply", "-auto-approve")


def _diamond(bench: Bench, tree: Tree, number: int) -> float:
    """The same units changed, applied by the flow."""
    before = tree.commit("before")
    tree.change(list(tree.units)[:3], f"flow-{number}")
    return _flow(bench, tree, {"applied": 3, "unchanged": len(tree.units) - 3}, since=before)


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
    measured("provision", SIZES, TARGETS, measure)


if __name__ == "__main__":
    main()
