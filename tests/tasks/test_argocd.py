from __future__ import annotations

from typing import Any, cast

import pytest

from symphony.errors import BadInputError, SymphonyError
from tasks import argocd
from tasks.argocd import judge, reach
from tasks.argocd_resources import REFRESH
from tasks.kubernetes import MissingError, Object
from tasks.standing import Standing

OLD, OURS, LATER, ELSE = "old", "ours", "later", "else"
STANDS: dict[str, Standing] = {OLD: "other", OURS: "carries", LATER: "carries", ELSE: "overtaken"}


def stands(revision: str) -> Standing:
    return STANDS[revision]


def application(revision: str = OURS, sync: str = "Synced", health: str = "Healthy", **more: Any) -> dict[str, Any]:
    """An Application that is live, but for what the test says."""
    operation = {
        "phase": "Succeeded",
        "startedAt": "2026-01-01T00:00:01Z",
        "finishedAt": "2026-01-01T00:00:02Z",
        "syncResult": {"revision": revision},
        "operation": {"sync": {"revision": revision}},
        **more.pop("operation", {}),
    }
    return {
        "metadata": {"name": "dev-one", "annotations": more.pop("annotations", {})},
        "spec": {"syncPolicy": more.pop("policy", {"automated": {}})},
        "status": {
            "sync": {"status": sync, "revision": revision},
            "health": {"status": health},
            "reconciledAt": "2026-01-01T00:00:03Z",
            "operationState": operation,
            **more,
        },
    }


@pytest.mark.parametrize("revision", [OURS, LATER])
def test_live_is_what_is_synced_and_healthy_at_a_revision_that_carries_it(revision: str) -> None:
    verdict = judge(application(revision), stands)
    assert (verdict.state, verdict.revision) == ("live", revision)


def test_a_healthy_status_from_before_the_question_is_not_believed() -> None:
    assert judge(application(annotations={REFRESH: "normal"}), stands).state == "silent"


def test_a_healthy_status_of_an_old_revision_makes_argo_cd_look_again() -> None:
    assert judge(application(OLD), stands).state == "stale"


def test_a_health_from_before_the_sync_ended_is_not_believed() -> None:
    verdict = judge(application(reconciledAt="2026-01-01T00:00:01Z"), stands)
    assert (verdict.state, verdict.reason) == ("waiting", "its health is not reconciled after the sync yet")


def test_a_revision_that_has_it_otherwise_ends_the_wait() -> None:
    verdict = judge(application(ELSE), stands)
    assert verdict.state == "failed"
    assert "has it otherwise" in verdict.reason


@pytest.mark.parametrize("phase", ["Running", "Terminating"])
def test_a_sync_that_runs_is_waited_for_and_tells_when_it_began(phase: str) -> None:
    verdict = judge(application(sync="OutOfSync", operation={"phase": phase}), stands)
    assert (verdict.state, verdict.since) == ("waiting", "2026-01-01T00:00:01Z")


@pytest.mark.parametrize("phase", ["Failed", "Error"])
def test_a_sync_that_failed_for_this_revision_ends_the_wait_with_its_message(phase: str) -> None:
    verdict = judge(application(sync="OutOfSync", operation={"phase": phase, "message": "quota\n exceeded"}), stands)
    assert verdict.state == "failed"
    assert verdict.reason == f"the sync ended as {phase}: quota exceeded"


@pytest.mark.parametrize(("phase", "state"), [("Failed", "failed"), ("Running", "waiting"), ("Succeeded", "waiting")])
def test_a_hook_that_failed_ends_the_wait_also_where_argo_cd_would_try_the_sync_again(phase: str, state: str) -> None:
    hook = {"kind": "Job", "name": "migrate", "hookType": "PreSync", "hookPhase": phase, "message": "over\n its time"}
    tried = {"phase": "Running", "syncResult": {"revision": OURS, "resources": [{"kind": "Service"}, hook]}}
    verdict = judge(application(sync="OutOfSync", operation=tried), stands)
    assert verdict.state == state
    assert ("its PreSync hook Job migrate failed: over its time" in verdict.reason) is (state == "failed")
    assert verdict.hook == ("its PreSync hook Job migrate" if phase == "Running" else "")


def test_a_sync_that_failed_for_an_earlier_revision_does_not_count() -> None:
    earlier = {"phase": "Failed", "syncResult": {"revision": OLD}}
    assert judge(application(sync="OutOfSync", operation=earlier), stands).state == "unsynced"


def test_where_nothing_had_to_be_applied_an_earlier_operation_will_do() -> None:
    assert judge(application(operation={"syncResult": {"revision": OLD}}), stands).state == "live"


@pytest.mark.parametrize("policy", [{}, {"automated": {"enabled": False}}])
def test_without_auto_sync_it_must_be_synced_by_hand_also_where_it_moved_after_its_sync(policy: dict[str, Any]) -> None:
    before = judge(application(sync="OutOfSync", policy=policy, operation={"syncResult": {"revision": OLD}}), stands)
    assert (before.state, before.reason) == ("manual", "it is not synced yet, and its auto-sync is off")
    just_synced = application(sync="OutOfSync", policy=policy, reconciledAt="2026-01-01T00:00:02Z")
    assert judge(just_synced, stands).state == "waiting"
    assert judge(application(sync="OutOfSync", policy=policy), stands).state == "manual"


