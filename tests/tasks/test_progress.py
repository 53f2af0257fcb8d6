from __future__ import annotations

from typing import Any

import pytest
from prefect import flow

from tasks import progress
from tasks.progress import Progress, Step, step


def deployment(wanted: int, ready: int, updated: int, seen: int = 2) -> dict[str, Any]:
    return {
        "metadata": {"generation": 2},
        "spec": {"replicas": wanted},
        "status": {"observedGeneration": seen, "readyReplicas": ready, "updatedReplicas": updated},
    }


def test_synced_resources_and_ready_replicas_of_the_wanted_version_are_counted() -> None:
    resources = [{"status": "Synced"}, {"status": "OutOfSync"}, {"status": "OutOfSync", "hook": True}]
    found = step("one", {"status": {"resources": resources}}, [deployment(3, 3, 1), deployment(2, 2, 2, 1)], "rolls")
    assert found == Step("one", synced=1, resources=2, ready=1, replicas=5, now="rolls")
    assert found.share == pytest.approx(0.35)
    assert step("one", None, [], "live").share == 1


@pytest.mark.usefixtures("prefect")
def test_one_artifact_is_kept_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, float]] = []
    monkeypatch.setattr(progress, "create_progress_artifact", lambda share, **_: written.append(("made", share)) or 7)
    monkeypatch.setattr(progress, "update_progress_artifact", lambda _, share, **__: written.append(("told", share)))

    @flow
    def body() -> None:
        shown = Progress("dev", "c" * 40)
        half = Step("one", 1, 2, 1, 2, "rolls")
        shown.show([half])
        shown.show([half])
        shown.show([Step("one", 2, 2, 2, 2, "live")], last=True)

    body()
    assert written == [("made", 50.0), ("told", 100.0)]
