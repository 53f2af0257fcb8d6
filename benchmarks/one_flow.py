"""One run of the flow ``provision`` in a process of its own, measured from within: `python -m benchmarks.one_flow`.

Takes the flow's parameters as one JSON object, and prints as its last line what became of the units, the flow's wall
time and the most memory that the process held.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections import Counter
from pathlib import Path

from deployments import blocks
from flows.provision import provision
from symphony.config import load


def main() -> None:
    """Run the flow and print what was measured."""
    # As `symphony deploy-flows` leaves them for every worker.
    blocks.save(load(Path(os.environ["SYMPHONY_CONFIG"])))
    started = time.monotonic()
    results = provision(**json.loads(sys.argv[1]))
    seconds = time.monotonic() - started
    # On Linux in KiB (getrusage(2)); that of Terragrunt's processes is not among it.
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    states = Counter(result.state for result in results)
    print(json.dumps({"seconds": seconds, "mebibytes": memory, "states": states}))  # noqa: T201 - for the benchmark


if __name__ == "__main__":
    main()
