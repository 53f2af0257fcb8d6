"""Keeping the figures of a benchmark, with the machine and the commit they belong to."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import psutil

from symphony.tool import run

RESULTS = Path(__file__).parent / "results"
_WORSE = 1.2
"""How many times the committed ratio a ratio may be."""


def conclude(name: str, figures: dict[str, Any], details: dict[str, Any]) -> None:
    """Keep a result, print its figures as one line of JSON, and compare its ratios with the committed ones.

    Args:
        name: The benchmark.
        figures: Its ratios, by names that end in ``ratio``, and other figures that have a target.
        details: Everything else that was measured.

    Raises:
        SystemExit: A ratio is over a fifth worse than in the newest result that is committed.
    """
    before = committed(name)
    keep(name, figures, details)
    print(json.dumps(figures))  # noqa: T201 - the last line is for machines
    if told := worse(figures, before):
        raise SystemExit(f"{name} has become slower than its committed result: {told}.")


def committed(name: str) -> dict[str, Any]:
    """The figures of the newest result that is committed; empty before the first."""
    listed = run(["git", "ls-files", f"{name}-*.json"], cwd=RESULTS).stdout.split()
    newest = max(listed, key=lambda file: file.rpartition("-")[2], default="")
    return dict(json.loads((RESULTS / newest).read_text())["figures"]) if newest else {}


def worse(figures: dict[str, Any], before: dict[str, Any]) -> str:
    """The ratios that are over a fifth worse than before, as part of a sentence; seconds differ between machines."""
    return ", ".join(
        f"{name} is {value}, it was {before[name]}"
        for name, value in figures.items()
        if name.endswith("ratio") and name in before and value > _WORSE * before[name]
    )


def keep(name: str, figures: dict[str, Any], details: dict[str, Any]) -> Path:
    """Write a result to ``benchmarks/results/<name>-<commit>-<time>.json``.

    Args:
        name: The benchmark.
        figures: Its ratios and other figures that have a target.
        details: Everything else that was measured.
    """
    root = RESULTS.parents[1]
    commit = run(["git", "rev-parse", "HEAD"], cwd=root).stdout.strip()
    changed = run(["git", "status", "--porcelain", "--untracked-files=no"], cwd=root).stdout.strip()
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{commit[:12]}-{moment}.json"
    result = {
        "benchmark": name,
        "commit": commit,
        "uncommitted_changes": bool(changed),
        "time": moment,
        "machine": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "processors": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "load_at_the_end": round(os.getloadavg()[0], 2),
        },
        "figures": figures,
        "details": details,
    }
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return path


def positive_number(text: str) -> int:
    """A number of things, at least one.

    Raises:
        ArgumentTypeError: It is less.
        ValueError: It is no number.
    """
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} must be 1 or more")
    return number
