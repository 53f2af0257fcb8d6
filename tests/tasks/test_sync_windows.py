from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.sync_windows import held, holding

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def window(kind: str, schedule: str, duration: str = "2h", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "schedule": schedule, "duration": duration, **more}


OPEN, OVER = "0 11 * * *", "0 8 * * *"


@pytest.mark.parametrize(
    ("windows", "holds"),
    [
        ([], False),
        ([window("deny", OPEN)], True),
        ([window("deny", OVER)], False),
        ([window("allow", OPEN)], False),
        ([window("allow", OVER)], True),
        ([window("allow", OVER), window("allow", OPEN)], False),
        ([window("allow", OPEN), window("deny", OPEN)], True),
        ([window("deny", OPEN, timeZone="America/New_York")], False),
        ([window("deny", "0 6 * * *", timeZone="America/New_York")], True),
        ([window("deny", "30 11 * * *", "29m")], False),
        ([window("deny", "30 10 * * *", "1h31m")], True),
    ],
)
def test_windows_hold_by_argo_cds_rules(windows: list[dict[str, Any]], *, holds: bool) -> None:
    assert bool(held(windows, NOON, by_hand=False)) is holds


@pytest.mark.parametrize(("kind", "schedule"), [("deny", OPEN), ("allow", OVER)])
def test_a_sync_by_hand_passes_windows_that_let_it(kind: str, schedule: str) -> None:
    assert held([window(kind, schedule)], NOON, by_hand=True)
    assert not held([window(kind, schedule, manualSync=True)], NOON, by_hand=True)
    assert held([window(kind, schedule, manualSync=True)], NOON, by_hand=False)


@pytest.mark.parametrize(
    ("names", "holds"),
    [
        ({"applications": ["dev-*"]}, True),
        ({"applications": ["prod-*"]}, False),
        ({"namespaces": ["dev"]}, True),
        ({"clusters": ["in-cluster"]}, True),
        ({"applications": ["dev-*"], "namespaces": ["prod"]}, True),
        ({"applications": ["dev-*"], "namespaces": ["prod"], "andOperator": True}, False),
        ({}, False),
    ],
)
def test_a_window_counts_for_the_applications_namespaces_and_clusters_it_names(
    names: dict[str, Any], *, holds: bool
) -> None:
    application = {
        "metadata": {"name": "dev-one", "namespace": "argocd"},
        "spec": {"project": "symphony", "destination": {"namespace": "dev", "name": "in-cluster"}},
    }
    found = holding({"spec": {"syncWindows": [window("deny", "* * * * *", **names)]}}, application)
    assert bool(found) is holds
