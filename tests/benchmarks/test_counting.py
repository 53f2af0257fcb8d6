"""Requests counted on their way to a service."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from benchmarks.counting import counted


class _Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_each_request_is_counted_once_and_handed_on() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with counted(one=("127.0.0.1", server.server_address[1])) as services, httpx.Client() as client:
            url = services["one"].url
            ecr = {"X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.DescribeImages"}
            for body in (b"a", b"b" * 200_000, b"c"):
                assert client.post(f"{url}/", content=body, headers=ecr).content == body
            assert client.post(f"{url}/api/flow_runs?limit=1", content=b"d").content == b"d"
            assert services["one"].take() == {"DescribeImages": 3, "POST /api/flow_runs": 1}
            assert not services["one"].take()
            host, port = url.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port))) as line:
                for piece in (b"POST /in/tw", b"o HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"):
                    line.sendall(piece)
                    threading.Event().wait(0.1)
                assert line.recv(100).startswith(b"HTTP/1.1 200")
            assert services["one"].take() == {"POST /in/two": 1}
        server.shutdown()
