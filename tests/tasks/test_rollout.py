from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from symphony.change import Change
from symphony.errors import SymphonyError, TransientError
from tasks import argocd
from tasks import wait as waiting
from tasks.argocd_resources import REFRESH
from tasks.desired import laid_out
from tasks.desired_commit import write_desired
from tasks.rollout import Outcome, RolloutError, wait_until_live

if TYPE_CHECKING:
    from tests.conftest import Delivery

Object = dict[str, Any]
OLD = "0" * 40


class FakeCluster:
    """A cluster whose Applications and pods the test moves on."""

    def __init__(self) -> None:
        self.applications: dict[str, Object] = {}
        self.pods: dict[str, Object] = {}
        self.merged: list[tuple[str, Object]] = []
        self.on_merge: Callable[[str], None] = lambda _: None
        self.changed = threading.Condition()
        self.refuses: SymphonyError | None = None
        self.project: Object = {}
        self.lists: dict[str, list[Object]] = {"replicasets": [], "deployments": [], "events": []}

    def watch(self, path: str, deadline: float, stop: threading.Event, **_: str) -> Iterator[tuple[str, Object]]:
        if self.refuses:
            raise self.refuses
        while time.monotonic() < deadline and not stop.is_set():
            kind = path.rsplit("/", 1)[1]
            kept = {"applications": self.applications, "pods": self.pods}.get(kind, {})
            yield "SYNCED", {"items": list(kept.values()) or self.lists.get(kind, [])}
            with self.changed:
                self.changed.wait(0.05)

    def objects(self, path: str, **_: str) -> list[Object]:
        kind = path.rsplit("/", 1)[1]
        return list(self.pods.values()) if kind == "pods" else self.lists[kind]

    def get(self, path: str) -> Object | None:
        name = path.rsplit("/", 1)[1]
        return self.project if "/appprojects/" in path else self.applications.get(name.removeprefix("dev-"))

    def merge(self, path: str, change: Object) -> Object:
        self.merged.append((path, change))
        self.on_merge(path)
        return {}

    def log(self, *_: object, **__: object) -> list[str]:
        return ["starting", "no such table"]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster()
    monkeypatch.setattr(waiting, "cluster", lambda _: fake)
    monkeypatch.setattr(argocd, "cluster", lambda _: fake)
    monkeypatch.setattr(waiting, "_ASK_AGAIN", 0.1)
    monkeypatch.setattr(waiting, "_NUDGE", 0.1)
    monkeypatch.setattr(waiting, "_DEGRADED", 0.3)
    return fake


def write(delivery: Delivery, *names: str) -> tuple[Change, str]:
    change = delivery.change()
    with laid_out(change, [delivery.image(name, "a") for name in names]) as (entries, root):
        return change, write_desired.fn(change, entries, root)


def application(name: str, revision: str, health: str = "Healthy") -> Object:
    return {
        "metadata": {"name": f"dev-{name}", "namespace": "argocd", "resourceVersion": "7"},
        "spec": {"syncPolicy": {"automated": {}}, "destination": {"namespace": "dev"}},
        "status": {
            "sync": {"status": "Synced", "revision": revision},
            "health": {"status": health},
            "reconciledAt": "2026-01-01T00:00:03Z",
            "operationState": {
                "phase": "Succeeded",
                "startedAt": "2026-01-01T00:00:01Z",
                "finishedAt": "2026-01-01T00:00:02Z",
                "syncResult": {"revision": revision},
            },
        },
    }


def crashing(name: str, template: str) -> Object:
    return {
        "metadata": {
            "name": f"{name}-{template}",
            "namespace": "dev",
            "creationTimestamp": "2026-01-01T00:00:02Z",
            "labels": {"app.kubernetes.io/name": name, "pod-template-hash": template},
        },
        "status": {
            "containerStatuses": [
                {
                    "name": name,
                    "restartCount": 1,
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
                }
            ]
        },
    }


def replica_set(template: str, revision: int) -> Object:
    return {
        "metadata": {
            "uid": template,
            "ownerReferences": [{"uid": "deployment"}],
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            "labels": {"pod-template-hash": template},
        }
    }


