"""A proxy on loopback that stands before an AWS API and answers some requests with a fault, in the service's shape."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_SERVICE = re.compile(r"Credential=[^/]+/\d{8}/[^/]*/([^/]+)/aws4_request")
_HOP = frozenset({"connection", "expect", "keep-alive", "transfer-encoding"})
"""Headers of the connection, not of the request."""
FOREVER = 10**9
THROTTLED, DENIED, BROKEN, BUSY = "throttled", "denied", "broken", "busy"
_SAID = {
    THROTTLED: {
        "json": (400, "ThrottlingException"),
        "s3": (503, "SlowDown"),
        "ec2": (503, "RequestLimitExceeded"),
        "query": (400, "Throttling"),
    },
    DENIED: {
        "json": (400, "AccessDeniedException"),
        "s3": (403, "AccessDenied"),
        "ec2": (403, "UnauthorizedOperation"),
        "query": (403, "AccessDenied"),
    },
    BUSY: {
        "json": (500, "ServerException"),
        "s3": (500, "InternalError"),
        "ec2": (500, "InternalError"),
        "query": (500, "InternalFailure"),
    },
}
"""What AWS says, by its way of speaking."""


@dataclass
class Fault:
    """Stands in for AWS's answer to some requests.

    Attributes:
        names: What a request's method, path, operation or first bytes match, as a regular expression.
        kind: What the answer is; a broken connection has none.
        first: How many are answered so, one after the other.
        every: Of all, each so manieth is answered so, but never the same one twice in a row; 0 for none.
        given: How many were answered so.
    """

    names: str
    kind: str = THROTTLED
    first: int = 0
    every: int = 0
    given: int = 0
    seen: int = 0
    lately: set[str] = field(default_factory=set)

    def strikes(self, asked: str) -> bool:
        """Whether it is this request's turn."""
        if not re.search(self.names, asked):
            return False
        self.seen += 1
        again = asked in self.lately
        self.lately.discard(asked)
        struck = self.seen <= self.first or bool(self.every and self.seen % self.every == 0 and not again)
        if struck:
            self.given += 1
            self.lately.add(asked)
        return struck


@dataclass
class Proxy:
    """What it does at present.

    Attributes:
        endpoint: Its address.
        faults: The first one whose turn it is answers.
        halt: Requests that match it are held until `release`, and never get through.
        halted: Set when there is one.
    """

    target: str
    endpoint: str = ""
    faults: list[Fault] = field(default_factory=list)
    halt: str = ""
    halted: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, asked: str) -> str:
        """The kind of fault that a request meets; empty where it is let through."""
        with self.lock:
            return next((one.kind for one in self.faults if one.strikes(asked)), "")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = (
            f"{self.command} {self.path} {self.headers.get('X-Amz-Target', '')} {body[:300].decode(errors='replace')}"
        )
        if kind := self.proxy.fault(asked):
            self.refuse(kind)
            return
        if self.proxy.halt and re.search(self.proxy.halt, asked):
            self.proxy.halted.set()
            self.proxy.release.wait()
            self.refuse(BROKEN)
            return
        target = http.client.HTTPConnection(urlsplit(self.proxy.target).netloc, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        target.request(self.command, self.path, body, headers)
        got = target.getresponse()
        self.give(got.status, got.getheaders(), got.read())
        target.close()

    def refuse(self, kind: str) -> None:
        """Say no in the way of the service that was asked."""
        if kind == BROKEN:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        found = _SERVICE.search(self.headers.get("Authorization", ""))
        service = found[1] if found and found[1] in {"s3", "ec2"} else "query"
        speech = "json" if "X-Amz-Target" in self.headers else service
        status, code = _SAID[kind][speech]
        text = f"<Error><Code>{code}</Code><Message>{code} (the proxy)</Message></Error>"
        whole = {
            "json": json.dumps({"__type": code, "message": f"{code} (the proxy)"}),
            "s3": text,
            "ec2": f"<Response><Errors>{text}</Errors><RequestID>r</RequestID></Response>",
            "query": f"<ErrorResponse>{text}<RequestId>r</RequestId></ErrorResponse>",
        }[speech]
        content = "application/x-amz-json-1.1" if speech == "json" else "text/xml"
        self.give(status, [("Content-Type", content)], whole.encode())

    def give(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        named = {name.lower() for name, _ in headers}
        for name, value in headers:
            if name.lower() not in _HOP and (name.lower() != "content-length" or self.command == "HEAD"):
                self.send_header(name, value)
        if self.command != "HEAD" or "content-length" not in named:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - named by the standard library

    def log_message(self, *_: object) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that was killed is no news."""


@contextmanager
def standing_before(target: str) -> Iterator[Proxy]:
    """A proxy before an AWS API, for as long as it is needed."""
    proxy = Proxy(target)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    with _Server(("127.0.0.1", 0), handler) as server:
        proxy.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.release.set()
            server.shutdown()
