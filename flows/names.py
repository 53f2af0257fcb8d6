"""Names of flow runs: what the run does, with what, where to, at which commit."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from prefect.runtime import flow_run

_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_NAMED = 3


def run_name(verb: str) -> Callable[[], str]:
    """A callable that names a run from its parameters, such as ``deploy hello → dev @ 3f2c1a9``."""

    def name() -> str:
        return named(verb, flow_run.parameters)

    return name


def named(verb: str, given: Mapping[str, Any], applications: Collection[str] = ()) -> str:
    """What a run is called.

    Args:
        verb: What it does, but for what its parameters say otherwise.
        given: Its parameters.
        applications: What it does that with, where these are known by now; else what the parameters say.
    """
    if given.get("plan_only"):
        verb = "plan"
    if given.get("action") == "lift the hold":
        verb = "lift the hold"
    if given.get("restore"):
        verb = f"{verb} again"
    what = applications or given.get("applications") or given.get("restore") or given.get("images") or ()
    kind = "units" if given.get("restore") and verb.startswith("provision") else "applications"
    shown = ", ".join(what) if len(what) <= _NAMED else f"{len(what)} {kind}"
    ref = str(given.get("commit") or given.get("release") or "")
    at = f" @ {ref[:7] if _COMMIT.match(ref) else ref}" if ref else ""
    return f"{verb}{f' {shown}' if shown else ''} → {given.get('environment', '?')}{at}"
