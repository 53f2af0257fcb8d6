from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from socket import create_server

import pytest

GREET = Path(__file__).parents[2] / "apps" / "greet" / "greet.py"


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()
    finally:
        connection.close()


@pytest.fixture
def greet() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
    environment = {**os.environ, "APPLICATION": "greet", "DIGEST": "sha256:1", "PORT": str(port)}
    process = subprocess.Popen([sys.executable, str(GREET)], env=environment)
    deadline = time.monotonic() + 10
    while True:
        try:
            get(port, "/readyz")
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    yield process, port
    process.kill()
    process.wait()


def test_it_greets_below_its_path_and_tells_its_version_there(greet: tuple[subprocess.Popen[bytes], int]) -> None:
    _, port = greet
    status, text = get(port, "/greet?name=Ada%20L.")
    assert (status, text.partition(", ")[2]) == (200, "Ada L.!")
    assert json.loads(get(port, "/greet/version")[1])["digest"] == "sha256:1"
    assert get(port, "/healthz") == (200, "ok")
    assert get(port, "/")[0] == 404


def test_told_to_stop_it_is_not_ready_answers_on_for_a_moment_and_ends_well(
    greet: tuple[subprocess.Popen[bytes], int],
) -> None:
    process, port = greet
    process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 0.4
    while get(port, "/readyz")[0] == 200 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert get(port, "/readyz")[0] == 503
    assert get(port, "/greet")[0] == 200
    assert process.wait(timeout=5) == 0
