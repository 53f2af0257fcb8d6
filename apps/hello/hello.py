"""The example service: greets, says whether it is well, and tells which build answers."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

GREETING = Path(__file__).with_name("greeting.txt")
DRAIN_SECONDS = 0.5
"""How long it still answers after it was told to stop: endpoints need a moment to forget a pod."""


def version() -> dict[str, str]:
    """What runs here, as the chart says by environment variables."""
    commit = os.environ.get("COMMIT", "")
    return {
        "application": os.environ.get("APPLICATION", "hello"),
        "commit": commit,
        "digest": os.environ.get("DIGEST", ""),
        "environment": os.environ.get("ENVIRONMENT", ""),
        "version": os.environ.get("VERSION") or commit[:12] or "unreleased",
    }


def greeting() -> str:
    """The text that ``/`` answers.

    Raises:
        SystemExit: It is empty, or ``HELLO_CRASH`` gives a reason not to start.
    """
    if reason := os.environ.get("HELLO_CRASH"):
        raise SystemExit(f"hello cannot start: {reason}")
    text = GREETING.read_text(encoding="utf-8").strip()
    if not text:
        raise SystemExit("hello cannot start: greeting.txt is empty")
    return text


class Server(ThreadingHTTPServer):
    """A thread a connection, and whether new requests are welcome.

    Attributes:
        text: What ``/`` answers.
        ready: False once it was told to stop.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], text: str) -> None:
        """Listen on an address."""
        super().__init__(address, Handler)
        self.text = text
        self.ready = True

    def drain(self) -> None:
        """Say no to readiness, go on answering for a moment, then stop."""
        self.ready = False
        threading.Timer(DRAIN_SECONDS, self.shutdown).start()


class Handler(BaseHTTPRequestHandler):
    """Four paths, read only."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "hello"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        """Answer."""
        path = self.path.partition("?")[0]
        if path == "/":
            self._send(200, "text/plain", self.server.text)
        elif path == "/healthz":
            self._send(200, "text/plain", "ok")
        elif path == "/readyz":
            self._send(*((200, "text/plain", "ready") if self.server.ready else (503, "text/plain", "stopping")))
        elif path == "/version":
            self._send(200, "application/json", json.dumps(version()))
        else:
            self._send(404, "text/plain", "not found")

    do_HEAD = do_GET  # noqa: N815 - the name http.server calls

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of http.server
        """Log requests as one line each, but for the probes, which would drown them."""
        if self.path not in {"/healthz", "/readyz"}:
            sys.stderr.write(f"{self.address_string()} {format % args}\n")

    def _send(self, status: int, kind: str, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def main() -> None:
    """Serve until SIGTERM."""
    port = int(os.environ.get("PORT", "8080"))
    server = Server(("0.0.0.0", port), greeting())  # noqa: S104 - a container is reached from outside itself
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: server.drain())
    print(f"hello {version()['version']} listens on {port}", flush=True)  # noqa: T201 - a container logs to its output
    server.serve_forever(poll_interval=0.05)
    server.server_close()


if __name__ == "__main__":
    main()
