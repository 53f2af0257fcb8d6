from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from symphony.models import Desired
from tasks import cluster_drift
from tasks.cluster_drift import look_at_cluster
from tasks.kubernetes import MissingError

if TYPE_CHECKING:
    from tests.conftest import Delivery

GOOD, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def made(name: str, *, by: str = "argocd", **labels: str) -> dict[str, Any]:
    annotations = {"argocd.argoproj.io/tracking-id": f"dev-one:{name}"} if by == "argocd" else {}
    owners = [{"kind": by}] if by[:1].isupper() else []
    return {"metadata": {"name": name, "annotations": annotations, "ownerReferences": owners, "labels": labels}}


def pod(name: str, digest: str, owner: str = "ReplicaSet") -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "one", "pod-template-hash": "abc"}
    found = made(name, by=owner)
    found["metadata"]["labels"] = labels
    return {**found, "status": {"containerStatuses": [{"imageID": f"registry.example/dev/one@{digest}"}]}}


def application(
    sync: str = "Synced", health: str = "Healthy", *resources: str, automated: bool = True
) -> dict[str, Any]:
    return {
        "metadata": {"name": "dev-one"},
        "spec": {"syncPolicy": {"automated": {}} if automated else {}},
        "status": {
            "sync": {"status": sync},
            "health": {"status": health},
            "resources": [
                {"kind": one.split("/")[0], "name": one.split("/")[1], "status": "OutOfSync"} for one in resources
            ],
        },
    }


class FakeCluster:
    def __init__(self, **kinds: list[dict[str, Any]]) -> None:
        self.kinds = kinds

    def objects(self, path: str, **_: str) -> list[dict[str, Any]]:
        kind = path.rsplit("/", 1)[1]
        if kind == "horizontalpodautoscalers":
            raise MissingError("no such kind")
        return self.kinds.get(kind, [])


@pytest.fixture
def told(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> Any:
    def look(**kinds: list[dict[str, Any]]) -> dict[tuple[str, str, str], str]:
        monkeypatch.setattr(cluster_drift, "cluster", lambda _: FakeCluster(**kinds))
        entry = Desired(
            application="one",
            environment="dev",
            chart="charts/one",
            commit="c" * 40,
            repository="r/dev/one",
            digest=GOOD,
        )
        found = look_at_cluster.fn(delivery.change(), {"one": entry})
        return {(one.kind, one.where, one.what): one.told for one in found}

    return look


def test_an_environment_that_is_as_its_branch_says_has_no_finding(told: Any) -> None:
    assert (
        told(
            applications=[application()],
            pods=[pod("one-1", GOOD), pod("one-migrate", OTHER, "Job")],
            deployments=[made("one")],
            configmaps=[made("kube-root-ca.crt", by="")],
            services=[made("addon", by="", **{"app.kubernetes.io/managed-by": "Helm"})],
        )
        == {}
    )


def test_resources_out_of_sync_are_told_one_by_one_and_those_gone_as_gone(told: Any) -> None:
    found = told(
        applications=[application("OutOfSync", "Degraded", "Deployment/one", "ConfigMap/one", "Secret/one")],
        deployments=[made("one")],
    )
    assert found == {
        ("drift", "one", "Deployment/one"): "it is not as the commit has it",
        ("drift", "one", "ConfigMap/one"): "it is gone",
        ("drift", "one", "Secret/one"): "it is not as the commit has it",
        ("drift", "one", "health"): "its health is Degraded",
    }


def test_an_application_that_is_missing_manual_or_unknown_is_told(told: Any) -> None:
    assert told() == {("drift", "one", "Application"): "Argo CD has no such application"}
    assert told(applications=[application("Unknown", "Healthy", automated=False)]) == {
        ("drift", "one", "auto-sync"): "it is switched off",
        ("drift", "one", "sync"): "its sync status is Unknown",
    }


def test_what_belongs_to_no_application_is_told(told: Any) -> None:
    found = told(applications=[application()], configmaps=[made("by-hand", by="")], pods=[made("debug", by="")])
    assert set(found) == {("stray", "dev", "ConfigMap/by-hand"), ("stray", "dev", "Pod/debug")}


def test_a_pod_with_another_image_is_told_by_its_template(told: Any) -> None:
    found = told(applications=[application()], pods=[pod("one-1", OTHER), pod("one-2", OTHER)])
    assert found == {("drift", "one", "pods abc"): f"it runs {OTHER[:19]}, the desired state has {GOOD[:19]}"}
