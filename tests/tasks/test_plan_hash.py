from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tasks.plan_hash import canonical_hash

SAMPLE = json.loads((Path(__file__).parent / "samples" / "plan.json").read_text())


@pytest.fixture
def plan() -> dict[str, Any]:
    return copy.deepcopy(SAMPLE)


def test_times_and_the_order_of_entries_do_not_count(plan: dict[str, Any]) -> None:
    plan["timestamp"] = "2031-01-01T00:00:00Z"
    plan["resource_changes"].reverse()
    plan["output_changes"] = dict(reversed(plan["output_changes"].items()))
    plan["resource_changes"].append(
        {"address": "a.unchanged", "mode": "managed", "change": {"actions": ["no-op"], "before": {}, "after": {}}}
    )
    assert canonical_hash(plan) == canonical_hash(SAMPLE)
    assert len(canonical_hash(plan)) == 64


@pytest.mark.parametrize("part", ["actions", "after", "address"])
def test_whatever_an_apply_would_do_counts(plan: dict[str, Any], part: str) -> None:
    entry = next(one for one in plan["resource_changes"] if one["change"]["actions"] != ["no-op"])
    if part == "actions":
        entry["change"]["actions"] = ["delete"]
    elif part == "after":
        entry["change"]["after"] = {**(entry["change"]["after"] or {}), "name": "another"}
    else:
        entry["address"] += "2"
    assert canonical_hash(plan) != canonical_hash(SAMPLE)


def test_an_output_that_changes_counts(plan: dict[str, Any]) -> None:
    plan["output_changes"] = {"new": {"actions": ["create"], "before": None, "after": "x"}}
    assert canonical_hash(plan) != canonical_hash(SAMPLE)


def test_a_sensitive_value_cannot_be_guessed_from_the_hash(plan: dict[str, Any]) -> None:
    def with_secret(value: str) -> dict[str, Any]:
        other = copy.deepcopy(plan)
        change = {"actions": ["create"], "before": None, "after": {"password": value, "list": [value, "plain"]}}
        change |= {"after_sensitive": {"password": True, "list": [True]}}
        other["resource_changes"].append({"address": "a.secret", "mode": "managed", "change": change})
        return other

    assert canonical_hash(with_secret("one")) == canonical_hash(with_secret("two"))
    assert canonical_hash(with_secret("one")) != canonical_hash(plan)
