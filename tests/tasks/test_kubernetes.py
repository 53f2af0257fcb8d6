from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from kubernetes import client

from deployments.apply import ROOT
from symphony.config import load
from symphony.errors import SymphonyError, TransientError
from tasks import kubernetes
from tasks.kubernetes import Cluster

POD = {"metadata": {"name": "a", "namespace": "dev", "resourceVersion": "7"}}


class Api(ThreadingHTTPServer):
    """An API server that answers what the test put down: a status and a body, or lines of a watch."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, str, dict[str, list[str]], bytes]] = []


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, url.path, parse_qs(url.query), body))
        status, answer = self.server.answers.pop(0) if self.server.answers else (503, {"message": "no more"})
        lines = answer if isinstance(answer, list) else [answer]
        data = "".join(json.dumps(line) + "\n" for line in lines).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_PATCH = do_GET  # noqa: N815 - the name http.server calls

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server has it
        pass


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def cluster(api: Api) -> Cluster:
    configuration = client.Configuration(host=f"http://127.0.0.1:{api.server_address[1]}")
    configuration.retries = False
    return Cluster("test", client.ApiClient(configuration))


def version(number: str, **metadata: str) -> dict[str, Any]:
    return {"metadata": {"name": "a", "resourceVersion": number, **metadata}}


def test_a_watch_goes_on_where_it_ended_and_starts_anew_where_it_is_too_old(api: Api, cluster: Cluster) -> None:
    listed = {"metadata": {"resourceVersion": "5"}, "items": []}
    api.answers = [
        (200, listed),
        (200, [{"type": "ADDED", "object": version("6")}, {"type": "BOOKMARK", "object": version("8")}]),
        (200, [{"type": "ERROR", "object": {"code": 410, "metadata": {}}}]),
        (200, listed),
        (200, [{"type": "DELETED", "object": version("9")}]),
    ]
    stop, seen = threading.Event(), []
    for kind, _ in cluster.watch("/pods", time.monotonic() + 5, stop, labelSelector="x=y"):
        seen.append(kind)
        if kind == "DELETED":
            break
    assert seen == ["SYNCED", "ADDED", "SYNCED", "DELETED"]
    asked = [query.get("resourceVersion", [""])[0] for _, _, query, _ in api.asked]
    assert asked == ["", "5", "8", "", "5"]
    assert all(query["labelSelector"] == ["x=y"] for _, _, query, _ in api.asked)


def test_a_watch_survives_a_server_that_is_away_and_ends_at_its_deadline(api: Api, cluster: Cluster) -> None:
    api.answers = [(503, {}), (200, {"metadata": {"resourceVersion": "5"}, "items": [POD]})]
    seen = [kind for kind, _ in cluster.watch("/pods", time.monotonic() + 1.5, threading.Event())]
    assert seen[0] == "SYNCED"


def test_a_watch_that_is_refused_says_so(api: Api, cluster: Cluster) -> None:
    api.answers = [(403, {"message": "pods is forbidden"})]
    with pytest.raises(SymphonyError, match=r"The cluster test refused GET /pods \(403\): pods is forbidden"):
        list(cluster.watch("/pods", time.monotonic() + 5, threading.Event()))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_can_pass_is_transient(api: Api, cluster: Cluster, status: int) -> None:
    api.answers = [(status, {"message": "later"})]
    with pytest.raises(TransientError):
        cluster.objects("/pods")


def test_a_server_that_is_gone_is_transient(api: Api, cluster: Cluster) -> None:
    api.shutdown()
    api.server_close()
    with pytest.raises(TransientError, match="did not answer"):
        cluster.objects("/pods")


def test_what_is_not_there_is_none(api: Api, cluster: Cluster) -> None:
    api.answers = [(404, {}), (404, {})]
    assert cluster.get("/pods/a") is None
    assert cluster.merge("/pods/a", {}) is None


def test_a_change_is_sent_as_a_merge(api: Api, cluster: Cluster) -> None:
    api.answers = [(200, POD)]
    assert cluster.merge("/pods/a", {"metadata": {"annotations": {"x": "y"}}}) == POD
    method, path, _, body = api.asked[0]
    assert (method, path) == ("PATCH", "/pods/a")
    assert json.loads(body) == {"metadata": {"annotations": {"x": "y"}}}


def test_a_log_that_is_gone_is_no_failure(api: Api, cluster: Cluster) -> None:
    api.answers = [(400, {"message": "previous terminated container not found"})]
    assert cluster.log(POD, "one", previous=True, lines=5) == []


def test_connections_are_made_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    making, met = [], []

    def make(_file: str | None, context: str) -> str:
        making.append(context)
        time.sleep(0.02)
        met.append(len(making))
        making.remove(context)
        return f"to {context}"

    monkeypatch.setattr(kubernetes.config, "new_client_from_config", make)
    dev = load(ROOT / "symphony.yaml").environments["dev"]
    targets = [
        dev.model_copy(update={"kubernetes": dev.kubernetes.model_copy(update={"context": f"unmade-{n % 2}"})})
        for n in range(6)
    ]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(kubernetes.cluster, targets))
    assert [one.context for one in found] == ["unmade-0", "unmade-1"] * 3
    assert met == [1, 1]
