"""What a run of ``provision`` leaves for later flows: the outputs of the units it applied."""

from __future__ import annotations

from collections.abc import Sequence

from flows.layer import Layers
from symphony.change import Change
from symphony.models import UnitResult
from tasks.artifacts import key_of, table
from tasks.outputs import known_outputs, publish_outputs, unit_outputs
from tasks.units import Unit

_CUT = 200


def keep_outputs(change: Change, taken: Layers, units: Sequence[Unit]) -> None:
    """Publish the outputs of what was applied, and of what was found applied and is not known yet.

    A unit whose outputs cannot be read is not known afterwards: a later flow must not go by old ones.

    Args:
        change: The commit being released.
        taken: Its layers, taken.
        units: All units of the environment.
    """
    known = known_outputs(change.mirror, change.environment)
    fresh = [unit for unit in units if _counts(taken.results.get(unit.path), known)]
    found = taken.tasks.run(unit_outputs, fresh, lambda _: change.target)
    read = {path: outputs for path, outputs in found.items() if not isinstance(outputs, BaseException)}
    gone = (known.keys() - {unit.path for unit in units}) | (known.keys() & (found.keys() - read.keys()))
    if not read and not gone:
        return
    publish_outputs(change.mirror, change.environment, read, sorted(gone))
    rows: list[dict[str, object]] = [
        {"unit": path, "output": name, "value": str(value)[:_CUT]}
        for path, outputs in read.items()
        for name, value in outputs.items()
    ]
    title = f"Outputs of {change.environment} at {change.commit[:12]}"
    table(key_of("outputs", change.environment), title, rows, "Sensitive ones are left out.")


def _counts(result: UnitResult | None, known: dict[str, dict[str, object]]) -> bool:
    if result is None:
        return False
    return result.state == "applied" or (result.state == "unchanged" and result.unit not in known)
