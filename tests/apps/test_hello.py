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

HELLO = Path(__file__).parents[2] / "apps" / "hello" / "hello.py"
CHART_SAYS = {
    "APPLICATION": "hello",
    "COMMIT": "c" * 40,
    "DIGEST": "sha256:" + "d" * 64,
    "ENVIRONMENT": "dev",
}


def free_port() -> int:
    with create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()
    finally:
        connection.close()


@pytest.fixture
def hello() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    environment = {**os.environ, **CHART_SAYS, "PORT": str(port)}
    process = subprocess.Popen([sys.executable, str(HELLO)], env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert b"listens" in process.stdout.readline()
    yield process, port
    process.kill()
    process.communicate()


def test_it_greets_is_well_and_tells_its_version(hello: tuple[subprocess.Popen[bytes], int]) -> None:
    _, port = hello
    assert get(port, "/") == (200, HELLO.with_name("greeting.txt").read_text().strip())
    assert get(port, "/healthz") == (200, "ok")
    assert get(port, "/readyz") == (200, "ready")
    assert get(port, "/nowhere")[0] == 404
    assert json.loads(get(port, "/version")[1]) == {
        "application": "hello",
        "commit": "c" * 40,
        "digest": "sha256:" + "d" * 64,
        "environment": "dev",
        "version": "c" * 12,
    }


def test_told_to_stop_it_is_not_ready_answers_on_for_a_moment_and_ends_well(
    hello: tuple[subprocess.Popen[bytes], int],
) -> None:
    process, port = hello
    process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 0.4
    while get(port, "/readyz")[0] == 200 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert get(port, "/readyz")[0] == 503
    assert get(port, "/")[0] == 200
    assert process.wait(timeout=5) == 0


@pytest.mark.parametrize(("variable", "empty"), [("out of luck", False), ("", True)])
def test_it_crashes_on_request_with_the_reason_as_its_last_line(tmp_path: Path, variable: str, *, empty: bool) -> None:
    copy = tmp_path / "hello.py"
    copy.write_text(HELLO.read_text())
    copy.with_name("greeting.txt").write_text("" if empty else "Hi")
    ended = subprocess.run(
        [sys.executable, str(copy)],
        env={**os.environ, "HELLO_CRASH": variable, "PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert ended.returncode == 1
    reason = "greeting.txt is empty" if empty else variable
    assert ended.stderr.strip().splitlines()[-1] == f"hello cannot start: {reason}"