def test_auto_sync_that_has_not_begun_is_told_from_a_sync_that_ended() -> None:
    assert judge(application(sync="OutOfSync", operation={"syncResult": {"revision": OLD}}), stands).state == "unsynced"
    assert judge(application(sync="OutOfSync"), stands).state == "waiting"


@pytest.mark.parametrize(
    ("health", "state"), [("Progressing", "applied"), ("Degraded", "degraded"), ("Missing", "applied")]
)
def test_what_is_not_healthy_is_applied_but_not_live(health: str, state: str) -> None:
    assert judge(application(health=health), stands).state == state


@pytest.mark.parametrize(
    ("message", "state"),
    [
        ("failed to generate manifest: helm template failed", "failed"),
        ("rpc error: code = Unavailable desc = connection refused", "stale"),
    ],
)
def test_what_argo_cd_cannot_compare_fails_unless_its_repo_server_is_only_away(message: str, state: str) -> None:
    verdict = judge(application(conditions=[{"type": "ComparisonError", "message": message}]), stands)
    assert verdict.state == state
    assert message in verdict.reason


def test_an_application_without_a_status_is_waited_for() -> None:
    assert judge({"metadata": {"name": "dev-one"}, "spec": {}}, stands).state == "silent"


class Cluster:
    """A cluster that has an ApplicationSet, or no Argo CD at all."""

    def __init__(self, found: Any = None, *, away: bool = False) -> None:
        self.found = found
        self.away = away
        self.applied: list[str] = []

    def get(self, path: str) -> Any:
        assert path.endswith("/namespaces/argocd/applicationsets/symphony")
        return self.found

    def apply(self, path: str, whole: Any) -> None:
        if self.away:
            raise MissingError("no such kind")
        self.applied.append(path.rsplit("/", 2)[1])
        if whole["kind"] == "ApplicationSet":
            self.found = whole


def test_the_application_set_is_made_and_made_again_where_it_would_differ(
    monkeypatch: pytest.MonkeyPatch, delivery: Any
) -> None:
    cluster = Cluster()
    monkeypatch.setattr(argocd, "cluster", lambda _: cluster)
    configuration = delivery.change().configuration
    assert reach(configuration, "dev")
    assert cluster.applied == ["appprojects", "applicationsets"]
    assert not reach(configuration, "dev")
    more = {**configuration.environments, "more": configuration.environments["dev"]}
    assert reach(configuration.model_copy(update={"environments": more}), "dev")
    elements = cluster.found["spec"]["generators"][0]["matrix"]["generators"][0]["list"]["elements"]
    assert [one["target"] for one in elements] == ["dev", "staging", "prod", "more"]


def test_an_application_set_of_somebody_elses_is_left_alone(monkeypatch: pytest.MonkeyPatch, delivery: Any) -> None:
    cluster = Cluster({"metadata": {"name": "symphony"}})
    monkeypatch.setattr(argocd, "cluster", lambda _: cluster)
    assert not reach(delivery.change().configuration, "dev")
    assert cluster.applied == []


def test_a_cluster_without_argo_cd_is_told(monkeypatch: pytest.MonkeyPatch, delivery: Any) -> None:
    monkeypatch.setattr(argocd, "cluster", lambda _: Cluster(away=True))
    with pytest.raises(BadInputError, match="The cluster test has no Argo CD in the namespace argocd"):
        reach(delivery.change().configuration, "dev")


class Operations:
    """A way to Argo CD whose controller writes over what it is asked, some times."""

    def __init__(self, *, deaf: int, conflicts: int = 0) -> None:
        self.deaf, self.conflicts, self.phase, self.asked = deaf, conflicts, "Running", 0

    def get(self, _: str) -> Object:
        return {"status": {"operationState": {"phase": self.phase}}}

    def terminate(self, _: Object) -> bool:
        self.asked += 1
        if self.conflicts:
            self.conflicts -= 1
            return False
        if self.deaf:
            self.deaf -= 1
        else:
            self.phase = "Terminating"
        return True


@pytest.mark.parametrize(("deaf", "conflicts", "asked"), [(0, 0, 1), (2, 0, 3), (0, 2, 3)])
def test_a_sync_is_asked_to_end_until_that_is_seen(
    monkeypatch: pytest.MonkeyPatch, deaf: int, conflicts: int, asked: int
) -> None:
    monkeypatch.setattr(argocd, "_SEEN_SECONDS", 0)
    way = Operations(deaf=deaf, conflicts=conflicts)
    assert argocd.end_operation(cast("argocd.Access", way), "dev-hello")
    assert way.asked == asked
    assert not argocd.end_operation(cast("argocd.Access", way), "dev-hello")


def test_a_sync_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(argocd, "_SEEN_SECONDS", 0)
    with pytest.raises(SymphonyError, match="dev-hello goes on"):
        argocd.end_operation(cast("argocd.Access", Operations(deaf=9)), "dev-hello")
