"""One look at all units of an environment in a process of its own, measured from within.

`python -m benchmarks.one_drift` takes the environment as one JSON object, and prints as its last line what was found,
wall and processor time of the flow and of all that it started, and the bytes on disk of its checkout before that goes.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

from prefect import flow

from benchmarks.bench import bytes_on_disk
from deployments import blocks
from flows.drift import drift, look_at_units
from symphony.config import load
from tasks.change import open_change


@flow(name="drift", task_runner=drift.task_runner)
def look(environment: str) -> tuple[int, int]:
    """What drift looks at without a cluster; findings and what could not be looked at, and the checkout's bytes."""
    with open_change(environment) as change:
        found, unseen = look_at_units(change)
        return len(found) + len(unseen), bytes_on_disk(change.tree)


def main() -> None:
    """Run the flow and print what was measured."""
    # As `symphony deploy-flows` leaves them for every worker.
    blocks.save(load(Path(os.environ["SYMPHONY_CONFIG"])))
    started, own, tools = time.monotonic(), _processor_seconds(), _processor_seconds(resource.RUSAGE_CHILDREN)
    findings, disk = look(**json.loads(sys.argv[1]))
    measured = {
        "findings": findings,
        "seconds": time.monotonic() - started,
        "own_processor_seconds": _processor_seconds() - own,
        "tools_processor_seconds": _processor_seconds(resource.RUSAGE_CHILDREN) - tools,
        "bytes": disk,
    }
    print(json.dumps(measured))  # noqa: T201 - for the benchmark


def _processor_seconds(who: int = resource.RUSAGE_SELF) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
