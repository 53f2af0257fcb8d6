"""Units against AWS: what a plan of the applied commit would put back, attribute by attribute."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from prefect import task

from symphony.drift import Finding
from tasks.live import Live
from tasks.plan import load_plan, mask, sensitive_values
from tasks.retry import TRANSIENT
from tasks.shared_provider import SharedProviders
from tasks.units import Unit

_LONGEST = 200
"""Characters of a value that are told."""
_GONE, _EXTRA = "it is gone", "the commit has it no more"
_SAID = {
    ("create",): _GONE,
    ("delete",): _EXTRA,
    ("delete", "create"): "it would have to be replaced",
    ("create", "delete"): "it would have to be replaced",
}


@task(name="look at unit", task_run_name="look at {unit.path}", **TRANSIENT)
def look_at_unit(live: Live, unit: Unit, providers: SharedProviders) -> tuple[Finding, ...]:
    """What of a unit is not as the commit in the checkout says; nothing is changed, and no lock is taken.

    Args:
        live: The environment's live folder, in a checkout of the commit that was applied.
        unit: The unit.
        providers: The providers that the run's plans share.

    Returns:
        One finding a resource; outputs count where no resource does.

    Raises:
        TransientError: AWS was throttling or out of reach.
        SymphonyError: tofu could not plan it.
    """
    shown = providers.plan(live, unit)
    return findings(unit.path, shown) if shown else ()


def findings(unit: str, shown: str) -> tuple[Finding, ...]:
    """What a plan of what is applied already would change, as JSON of ``tofu show``.

    Raises:
        SymphonyError: It is no plan that this version can read.
    """
    plan, secrets = load_plan(unit, shown), sensitive_values(unit, shown)
    told = {
        entry["address"]: _told(entry["change"])
        for entry in plan.get("resource_changes", ())
        if entry.get("mode") == "managed" and entry["change"]["actions"] not in (["no-op"], ["read"])
    }
    outputs = [name for name, change in plan.get("output_changes", {}).items() if change["actions"] != ["no-op"]]
    if outputs and not told:
        told["outputs"] = f"{', '.join(sorted(outputs))} would change"
    return tuple(
        Finding(area="infrastructure", kind="drift", where=unit, what=address, told=mask(text, secrets))
        for address, text in told.items()
    )


def _told(change: dict[str, Any]) -> str:
    said = _SAID.get(tuple(change["actions"]), "")
    if said in {_GONE, _EXTRA}:
        return said
    marks = (change.get("before_sensitive", False), change.get("after_sensitive", False))
    lines = list(_differences("", change.get("before"), change.get("after"), change.get("after_unknown", False), marks))
    return "\n".join([*_once(lines), *([said] if said else [])])


def _once(lines: Iterable[str]) -> Iterator[str]:
    """The lines without tags that the provider tells again in `tags_all`, where its default tags are too."""
    told: set[str] = set()
    for line in sorted(lines, key=lambda line: line.startswith("tags_all.")):
        name = line.partition(":")[0]
        if name.replace("tags_all.", "tags.", 1) not in told:
            yield line
        told.add(name)


def _differences(path: str, now: Any, wanted: Any, unknown: Any, marks: tuple[Any, Any]) -> Iterator[str]:
    """A line for each leaf that differs; what only an apply would tell is left out."""
    if now == wanted or unknown is True:
        return
    if True in marks:
        yield f"{path}: differs (sensitive value)"
    elif isinstance(now, dict) and isinstance(wanted, dict):
        for key in sorted({*now, *wanted}):
            below = (_below(marks[0], key), _below(marks[1], key))
            where = f"{path}.{key}" if path else key
            yield from _differences(where, now.get(key), wanted.get(key), _below(unknown, key), below)
    elif any(_holds_true(one) for one in marks):
        yield f"{path}: differs (sensitive value)"
    else:
        yield f"{path}: is {_short(now)}, the commit has {_short(wanted)}"


def _below(marks: Any, key: str) -> Any:
    return marks.get(key, False) if isinstance(marks, dict) else marks is True


def _holds_true(marks: Any) -> bool:
    if isinstance(marks, dict):
        return any(map(_holds_true, marks.values()))
    return any(map(_holds_true, marks)) if isinstance(marks, list) else marks is True


def _short(value: Any) -> str:
    if value is None:
        return "not set"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
