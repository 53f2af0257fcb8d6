from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from symphony.change import Change
from symphony.errors import SmokeError, SymphonyError
from symphony.smoke import Smoke
from tasks import chart_tests as module
from tasks.chart_tests import OWNER, RUN, ChartTestsError, chart_test_pods, run_chart_tests, with_tests
from tasks.desired import laid_out
from tasks.desired_commit import write_desired

if TYPE_CHECKING:
    from tests.conftest import Delivery

PODS = "/api/v1/namespaces/dev/pods"
HOOK = """\
apiVersion: v1
kind: {kind}
metadata: {{name: {name}, annotations: {{helm.sh/hook: "{hook}", helm.sh/hook-weight: "{weight}"}}}}
spec: {{containers: [{{name: main, image: x}}]}}
"""


def chart(delivery: Delivery, name: str, hook: str = "test", weight: int = 0, kind: str = "Pod") -> None:
    text = HOOK.format(name=name, hook=hook, weight=weight, kind=kind)
    delivery.commit(f"charts/one/templates/{name}.yaml", text)


def deployed(delivery: Delivery, **smoke: Any) -> Change:
    """A change whose chart of ``one`` is live in dev."""
    change = delivery.change()
    with laid_out(change, [delivery.image("one", "a"), delivery.image("two", "a")]) as (entries, root):
        write_desired.fn(change, entries, root)
    applications = change.configuration.applications
    one = applications["one"].model_copy(update={"smoke": Smoke(**smoke)})
    configuration = change.configuration.model_copy(update={"applications": {**applications, "one": one}})
    object.__setattr__(change, "configuration", configuration)
    return change


class Cluster:
    """Ends each pod as it is told by its name; what is made and taken away is kept."""

    def __init__(self, **ends: dict[str, Any]) -> None:
        self.ends = ends
        self.made: dict[str, dict[str, Any]] = {}
        self.gone: list[str] = []
        self.waves: list[list[str]] = []
        self.left: list[dict[str, Any]] = []
        self.refuses = ""

    def create(self, path: str, pod: dict[str, Any]) -> None:
        assert path == PODS
        if self.refuses:
            raise SymphonyError(self.refuses)
        self.made[pod["metadata"]["name"]] = pod

    def delete(self, path: str) -> None:
        self.gone.append(path.removeprefix(f"{PODS}/"))

    def objects(self, _: str, labelSelector: str) -> list[dict[str, Any]]:  # noqa: N803 - Kubernetes' own
        assert labelSelector == f"{OWNER}=one"
        return self.left

    def watch(
        self,
        _path: str,
        _deadline: float,
        _stop: threading.Event,
        labelSelector: str,  # noqa: N803
    ) -> Iterator[tuple[str, Any]]:
        run = labelSelector.removeprefix(f"{RUN}=")
        mine = [pod for pod in self.made.values() if pod["metadata"]["labels"][RUN] == run]
        self.waves.append([pod["metadata"]["name"].rpartition("-")[0] for pod in mine])
        yield "SYNCED", {"items": [{**pod, "status": {"phase": "Pending"}} for pod in mine]}
        for pod in mine:
            name = pod["metadata"]["name"].rpartition("-")[0]
            yield "MODIFIED", {**pod, "status": self.ends.get(name, {"phase": "Succeeded"})}

    def log(self, pod: dict[str, Any], container: str, *, previous: bool, lines: int) -> list[str]:
        del previous, lines
        return [f"{container} of {pod['metadata']['name'].rpartition('-')[0]}", "no table"]


def run(change: Change, monkeypatch: pytest.MonkeyPatch, here: Cluster) -> tuple[Any, ...]:
    monkeypatch.setattr(module, "cluster", lambda _: here)
    return tuple(run_chart_tests.fn(change, "one"))


FAILED = {
    "phase": "Failed",
    "containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}],
}

UNPULLABLE = {
    "containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}],
}


@pytest.mark.usefixtures("tools")
def test_pods_are_found_in_the_order_of_their_weights(delivery: Delivery) -> None:
    chart(delivery, "late", weight=5)
    chart(delivery, "b")
    chart(delivery, "a", hook="post-install, test-success")
    chart(delivery, "migration", hook="pre-install")
    change = deployed(delivery)
    assert [one["metadata"]["name"] for one in chart_test_pods(change, "one")] == ["a", "b", "late"]
    assert with_tests.fn(change, ["one", "two"]) == ("one",)


