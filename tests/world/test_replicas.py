"""Prefect's server beyond one process, in a state folder of its own: killed piece by piece, and taken away."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from deployments.client import PrefectApi
from sandbox import daemon
from sandbox.prefect import Replicas, broker, postgres
from sandbox.prefect.environment import login
from sandbox.prefect.part import SERVER
from sandbox.world import HOST, World
from symphony import tool
from tests.world.seat import until

pytestmark = pytest.mark.apart

LIMIT = "try-replicas"


def free() -> int:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def apart(machine: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """It, up, beside the sandbox or without."""
    names = ("prefect", "prefect_server", "prefect_second", "prefect_database", "prefect_redis")
    ports = replace(machine.ports, **{name: free() for name in names})
    world = replace(machine, state=tmp_path_factory.mktemp("replicas") / "state", ports=ports)
    world.state.mkdir(mode=0o700)
    began = time.monotonic()
    try:
        Replicas().bring_up(world)
        sys.stderr.write(f"\ntwo API servers on PostgreSQL and Redis: up in {time.monotonic() - began:.1f} s\n")
        yield world
    finally:
        Replicas().stop(world)


def server(world: World, port: int) -> PrefectApi:
    return PrefectApi(f"http://{HOST}:{port}/api", f"admin:{world.secret('prefect-password')}")


@pytest.fixture
def first(apart: World) -> PrefectApi:
    return server(apart, apart.ports.prefect_server)


@pytest.fixture
def second(apart: World) -> PrefectApi:
    return server(apart, apart.ports.prefect_second)


@pytest.fixture
def balanced(apart: World) -> PrefectApi:
    return server(apart, apart.ports.prefect)


def kill(world: World, *names: str) -> None:
    processes = [psutil.Process(daemon.recorded(world)[name]) for name in names]
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=10)


def lease(api: PrefectApi) -> str:
    body = {"names": [LIMIT], "slots": 1, "mode": "concurrency", "lease_duration": 300}
    return str(api.call("POST", "/v2/concurrency_limits/increment-with-lease", body)["lease_id"])


def renew(api: PrefectApi, held: str) -> None:
    api.call("POST", f"/v2/concurrency_limits/leases/{held}/renew", {"lease_duration": 300})


def test_neither_server_answers_without_a_login_and_each_keeps_roles(apart: World) -> None:
    user, _, password = login(apart, "ci").partition(":")
    for port in (apart.ports.prefect_server, apart.ports.prefect_second, apart.ports.prefect):
        url = f"http://{HOST}:{port}/api/variables/filter"
        assert httpx.post(url, json={}).status_code == httpx.codes.UNAUTHORIZED
        assert httpx.post(url, json={}, auth=(user, password)).status_code == httpx.codes.FORBIDDEN


def test_the_database_is_no_servant_of_root_and_takes_nobody_without_a_password(apart: World) -> None:
    process = psutil.Process(daemon.recorded(apart)[postgres.NAME])
    assert process.name() == "postgres"
    assert os.geteuid() != 0 or process.uids().effective != 0
    listening = {link.laddr.ip for link in process.net_connections("all") if link.status == psutil.CONN_LISTEN}
    assert listening == {HOST}
    url = f"postgresql://prefect@{HOST}:{apart.ports.prefect_database}/postgres"
    asked = tool.run([apart.tool("psql"), "--no-password", url, "--command", "select 1"], ok=(2,), limit=10)
    assert asked.code == 2


def test_what_one_server_is_told_the_other_knows_and_events_pass_through_redis(
    first: PrefectApi, second: PrefectApi
) -> None:
    first.call("POST", "/v2/concurrency_limits/", {"name": LIMIT, "limit": 1})
    held = lease(first)
    assert second.call("GET", f"/v2/concurrency_limits/{LIMIT}")["active_slots"] == 1
    renew(second, held)
    name = f"try.{time.time_ns()}"
    event = {
        "occurred": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "event": name,
        "resource": {"prefect.resource.id": name},
        "id": f"00000000-0000-4000-8000-{time.time_ns() % 10**12:012}",
        "payload": {},
    }
    first.call("POST", "/events", [event])  # type: ignore[arg-type]  # a list is what this route takes

    def written() -> Any:
        return second.call("POST", "/events/filter", {"filter": {"event": {"name": [name]}}})["events"]

    until(written, "the event, which the background services write into the database")
    second.call("POST", "/v2/concurrency_limits/decrement-with-lease", {"lease_id": held})
    assert first.call("GET", f"/v2/concurrency_limits/{LIMIT}")["active_slots"] == 0


def test_a_server_that_is_killed_is_not_missed_and_a_lease_outlives_redis_and_the_database(
    apart: World, balanced: PrefectApi
) -> None:
    def taken() -> bool:
        return bool(balanced.call("GET", f"/v2/concurrency_limits/{LIMIT}")["active_slots"] == 1)

    held = lease(balanced)
    kill(apart, SERVER)
    began = time.monotonic()
    assert all(taken() for _ in range(20))
    assert time.monotonic() - began < 10
    time.sleep(1.5)  # Redis writes to disk once a second
    kill(apart, broker.NAME, postgres.NAME)
    for name in (SERVER, broker.NAME, postgres.NAME):
        daemon.stop(apart, name)
    Replicas().bring_up(apart)
    until(taken, "the slot that was held before")
    renew(balanced, held)
    balanced.call("POST", "/v2/concurrency_limits/decrement-with-lease", {"lease_id": held})
    assert not taken()


def test_it_goes_and_leaves_nothing(apart: World) -> None:
    Replicas().stop(apart)
    assert daemon.marked(apart) == []
    assert str(apart.state) not in Path("/proc/self/mountinfo").read_text()
