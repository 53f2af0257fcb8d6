"""Names of flow runs: what the run does, to what, at which commit."""

from __future__ import annotations

import re
from collections.abc import Callable

from prefect.runtime import flow_run

_COMMIT = re.compile(r"^[0-9a-f]{40}$")


def run_name(verb: str) -> Callable[[], str]:
    """A callable that names a run from its parameters, such as ``release → dev @ 3f2c1a9``."""

    def name() -> str:
        given = flow_run.parameters
        ref = str(given.get("commit", ""))
        at = f" @ {ref[:7] if _COMMIT.match(ref) else ref}" if ref else ""
        return f"{verb} → {given.get('environment', '?')}{at}"

    return name
