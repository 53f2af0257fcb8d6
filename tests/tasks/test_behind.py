from __future__ import annotations

from typing import Any

import pytest

from symphony.errors import SymphonyError
from tasks import behind as module
from tasks.answer import Target
from tasks.behind import behind, look_behind

BACKEND = {"service": {"name": "one", "port": {"name": "http"}}}
SERVICE = {"spec": {"selector": {"app": "one"}, "ports": [{"name": "http", "port": 80}]}}
CRASHED = "container main ended with exit code 3 (CrashLoopBackOff, 4 restarts); it logged nothing"
SLICE = {"endpoints": [{"conditions": {"ready": True}}, {"conditions": {"ready": False}}]}


def pod(name: str, **status: Any) -> dict[str, Any]:
    image = f"r/one@sha256:{'d' * 64}"
    return {"metadata": {"name": name}, "spec": {"containers": [{"image": image}]}, "status": status}


class Cluster:
    def __init__(self, service: dict[str, Any] | None, *pods: dict[str, Any]) -> None:
        self.service, self.pods = service, pods

    def get(self, path: str) -> dict[str, Any] | None:
        assert path == "/api/v1/namespaces/dev/services/one"
        return self.service

    def objects(self, path: str, labelSelector: str) -> list[dict[str, Any]]:  # noqa: N803 - Kubernetes' own
        if path.endswith("endpointslices"):
            assert labelSelector == "kubernetes.io/service-name=one"
            return [SLICE]
        assert labelSelector == "app=one"
        return list(self.pods)


def seen(service: dict[str, Any] | None, *pods: dict[str, Any], backend: Any = None) -> tuple[str, ...]:
    return behind(Cluster(service, *pods), "dev", backend or BACKEND)  # type: ignore[arg-type]


def test_service_endpoints_and_pods_are_told() -> None:
    crashing = {"name": "main", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 4}
    found = seen(
        SERVICE,
        pod("new", conditions=[{"type": "Ready", "status": "True"}]),
        pod("bad", containerStatuses=[{**crashing, "lastState": {"terminated": {"exitCode": 3}}}]),
        pod("late", phase="Pending"),
    )
    assert found == (
        "Service one has 1 of 2 endpoints ready",
        "pod new of sha256:dddddddddddd: ready",
        f"pod bad of sha256:dddddddddddd: {CRASHED}",
        "pod late of sha256:dddddddddddd: not ready, Pending",
    )


def test_what_is_missing_is_told() -> None:
    assert seen(None) == ("there is no Service one",)
    assert seen(SERVICE)[1] == "no pod has its labels app=one"
    assert seen({"spec": {"ports": []}}) == ("Service one has no port http, and has 1 of 2 endpoints ready",)
    by_number = {"service": {"name": "one", "port": {"number": 80}}}
    assert seen(SERVICE, backend=by_number)[0] == "Service one has 1 of 2 endpoints ready"
    assert seen(SERVICE, backend={"resource": {"kind": "Bucket"}})[0].startswith("no Service, but Bucket")


def test_a_cluster_that_refuses_hides_nothing_else(delivery: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise SymphonyError("forbidden")

    monkeypatch.setattr(module, "cluster", refuse)
    target = Target("one", "h", "/", "http://x", backend=BACKEND)
    assert look_behind.fn(delivery.change(), target) == ("what lies behind it cannot be seen: forbidden",)
