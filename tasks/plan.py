"""Reading a saved plan: what it does to which resource, and which values must never be shown."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from symphony.errors import SymphonyError
from symphony.models import Action, ResourceChange, UnitPlan
from symphony.outside import read_json, understood
from tasks.plan_hash import canonical_hash

_ACTIONS: dict[tuple[str, ...], Action] = {
    ("create",): "add",
    ("update",): "change",
    ("delete",): "destroy",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
    # tofu lets go of it without destroying it (a `removed` block); its record in the state goes.
    ("forget",): "destroy",
}
_MASK = "(sensitive value)"
_SHORTEST = 3
_BEGIN = re.compile(r"^(OpenTofu|Terraform) (will perform|detected)|^Changes to Outputs:", re.MULTILINE)
_END = re.compile(r"^─{10,}|^Saved the plan to:|^Warning: ", re.MULTILINE)


def read_plan(unit: str, shown: str, printed: str, seconds: float) -> UnitPlan:
    """A unit's plan from what tofu printed.

    Args:
        unit: The unit's path.
        shown: Output of ``tofu show -json``.
        printed: Output of ``tofu plan``.
        seconds: Wall time of the plan.

    Returns:
        The plan, with every value that the plan marks as sensitive masked in its text: providers before 6 print some
        of them again in plain, as in ``tags_all``.

    Raises:
        SymphonyError: It is no plan that this version can read.
    """
    plan = load_plan(unit, shown)
    with _readable(unit):
        changes = [
            ResourceChange(address=entry["address"], action=_ACTIONS[actions])
            for entry in plan.get("resource_changes", ())
            if entry.get("mode") == "managed" and (actions := tuple(entry["change"]["actions"])) in _ACTIONS
        ]
        outputs = [name for name, change in plan.get("output_changes", {}).items() if change["actions"] != ["no-op"]]
        return UnitPlan(
            unit=unit,
            changes=tuple(changes),
            outputs=tuple(sorted(outputs)),
            text=mask(_essence(printed), sensitive_values(unit, shown)),
            seconds=round(seconds, 3),
            hash=canonical_hash(plan),
        )


def sensitive_values(unit: str, shown: str) -> frozenset[str]:
    """Texts in a plan that must not be shown: marked by the provider, the module's outputs or its variables.

    Values shorter than three characters are left out; masking them would blot out everything.

    Raises:
        SymphonyError: It is no plan that this version can read.
    """
    plan = load_plan(unit, shown)
    found: set[str] = set()
    with _readable(unit):
        changes = [entry["change"] for entry in (*plan.get("resource_changes", ()), *plan.get("resource_drift", ()))]
        for change in (*changes, *plan.get("output_changes", {}).values()):
            for moment in ("before", "after"):
                found.update(_marked(change.get(moment), change.get(f"{moment}_sensitive", False)))
        declared = plan.get("configuration", {}).get("root_module", {}).get("variables", {})
        for name, variable in plan.get("variables", {}).items():
            if declared.get(name, {}).get("sensitive"):
                found.update(_leaves(variable.get("value")))
    return _long_enough(found)


def hidden_texts(values: Iterable[Any]) -> frozenset[str]:
    """Texts of values that are sensitive as a whole, as `sensitive_values` has them.

    Args:
        values: JSON values.
    """
    return _long_enough(text for value in values for text in _leaves(value))


def _long_enough(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(text for text in texts if len(text) >= _SHORTEST)


def mask(text: str, values: Collection[str]) -> str:
    """A text without these values, longest first so that none is left in part."""
    for value in sorted(values, key=len, reverse=True):
        for form in (value, json.dumps(value)[1:-1]):
            text = text.replace(form, _MASK)
    return text


def load_plan(unit: str, shown: str) -> dict[str, Any]:
    """What ``tofu show -json`` printed.

    Raises:
        SymphonyError: It is no plan that this version can read.
    """
    with _readable(unit):
        plan = read_json(shown)
        version = str(plan["format_version"])
    if version.partition(".")[0] != "1":
        raise SymphonyError(f"The plan of unit {unit} has format {version}, but format 1 is needed; use OpenTofu 1.x.")
    return dict(plan)


def _readable(unit: str) -> contextlib.AbstractContextManager[None]:
    return understood(f"The plan of unit {unit}")


def _marked(value: Any, marks: Any) -> Iterator[str]:
    """Texts of a value that marks of the same shape (`true` for a whole branch) call sensitive."""
    if marks is True:
        yield from _leaves(value)
    elif isinstance(marks, dict) and isinstance(value, dict):
        for key, mark in marks.items():
            yield from _marked(value.get(key), mark)
    elif isinstance(marks, list) and isinstance(value, list):
        for item, mark in zip(value, marks, strict=False):
            yield from _marked(item, mark)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, str):
        yield value
        # tofu prints a text of several lines line by line, indented.
        yield from (line.strip() for line in value.splitlines() if line.strip())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def _essence(printed: str) -> str:
    """The plan itself, without the lines about initialising and refreshing before it and the advice after it."""
    begin = _BEGIN.search(printed)
    text = printed[begin.start() :] if begin else printed
    end = _END.search(text)
    return (text[: end.start()] if end else text).strip()