def wait(change: Change, commit: str, *names: str, gone: tuple[str, ...] = ()) -> Outcome:
    try:
        return wait_until_live.fn(change, commit, names, gone)
    except RolloutError as error:
        return error.outcome


def test_applications_are_waited_for_side_by_side(delivery: Delivery, cluster: FakeCluster) -> None:
    change, commit = write(delivery, "one", "two")
    cluster.applications = {name: application(name, commit) for name in ("one", "two")}
    outcome = wait(change, commit, "one", "two")
    assert sorted(one.application for one in outcome.live) == ["one", "two"]
    assert {one.revision for one in outcome.live} == {commit}
    assert outcome.failed == ()


def test_argo_cd_is_asked_again_where_it_has_not_seen_the_commit(delivery: Delivery, cluster: FakeCluster) -> None:
    change, commit = write(delivery, "one")
    cluster.applications["one"] = application("one", OLD)

    def look(path: str) -> None:
        if path.endswith("/applications/dev-one"):
            cluster.applications["one"] = application("one", commit)

    cluster.on_merge = look
    assert [one.revision for one in wait(change, commit, "one").live] == [commit]
    assert cluster.merged[0][1] == {"metadata": {"annotations": {REFRESH: "normal"}}}


def test_a_new_application_is_waited_for_and_the_set_that_makes_it_is_nudged(
    delivery: Delivery, cluster: FakeCluster
) -> None:
    change, commit = write(delivery, "one")
    cluster.on_merge = lambda _: cluster.applications.update(one=application("one", commit))
    assert wait(change, commit, "one").failed == ()
    assert cluster.merged[0][0].endswith("/applicationsets/symphony")


def test_a_removed_application_is_waited_for_until_it_is_gone(delivery: Delivery, cluster: FakeCluster) -> None:
    change, commit = write(delivery, "one")
    cluster.applications["two"] = application("two", OLD)
    cluster.on_merge = lambda _: cluster.applications.clear()
    outcome = wait(change, commit, gone=("two",))
    assert [(one.application, one.health) for one in outcome.live] == [("two", "removed")]


def test_a_crash_loop_of_the_new_pods_ends_the_wait_early_and_tells_the_last_log_line(
    delivery: Delivery, cluster: FakeCluster
) -> None:
    change, commit = write(delivery, "one")
    cluster.applications["one"] = application("one", commit, "Progressing")
    cluster.pods["new"] = crashing("one", "new")
    cluster.lists["replicasets"] = [replica_set("old", 1), replica_set("new", 2)]
    started = time.monotonic()
    failed = wait(change, commit, "one").failed
    assert time.monotonic() - started < 1.5
    assert failed[0].sentence == (
        "container one ended with exit code 1 (CrashLoopBackOff, 1 restart); its last log line: no such table"
    )


def test_a_crash_loop_of_old_pods_does_not_count(delivery: Delivery, cluster: FakeCluster) -> None:
    change, commit = write(delivery, "one")
    cluster.applications["one"] = application("one", commit, "Progressing")
    cluster.pods["old"] = crashing("one", "old")
    cluster.lists["replicasets"] = [replica_set("old", 9), replica_set("new", 10)]
    threading.Timer(0.6, lambda: cluster.applications.update(one=application("one", commit))).start()
    assert wait(change, commit, "one").failed == ()


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
@pytest.mark.parametrize(("made", "told"), [("2025-12-31T00:00:00Z", False), ("2026-01-01T00:00:01Z", True)])
def test_the_pod_of_a_job_tells_why_only_where_this_sync_made_it(
    delivery: Delivery, cluster: FakeCluster, *, made: str, told: bool, phase: str
) -> None:
    change, commit = write(delivery, "one")
    cluster.applications["one"] = application("one", commit, "Degraded")
    cluster.applications["one"]["status"]["operationState"]["phase"] = phase
    cluster.pods["migration"] = {
        "metadata": {
            "name": "one-migrate",
            "namespace": "dev",
            "creationTimestamp": made,
            "labels": {"app.kubernetes.io/name": "one"},
            "ownerReferences": [{"kind": "Job", "uid": "job"}],
        },
        "status": {
            "phase": "Failed",
            "containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}],
        },
    }
    (failed,) = wait(change, commit, "one").failed
    assert ("no such table" in failed.sentence) is told


