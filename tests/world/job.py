"""A workflow of GitHub Actions that act runs against the sandbox, and a GitHub with one pull request."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sandbox.git import workflow
from sandbox.git.settings import GitSettings
from sandbox.git.workflow import Event
from tests.world.seat import Seat


@dataclass
class Job:
    """A workflow's run for one event."""

    seat: Seat
    event: Event

    @property
    def settings(self) -> GitSettings:
        return GitSettings.read(self.seat.world.state / "git" / "server.json")

    def run(self) -> int:
        """Run it here, and tell how act ended."""
        path = os.pathsep.join([str(Path(sys.executable).parent), self.seat.world.path])
        env = {"PATH": path, **self.event.env}
        return workflow.run(self.settings, dataclasses.replace(self.event, env=env))

    def log(self) -> str:
        path = workflow.log_of(self.settings, self.event)
        return path.read_text() if path.exists() else ""


@contextlib.contextmanager
def github() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Address of an API like GitHub's, and the comments of its one pull request."""
    comments: list[dict[str, Any]] = []

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(comments)

        def do_POST(self) -> None:
            comments.append(
                {"id": len(comments), "user": {"type": "Bot"}, "html_url": "http://github/c", **self.body()}
            )
            self.answer(comments[-1])

        def do_PATCH(self) -> None:
            found = comments[int(self.path.rpartition("/")[2])]
            found.update(self.body())
            self.answer(found)

        def body(self) -> dict[str, Any]:
            return dict(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def answer(self, what: object) -> None:
            text = json.dumps(what).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", comments
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
