"""A stand-in for an API server: keeps what it was asked, answers what it was told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import pytest

from sandbox.world import World


class Cluster:
    """Objects by path; a path that is not there answers 404 to a read, and takes a write."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.refused: dict[str, int] = {}
        self.asked: list[tuple[str, str, dict[str, list[str]], str, str]] = []
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                address = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                kind = self.headers.get("Content-Type", "")
                cluster.asked.append((self.command, address.path, parse_qs(address.query), kind, body))
                status, content = 200, cluster.objects.get(address.path)
                if address.path in cluster.refused:
                    status, content = cluster.refused[address.path], {"message": "it may not be"}
                elif content is None and self.command == "GET":
                    status, content = 404, {"message": "not found"}
                data = json.dumps(content or {}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = answer  # noqa: N815 - the names that the base class calls

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def world(self, folder: Path) -> World:
        """A world whose kubeconfig leads here."""
        world = World(source=folder, state=folder)
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "symphony", "cluster": {"server": f"http://127.0.0.1:{self._server.server_port}"}}],
            "users": [{"name": "symphony", "user": {"token": "t"}}],
            "contexts": [{"name": "symphony", "context": {"cluster": "symphony", "user": "symphony"}}],
            "current-context": "symphony",
        }
        world.write(world.kubeconfig, json.dumps(content))
        return world


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A stand-in for the cluster."""
    with Cluster() as double:
        yield double