def test_where_no_sync_began_no_job_tells_why(delivery: Delivery, cluster: FakeCluster) -> None:
    change, commit = write(delivery, "one")
    cluster.applications["one"] = application("one", OLD)
    cluster.pods["migration"] = crashing("one", "new")
    cluster.pods["migration"]["metadata"] |= {"ownerReferences": [{"kind": "Job", "uid": "job"}], "labels": {
        "app.kubernetes.io/name": "one"
    }}  # fmt: skip
    (failed,) = wait(change, commit, "one").failed
    assert "no such table" not in failed.sentence


def test_a_deployment_that_its_controller_has_not_seen_is_not_judged(delivery: Delivery, cluster: FakeCluster) -> None:
    change, commit = write(delivery, "one")
    cluster.applications["one"] = application("one", commit, "Degraded")
    cluster.pods["old"] = crashing("one", "old")
    cluster.lists["replicasets"] = [replica_set("old", 1)]
    cluster.lists["deployments"] = [{"metadata": {"name": "one", "generation": 2}, "status": {"observedGeneration": 1}}]
    threading.Timer(0.8, lambda: cluster.applications.update(one=application("one", commit))).start()
    assert wait(change, commit, "one").failed == ()


def test_one_that_stays_degraded_ends_the_wait(delivery: Delivery, cluster: FakeCluster) -> None:
    change, commit = write(delivery, "one")
    cluster.applications["one"] = application("one", commit, "Degraded")
    failed = wait(change, commit, "one").failed
    assert failed[0].reason == "it is synced, and its health is Degraded"


def test_the_time_limit_tells_what_it_waited_for(delivery: Delivery, cluster: FakeCluster) -> None:
    change, commit = write(delivery, "one")
    failed = wait(change, commit, "one").failed
    assert failed[0].reason == "Argo CD has no application of that name yet after 3 s"
    assert cluster.merged


