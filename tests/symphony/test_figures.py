from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from symphony.figures import figures
from symphony.record import ReleaseRecord

NOW = datetime(2026, 6, 30, tzinfo=UTC)


def record(hours_ago: float, **facts: Any) -> ReleaseRecord:
    """A release that took a minute, of a commit made an hour before."""
    started = NOW - timedelta(hours=hours_ago)
    given = {
        "environment": "dev",
        "commit": "a" * 40,
        "state": "succeeded",
        "run": f"run-{hours_ago}",
        "started": started.isoformat(),
        "seconds": 60,
        "stages": {"deploy": 1},
        "committed": (started - timedelta(hours=1)).isoformat(),
    }
    return ReleaseRecord.model_validate(given | facts)


def test_nothing_gives_no_figure() -> None:
    found = figures([], "dev", NOW)
    assert (found.deployments, found.lead_seconds, found.failure_rate, found.restore_seconds) == (0, None, None, None)
    assert [row["value"] for row in found.rows] == ["0 a day", "none yet", "none yet (0)", "none yet"]


def test_frequency_and_lead_time_are_of_what_went_live() -> None:
    every = [
        record(1),
        record(2, kind="promote"),
        record(3, state="failed"),
        record(4, state="superseded"),
        record(5, stages={"provision": 1}, state="failed"),
        record(6, environment="prod"),
        record(24 * 40),
    ]
    found = figures(every, "dev", NOW, 10)
    assert (found.deployments, found.deployments_per_day) == (2, 0.2)
    assert found.lead_seconds == 3660
    assert (found.failures, found.failure_rate) == (1, pytest.approx(1 / 3, abs=0.001))


def test_what_was_rolled_back_failed_and_was_restored_by_the_rollback() -> None:
    bad = record(5)
    back = record(3, kind="rollback", undoes={"hello": bad.name}, deployed=_DEPLOYED)
    found = figures([back, bad, record(6)], "dev", NOW)
    assert (found.deployments, found.failures, found.failure_rate) == (2, 1, 0.5)
    assert found.restore_seconds == 2 * 3600


def test_failures_in_a_row_are_one_time_to_restore() -> None:
    found = figures([record(6, state="failed"), record(5, state="failed"), record(4), record(1)], "dev", NOW)
    assert found.failures == 2
    assert found.restore_seconds == 2 * 3600
    assert found.rows[-1]["value"] == "2.0 h"


_DEPLOYED = {"environment": "dev", "commit": "c" * 40, "revision": "c" * 40, "applications": ["hello"], "seconds": 1}
