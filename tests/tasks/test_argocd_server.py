from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from symphony.config import ArgoApi
from symphony.errors import BadInputError, SymphonyError, TransientError
from tasks.argocd_server import Server

APPLICATION: dict[str, Any] = {
    "metadata": {"name": "dev-one"},
    "spec": {"project": "symphony", "syncPolicy": {"syncOptions": ["ServerSideApply=true"], "retry": {"limit": 2}}},
}


class Api:
    """Argo CD's API, which answers what the test lays down, by method and path."""

    def __init__(self) -> None:
        self.answers: dict[str, httpx.Response] = {}
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        place = f"{request.method} {request.url.path.removeprefix('/api/v1')}"
        return self.answers.get(place, httpx.Response(404, json={"message": "not found"}))


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def server(api: Api, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("ARGOCD_AUTH_TOKEN", "secret\n")
    way = ArgoApi(address="http://argocd.example/", token="env://ARGOCD_AUTH_TOKEN")
    return Server(way, "argocd", httpx.MockTransport(api))


def test_a_refresh_is_asked_for_with_the_token_and_the_namespace(server: Server, api: Api) -> None:
    server.refresh("dev-one")
    (asked,) = api.asked
    assert asked.headers["Authorization"] == "Bearer secret"
    assert str(asked.url) == "http://argocd.example/api/v1/applications/dev-one?appNamespace=argocd&refresh=normal"


def test_an_application_that_is_not_there_is_refused_like_one_that_may_not_be_seen(server: Server, api: Api) -> None:
    api.answers["GET /applications/dev-one"] = httpx.Response(403, json={"message": "permission denied"})
    api.answers["GET /applications"] = httpx.Response(200, json={"items": None})
    server.refresh("dev-one")
    assert server.get("dev-one") is None
    api.answers["GET /applications"] = httpx.Response(200, json={"items": [APPLICATION]})
    assert server.get("dev-one") == APPLICATION
    with pytest.raises(SymphonyError, match="403"):
        server.refresh("dev-one")


def test_the_set_is_refreshed_by_an_upsert_of_what_it_is(server: Server, api: Api) -> None:
    assert server.set() is None
    server.refresh_set()
    assert {asked.method for asked in api.asked} == {"GET"}
    api.answers["GET /applicationsets/symphony"] = httpx.Response(
        200, json={"metadata": {"name": "symphony"}, "spec": 1}
    )
    api.answers["POST /applicationsets"] = httpx.Response(200, json={})
    assert server.set()
    server.refresh_set()
    body = json.loads(api.asked[-1].content)
    assert body["spec"] == 1
    assert body["metadata"]["annotations"] == {"argocd.argoproj.io/application-set-refresh": "true"}
    assert api.asked[-1].url.params["upsert"] == "true"


def test_project_and_set_are_made_by_an_upsert(server: Server, api: Api) -> None:
    for place in ("POST /projects", "POST /applicationsets"):
        api.answers[place] = httpx.Response(200, json={})
    server.make({"metadata": {"name": "p"}}, {"metadata": {"name": "s"}})
    first, second = api.asked
    assert json.loads(first.content) == {"project": {"metadata": {"name": "p"}}, "upsert": True}
    assert json.loads(second.content) == {"metadata": {"name": "s"}}
    assert second.url.params["upsert"] == "true"


def test_a_sync_goes_to_the_commit_by_the_applications_own_options(server: Server, api: Api) -> None:
    api.answers["POST /applications/dev-one/sync"] = httpx.Response(200, json={})
    assert server.sync(APPLICATION, "c" * 40)
    assert json.loads(api.asked[0].content) == {
        "revision": "c" * 40,
        "prune": True,
        "syncOptions": {"items": ["ServerSideApply=true"]},
        "retryStrategy": {"limit": 2},
    }


def test_another_operation_that_runs_is_no_failure(server: Server, api: Api) -> None:
    busy = httpx.Response(400, json={"message": "another operation is already in progress"})
    none = httpx.Response(400, json={"message": "Unable to terminate operation. No operation is in progress"})
    api.answers["POST /applications/dev-one/sync"] = busy
    api.answers["DELETE /applications/dev-one/operation"] = none
    assert not server.sync(APPLICATION, "c" * 40)
    assert not server.terminate(APPLICATION)
    assert {asked.headers["Content-Type"] for asked in api.asked} == {"application/json"}


def test_the_project_of_an_application_is_read(server: Server, api: Api) -> None:
    api.answers["GET /projects/symphony"] = httpx.Response(200, json={"spec": {"syncWindows": []}})
    assert server.project(APPLICATION) == {"spec": {"syncWindows": []}}
    assert server.project({"metadata": {}, "spec": {}}) is None


def test_what_is_not_well_comes_from_the_resource_tree(server: Server, api: Api) -> None:
    nodes = [
        {"kind": "Ingress", "name": "one", "health": {"status": "Progressing", "message": "no\n address"}},
        {"kind": "Pod", "name": "one-1", "health": {"status": "Degraded"}},
        {"kind": "Service", "name": "one", "health": {"status": "Healthy"}},
        {"kind": "ConfigMap", "name": "one"},
    ]
    api.answers["GET /applications/dev-one/resource-tree"] = httpx.Response(200, json={"nodes": nodes})
    assert server.unwell("dev-one") == ("Ingress one is Progressing: no address", "Pod one-1 is Degraded")
    api.answers["GET /applications/dev-one/resource-tree"] = httpx.Response(200, json={})
    assert server.unwell("dev-one") == ()


def test_a_watch_gives_what_is_there_and_then_what_comes(server: Server, api: Api) -> None:
    whole = {"metadata": {"resourceVersion": "7"}, "items": [APPLICATION]}
    line = json.dumps({"result": {"type": "MODIFIED", "application": APPLICATION}})
    api.answers["GET /applications"] = httpx.Response(200, json=whole)
    api.answers["GET /stream/applications"] = httpx.Response(200, text=f"{line}\n")
    stop = threading.Event()
    found = []
    for event in server.watch(time.monotonic() + 5, stop, "dev-one"):
        found.append(event)
        if len(found) == 3:
            stop.set()
    assert found == [("SYNCED", whole), ("MODIFIED", APPLICATION), ("SYNCED", whole)]
    assert dict(api.asked[1].url.params) == {"appNamespace": "argocd", "name": "dev-one", "resourceVersion": "7"}


def test_a_watch_goes_on_after_a_server_error_and_ends_with_a_refusal(server: Server, api: Api) -> None:
    api.answers["GET /applications"] = httpx.Response(200, json={"items": None})
    api.answers["GET /stream/applications"] = httpx.Response(503, text="away")
    events = server.watch(time.monotonic() + 5, threading.Event())
    assert next(events) == ("SYNCED", {"items": []})
    assert next(events) == ("SYNCED", {"items": []})
    api.answers["GET /stream/applications"] = httpx.Response(403, json={"message": "permission denied"})
    with pytest.raises(SymphonyError, match=r"refused GET /stream/applications \(403\): permission denied"):
        next(events)


@pytest.mark.parametrize(
    ("status", "kind"), [(503, TransientError), (429, TransientError), (401, BadInputError), (403, SymphonyError)]
)
def test_a_refusal_is_told_and_only_what_can_pass_is_transient(
    server: Server, api: Api, status: int, kind: type[SymphonyError]
) -> None:
    api.answers["GET /applications"] = httpx.Response(status, json={"message": "because"})
    with pytest.raises(kind, match=f"{status}.*because") as told:
        server.get("dev-one")
    assert type(told.value) is kind
    assert "secret" not in str(told.value)


def test_a_token_that_is_missing_is_told_and_a_rotated_one_is_taken(
    tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    server = Server(ArgoApi(address="http://argocd.example", token=str(file)), "argocd", httpx.MockTransport(api))
    with pytest.raises(BadInputError, match="cannot be read"):
        server.get("dev-one")
    for token in ("first", "second"):
        file.write_text(token)
        server.get("dev-one")
        assert api.asked[-1].headers["Authorization"] == f"Bearer {token}"
    monkeypatch.delenv("NOTHING", raising=False)
    away = Server(ArgoApi(address="http://argocd.example", token="env://NOTHING"), "argocd", httpx.MockTransport(api))
    with pytest.raises(BadInputError, match=r"env://NOTHING, named in argocd\.api\.token, is empty"):
        away.get("dev-one")