def test_an_argo_cd_that_says_nothing_ends_the_wait_before_its_time(
    delivery: Delivery, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_SILENCE", 0.5)
    change, commit = write(delivery, "one", "two")
    cluster.applications["one"] = application("one", OLD)
    cluster.applications["one"]["metadata"]["annotations"] = {REFRESH: "normal"}
    started = time.monotonic()
    failed = {one.application: one.reason for one in wait(change, commit, "one", "two").failed}
    assert time.monotonic() - started < 2
    assert failed["one"].startswith("Argo CD has not looked yet")
    assert failed["two"].startswith("Argo CD has no application of that name yet")


def test_one_that_fails_does_not_end_the_wait_for_the_other(delivery: Delivery, cluster: FakeCluster) -> None:
    change, commit = write(delivery, "one", "two")
    cluster.applications = {"one": application("one", commit, "Degraded"), "two": application("two", OLD)}
    threading.Timer(1.0, lambda: cluster.applications.update(two=application("two", commit))).start()
    outcome = wait(change, commit, "one", "two")
    assert [one.application for one in outcome.failed] == ["one"]
    assert [one.application for one in outcome.live] == ["two"]


def test_a_cluster_that_refuses_is_why_nothing_came_up(delivery: Delivery, cluster: FakeCluster) -> None:
    change, commit = write(delivery, "one")
    cluster.refuses = SymphonyError("The cluster test refused GET /applications (403): forbidden")
    failed = wait(change, commit, "one").failed
    assert "forbidden" in failed[0].reason


def test_a_cluster_that_fails_for_a_moment_does_not_end_the_wait(delivery: Delivery, cluster: FakeCluster) -> None:
    change, commit = write(delivery, "one")
    cluster.applications["one"] = application("one", OLD)
    tries = iter([TransientError("away")])

    def refresh(*_: object) -> None:
        for error in tries:
            raise error
        cluster.applications["one"] = application("one", commit)

    cluster.on_merge = refresh
    assert wait(change, commit, "one").failed == ()


def unsynced(name: str, revision: str, policy: Object) -> Object:
    found = application(name, revision)
    found["status"]["sync"]["status"] = "OutOfSync"
    found["status"]["operationState"]["syncResult"]["revision"] = OLD
    found["spec"]["syncPolicy"] = policy
    return found


def test_without_auto_sync_it_is_synced_to_that_very_commit_with_its_own_options(
    delivery: Delivery, cluster: FakeCluster
) -> None:
    change, commit = write(delivery, "one")
    cluster.applications["one"] = unsynced("one", commit, {"syncOptions": ["ServerSideApply=true"]})
    cluster.on_merge = lambda _: cluster.applications.update(one=application("one", commit))
    outcome = wait(change, commit, "one")
    assert [one.by_hand for one in outcome.live] == [True]
    asked = cluster.merged[0][1]
    assert asked["metadata"] == {"resourceVersion": "7"}
    assert asked["operation"]["sync"] == {
        "revision": commit,
        "prune": True,
        "syncOptions": ["ServerSideApply=true"],
    }


def test_without_auto_sync_what_does_not_stay_in_sync_is_synced_once(delivery: Delivery, cluster: FakeCluster) -> None:
    change, commit = write(delivery, "one")
    apart = application("one", commit)
    apart["status"]["sync"]["status"] = "OutOfSync"
    apart["spec"]["syncPolicy"] = {}
    cluster.applications["one"] = apart
    assert wait(change, commit, "one").failed != ()
    assert len(cluster.merged) == 1


@pytest.mark.parametrize("policy", [{}, {"automated": {}}])
def test_a_sync_window_is_respected_and_told(
    delivery: Delivery, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, policy: Object
) -> None:
    monkeypatch.setattr(waiting, "_HELD", 0.2)
    change, commit = write(delivery, "one")
    cluster.applications["one"] = unsynced("one", commit, policy)
    window = {"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["*"]}
    cluster.project = {"spec": {"syncWindows": [window]}}
    failed = wait(change, commit, "one").failed
    assert failed[0].reason.startswith("a sync window of its project holds it: deny '* * * * *' for 1h (UTC)")
    assert not [change for _, change in cluster.merged if "operation" in change]


def test_a_sync_that_hangs_is_ended_so_that_the_undo_can_sync(delivery: Delivery, cluster: FakeCluster) -> None:
    change, commit = write(delivery, "one")
    hangs = cluster.applications["one"] = application("one", commit)
    hangs["status"]["operationState"] |= {"phase": "Running", "message": "waiting for completion of hook batch/Job/m"}
    failed = wait(change, commit, "one").failed
    assert failed[0].reason == "the sync is Running: waiting for completion of hook batch/Job/m after 3 s"
    assert cluster.merged[-1][1]["status"] == {"operationState": {"phase": "Terminating"}}


def test_a_hook_that_takes_longer_than_it_may_is_ended_long_before_the_deploys_own_limit(
    delivery: Delivery, cluster: FakeCluster
) -> None:
    text = (delivery.copy / "symphony.yaml").read_text()
    delivery.commit("symphony.yaml", text.replace("timeout: 3}", "timeout: 60, hook_timeout: 1}"))
    change, commit = write(delivery, "one")
    hangs = cluster.applications["one"] = application("one", commit)
    hook = {"kind": "Job", "name": "m", "hookType": "PreSync", "hookPhase": "Running"}
    hangs["status"]["operationState"] |= {"phase": "Running", "syncResult": {"revision": commit, "resources": [hook]}}
    (failed,) = wait(change, commit, "one").failed
    assert failed.reason == "its PreSync hook Job m has not ended after 1 s, its time limit (argocd.hook_timeout)"
    assert cluster.merged[-1][1]["status"] == {"operationState": {"phase": "Terminating"}}


def test_pods_that_a_quota_refuses_end_the_wait_with_its_answer(
    delivery: Delivery, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_REFUSED", 0.3)
    change, commit = write(delivery, "one")
    cluster.applications["one"] = application("one", commit, "Progressing")
    condition = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}
    cluster.lists["deployments"] = [
        {
            "metadata": {"name": "one", "generation": 2, "labels": {"app.kubernetes.io/name": "one"}},
            "spec": {"replicas": 1},
            "status": {"observedGeneration": 2, "conditions": [condition]},
        }
    ]
    (failed,) = wait(change, commit, "one").failed
    assert failed.reason == "its pods are refused: exceeded quota: small"
    assert re.search(r"Given up after \d\.\d s: its pods are refused", failed.page)
