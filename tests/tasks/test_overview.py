"""What runs where, from a real remote and an Argo CD that says what it is told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from symphony.drift import Finding
from symphony.errors import SymphonyError
from symphony.overview import Running
from symphony.record import Hold, ReleaseRecord
from tasks import overview as module
from tasks.desired import laid_out
from tasks.desired_commit import write_desired
from tasks.findings import keep_findings
from tasks.holds import place_holds
from tasks.overview import overview
from tasks.records import write_record

if TYPE_CHECKING:
    from tests.conftest import Delivery

NOW = "2026-01-02T10:00:00+00:00"


class Argo:
    """Argo CD of one environment."""

    def __init__(self, health: str = "Healthy", sync: str = "Synced", seconds: float = 0, error: str = "") -> None:
        self.health, self.sync, self.seconds, self.error = health, sync, seconds, error

    def watch(self, deadline: float, stop: threading.Event) -> Iterator[tuple[str, Any]]:
        del deadline, stop
        time.sleep(self.seconds)
        if self.error:
            raise SymphonyError(self.error)
        status = {"health": {"status": self.health}, "sync": {"status": self.sync}}
        yield "SYNCED", {"items": [{"metadata": {"name": "dev-one"}, "status": status}]}


@pytest.fixture
def deployed(delivery: Delivery) -> Delivery:
    """The application `one` is live in dev, `two` is nowhere."""
    change = delivery.change()
    with laid_out(change, [delivery.image("one", "a")]) as (entries, root):
        write_desired.fn(change, entries, root)
    probes = [{"application": "one", "url": f"http://one/{path}", "status": 200, "milliseconds": 1} for path in "ab"]
    record = {
        "environment": "dev",
        "commit": change.commit,
        "state": "succeeded",
        "run": "r",
        "started": NOW,
        "seconds": 1,
        "probes": probes,
    }
    write_record.fn(change.mirror, ReleaseRecord.model_validate(record))
    return delivery


def rows(delivery: Delivery, monkeypatch: pytest.MonkeyPatch, argo: Argo, **options: Any) -> dict[str, Running]:
    monkeypatch.setattr(module, "access", lambda _: argo)
    change = delivery.change()
    found = overview(change.configuration, change.mirror, **options)
    return {f"{one.environment}/{one.application}": one for one in found.running}


def test_each_application_of_each_environment_has_a_row(deployed: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    found = rows(deployed, monkeypatch, Argo())
    assert list(found) == [f"{env}/{app}" for env in ("dev", "staging", "prod") for app in ("one", "two")]
    one = found["dev/one"]
    assert one.commit == deployed.change().commit
    assert one.digest == f"sha256:{'a' * 64}"
    assert one.since
    assert (one.health, one.url, one.drift, one.held) == ("Healthy", "http://one/a", 0, "")
    assert str(one.row["health"]) == "[Healthy](http://argocd.example/applications/argocd/dev-one)"
    assert found["dev/two"].row["version"] == "not deployed"
    assert found["dev/two"].health == ""
    assert list(rows(deployed, monkeypatch, Argo(), environment="prod")) == ["prod/one", "prod/two"]


@pytest.mark.parametrize(
    ("argo", "told"),
    [
        (Argo("Degraded"), "Degraded"),
        (Argo(sync="OutOfSync"), "Healthy, OutOfSync"),
        (Argo(error="The cluster refuses."), "Unknown: The cluster refuses."),
        (Argo(seconds=1), "Unknown: Argo CD did not answer in time"),
    ],
)
def test_health_is_what_argo_cd_says_if_it_answers(
    deployed: Delivery, monkeypatch: pytest.MonkeyPatch, argo: Argo, told: str
) -> None:
    began = time.monotonic()
    assert rows(deployed, monkeypatch, argo, seconds=0.3)["dev/one"].health == told
    assert time.monotonic() - began < 0.9


def test_drift_and_holds_stand_beside_the_application(deployed: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = deployed.change().mirror
    stands = [
        Finding(area="cluster", kind="drift", where="one", what="Deployment one"),
        Finding(area="infrastructure", kind="drift", where="network", what="vpc"),
    ]
    keep_findings.fn(mirror, "dev", stands, (), NOW)
    place_holds.fn(mirror, "dev", [Hold(environment="dev", application="one", who="Ada", why="it burns", since=NOW)])
    one = rows(deployed, monkeypatch, Argo())["dev/one"]
    assert one.drift == 1
    assert one.held == f"held since {NOW} by Ada: it burns"
    assert str(one.row["health"]).startswith("[Healthy, held](")
    change = deployed.change()
    found = overview(change.configuration, change.mirror)
    assert found.apart == {"dev": 1}
    assert "dev has 1 of infrastructure or cluster" in found.notes
