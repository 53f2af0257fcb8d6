"""The second example service: greets by name and hour, below a path of the first one's host."""

import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

MORNING, EVENING = 12, 18
FACTS = ("APPLICATION", "COMMIT", "DIGEST", "ENVIRONMENT")
DRAIN_SECONDS = 0.5
"""How long it still answers after SIGTERM, while the cluster forgets its address."""
stopping = threading.Event()


def greeting(name: str, hour: int) -> str:
    """Greet somebody at an hour of the day."""
    part = "morning" if hour < MORNING else "afternoon" if hour < EVENING else "evening"
    return f"Good {part}, {name}!"


def answer(url: str) -> tuple[int, str]:
    """Status and text for a request."""
    asked = urlsplit(url)
    if asked.path == "/greet":
        return 200, greeting(parse_qs(asked.query).get("name", ["whoever you are"])[0], time.localtime().tm_hour)
    if asked.path == "/greet/version":
        told = {fact.lower(): os.environ.get(fact, "") for fact in FACTS}
        return 200, json.dumps({**told, "version": told["commit"][:12]})
    if asked.path == "/healthz":
        return 200, "ok"
    if asked.path == "/readyz":
        return (503, "stopping") if stopping.is_set() else (200, "ready")
    return 404, "not found"


class Handler(BaseHTTPRequestHandler):
    """Answers in plain text."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        """Answer."""
        status, text = answer(self.path)
        body = f"{text}\n".encode()
        self.send_response(status)
        for name, value in {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of http.server
        """The ingress logs requests."""


def main() -> None:
    """Serve until SIGTERM."""
    server = ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler)  # noqa: S104 - a container is reached from outside itself

    def stop(*_: object) -> None:
        stopping.set()
        threading.Timer(DRAIN_SECONDS, server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