@pytest.mark.usefixtures("tools")
def test_none_are_run_where_there_are_none_or_they_are_switched_off(delivery: Delivery) -> None:
    assert with_tests.fn(delivery.change(), ["one"]) == ()
    assert chart_test_pods(delivery.change(), "one") == []
    assert with_tests.fn(deployed(delivery), ["one"]) == ()
    chart(delivery, "a")
    assert with_tests.fn(deployed(delivery, tests=None), ["one"]) == ()


@pytest.mark.usefixtures("tools")
def test_what_is_no_pod_is_refused(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    chart(delivery, "a", kind="Job")
    change = deployed(delivery)
    with pytest.raises(SmokeError, match="The test a of one's chart is a Job; only pods are run"):
        chart_test_pods(change, "one")
    with pytest.raises(ChartTestsError, match="cannot be run: The test a"):
        run(change, monkeypatch, Cluster())


@pytest.mark.usefixtures("tools")
def test_they_are_run_by_names_of_their_own_read_and_removed(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, weight in (("a", 0), ("b", 0), ("late", 5)):
        chart(delivery, name, weight=weight)
    here = Cluster()
    found = run(deployed(delivery, tests=60), monkeypatch, here)
    assert [(one.name, one.problem, one.log[0]) for one in found] == [
        ("a", "", "main of a"),
        ("b", "", "main of b"),
        ("late", "", "main of late"),
    ]
    assert here.waves == [["a", "b"], ["late"]]
    assert sorted(here.gone) == sorted(here.made)
    pod = next(iter(here.made.values()))
    assert pod["spec"]["restartPolicy"] == "Never"
    assert 0 < pod["spec"]["activeDeadlineSeconds"] <= 60


@pytest.mark.usefixtures("tools")
def test_one_that_fails_is_told_by_its_last_log_line_and_none_follows(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    chart(delivery, "a")
    chart(delivery, "late", weight=5)
    here = Cluster(a=FAILED)
    with pytest.raises(ChartTestsError) as failed:
        run(deployed(delivery), monkeypatch, here)
    assert str(failed.value) == (
        "test pod a of one: container main ended with exit code 1 (Error, 0 restarts); its last log line: no table"
    )
    assert here.waves == [["a"]]
    assert sorted(here.gone) == sorted(here.made)
    assert "no table" in failed.value.tests[0].page


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"phase": "Failed", "reason": "DeadlineExceeded"}, "it failed (DeadlineExceeded)"),
        ({"phase": "Pending"}, "it has not ended in time, and is Pending"),
        (
            {
                "containerStatuses": [
                    {"name": "main", "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}
                ]
            },
            "the image of container main cannot be pulled (ErrImagePull: no)",
        ),
    ],
)
def test_one_that_does_not_end_is_told_and_removed(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch, status: dict[str, Any], said: str
) -> None:
    chart(delivery, "a")
    here = Cluster(a=status)
    with pytest.raises(ChartTestsError) as failed:
        run(deployed(delivery), monkeypatch, here)
    assert failed.value.tests[0].problem == said
    assert sorted(here.gone) == sorted(here.made)


@pytest.mark.usefixtures("tools")
def test_a_cluster_that_makes_no_pod_is_told(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    chart(delivery, "a")
    here = Cluster()
    here.refuses = "exceeded quota"
    with pytest.raises(ChartTestsError, match="test pod of one: it cannot be run: exceeded quota"):
        run(deployed(delivery), monkeypatch, here)


@pytest.mark.usefixtures("tools")
def test_what_a_run_that_died_has_left_is_taken_away(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    chart(delivery, "a")
    here = Cluster()
    now = datetime.now(UTC)
    here.left = [
        {"metadata": {"name": name, "creationTimestamp": (now - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")}}
        for name, age in (("old", 200), ("young", 100))
    ]
    run(deployed(delivery), monkeypatch, here)
    assert "old" in here.gone
    assert "young" not in here.gone
