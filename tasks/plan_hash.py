"""The hash that an approval is bound to: of what a plan changes, and of nothing that differs from run to run."""

from __future__ import annotations

import hashlib
import json
from typing import Any

_MASK = "(sensitive value)"
_NOTHING = (["no-op"], ["read"])


def canonical_hash(plan: dict[str, Any]) -> str:
    """Hash a plan's canonical changes.

    Neither times nor the order of entries are in it. A sensitive value counts only as being there,
    so that nobody can guess it from the hash.

    Args:
        plan: What ``tofu show -json`` prints of a saved plan (format 1).

    Returns:
        SHA-256, 64 hexadecimal digits.
    """
    resources = [
        {
            "address": entry["address"],
            "previous_address": entry.get("previous_address"),
            "deposed": entry.get("deposed"),
            "provider": entry.get("provider_name"),
            **_change(entry["change"]),
        }
        for entry in plan.get("resource_changes", ())
        if entry["change"]["actions"] not in _NOTHING or entry.get("previous_address") or _imports(entry)
    ]
    outputs = {
        name: _change(change)
        for name, change in plan.get("output_changes", {}).items()
        if change["actions"] not in _NOTHING
    }
    resources.sort(key=lambda entry: (entry["address"], entry["deposed"] or ""))
    text = json.dumps({"resources": resources, "outputs": outputs}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _imports(entry: dict[str, Any]) -> bool:
    return bool(entry["change"].get("importing"))


def _change(change: dict[str, Any]) -> dict[str, Any]:
    return {
        "actions": change["actions"],
        "before": _masked(change.get("before"), change.get("before_sensitive")),
        "after": _masked(change.get("after"), change.get("after_sensitive")),
        "unknown": change.get("after_unknown"),
        "replace": sorted(json.dumps(path) for path in change.get("replace_paths", ())),
        "importing": change.get("importing"),
    }


def _masked(value: Any, marks: Any) -> Any:
    """A value with what marks of the same shape (`true` for a whole branch) call sensitive taken out."""
    if marks is True:
        return None if value is None else _MASK
    if isinstance(marks, dict) and isinstance(value, dict):
        return {key: _masked(item, marks.get(key)) for key, item in value.items()}
    if isinstance(marks, list) and isinstance(value, list):
        rest = [None] * (len(value) - len(marks))
        return [_masked(item, mark) for item, mark in zip(value, [*marks, *rest], strict=False)]
    return value
