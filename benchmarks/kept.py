"""Keeping the figures of a benchmark, with the machine and the commit they belong to."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import psutil

from symphony.tool import run

RESULTS = Path(__file__).parent / "results"


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
