"""A service of the cluster whose answers a test decides: its endpoints are servers of the test itself."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
from kubernetes.client import ApiClient

from sandbox import manifest
from sandbox.ingress import CLASS
from sandbox.manifest import Manifest
from sandbox.world import BRIDGE_ADDRESS, HOST, World

LABELS = {"app.kubernetes.io/name": "try"}
Said = tuple[int, dict[str, str], str]
"""Status, headers, body."""


class Server(ThreadingHTTPServer):
    """Answers on the bridge, where the ingress reaches it; what it was asked is kept."""

    daemon_threads = True

    def __init__(self, says: Callable[[str], Said]) -> None:
        asked: list[tuple[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                asked.append((self.headers["Host"], self.path))
                status, headers, body = says(self.path)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body.encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                del format, args

        super().__init__((BRIDGE_ADDRESS, 0), Handler)
        self.asked = asked
        self.port = self.server_port


@contextlib.contextmanager
def serving(says: Callable[[str], Said]) -> Iterator[Server]:
    """A server that answers by path."""
    server = Server(says)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def version(digest: str, **more: str) -> Said:
    """What ``/version`` tells."""
    return 200, {"Content-Type": "application/json"}, json.dumps({"digest": digest, "version": "1", **more})


@contextlib.contextmanager
def service(connection: ApiClient, server: Server, name: str) -> Iterator[None]:
    """A Service in dev, and its endpoint."""
    objects: list[Manifest] = [
        _object("v1", "Service", name, spec={"ports": [{"name": "http", "port": 80, "targetPort": server.port}]}),
        _object(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            name,
            labels={"kubernetes.io/service-name": name},
            addressType="IPv4",
            endpoints=[{"addresses": [BRIDGE_ADDRESS], "conditions": {"ready": True}}],
            ports=[{"name": "http", "port": server.port, "protocol": "TCP"}],
        ),
    ]
    with _applied(connection, objects):
        yield


@contextlib.contextmanager
def ingress(  # noqa: PLR0913 - what an Ingress is made of
    world: World,
    connection: ApiClient,
    server: Server,
    name: str,
    *paths: str,
    tls: str = "",
    annotations: dict[str, str] | None = None,
) -> Iterator[str]:
    """An Ingress of the application ``try`` in dev, with a Service and its endpoint; the host, once it is served."""
    host = f"{name}.dev.localhost"
    rules = [
        {"path": path, "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"name": "http"}}}}
        for path in paths
    ]
    spec: dict[str, Any] = {"ingressClassName": CLASS, "rules": [{"host": host, "http": {"paths": rules}}]}
    if tls:
        spec["tls"] = [{"hosts": [host], "secretName": tls}]
    made = _object("networking.k8s.io/v1", "Ingress", name, annotations=annotations or {}, spec=spec)
    with service(connection, server, name), _applied(connection, [made]):
        _known(world, host, paths[0], secure=bool(tls))
        yield host


@contextlib.contextmanager
def _applied(connection: ApiClient, objects: list[Manifest]) -> Iterator[None]:
    """Objects that are taken away again."""
    try:
        for one in objects:
            manifest.apply(connection, one)
        yield
    finally:
        for one in reversed(objects):
            manifest.request(connection, "DELETE", manifest.path(one))


def _known(world: World, host: str, path: str, *, secure: bool) -> None:
    """Wait until the ingress has read it."""
    deadline = time.monotonic() + 15
    base = f"https://{HOST}:{world.ports.ingress_tls}" if secure else f"http://{HOST}:{world.ports.ingress}"
    with httpx.Client(verify=False, trust_env=False, timeout=1) as http:  # noqa: S501 - whether it is there, no more
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TimeoutException):
                answer = http.get(f"{base}{path}", headers={"Host": host}, extensions={"sni_hostname": host})
                if answer.status_code != httpx.codes.NOT_FOUND:
                    return
            time.sleep(0.1)
    raise AssertionError(f"the ingress does not serve {host}")


def _object(version: str, kind: str, name: str, **content: Any) -> Manifest:
    labels, annotations = content.pop("labels", {}), content.pop("annotations", {})
    meta = {"name": name, "namespace": "dev", "labels": {**LABELS, **labels}, "annotations": annotations}
    return {"apiVersion": version, "kind": kind, "metadata": meta, **content}
