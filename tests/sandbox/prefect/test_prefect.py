from __future__ import annotations

import sqlite3
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.listing import read
from sandbox import daemon
from sandbox.daemon import Daemon
from sandbox.part import NotReadyError, PartError
from sandbox.prefect import Prefect, database, part, worker_environment
from sandbox.prefect.environment import server_environment
from sandbox.world import World
from symphony import tool
from symphony.errors import ToolError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("DOCKER_HOST", "")
    return World(source=ROOT, state=tmp_path / "state", cache=tmp_path / "cache")


def database_with(path: Path, *flows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE flow (name TEXT)")
        made.executemany("INSERT INTO flow VALUES (?)", [(name,) for name in flows])


def flows_in(path: Path) -> list[str]:
    with sqlite3.connect(path) as found:
        return [name for (name,) in found.execute("SELECT name FROM flow")]


def test_a_new_server_begins_with_the_migrated_database_of_its_version(world: World) -> None:
    database_with(database.path(world))
    (world.state / "prefect" / "memo_store.toml").write_text("memo")
    database.keep(world)
    assert (world.cache / "prefect" / metadata.version("prefect") / "prefect.db").exists()
    other = World(source=ROOT, state=world.state.with_name("other"), cache=world.cache)
    database.begin(other)
    assert flows_in(database.path(other)) == []
    assert database.path(other).stat().st_mode & 0o777 == 0o600
    assert (other.state / "prefect" / "memo_store.toml").read_text() == "memo"


def test_a_database_that_holds_something_is_neither_kept_nor_replaced(world: World) -> None:
    database_with(database.path(world), "release")
    database.keep(world)
    assert list((world.cache / "prefect").iterdir()) == []
    database_with(world.cache / "prefect" / metadata.version("prefect") / "prefect.db")
    database.begin(world)
    assert flows_in(database.path(world)) == ["release"]


def test_flows_find_all_they_need_in_their_environment(world: World) -> None:
    found = worker_environment(world)
    assert {
        *("SYMPHONY_CONFIG", "SYMPHONY_WORK", "KUBECONFIG", "DOCKER_HOST", "AWS_SHARED_CREDENTIALS_FILE"),
        *("GIT_CONFIG_GLOBAL", "TF_CLI_CONFIG_FILE", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_HOME"),
    } <= set(found)
    assert found["SYMPHONY_CONFIG"] == str(ROOT / "symphony.yaml")
    assert found["DOCKER_HOST"]
    inside = [value for name, value in found.items() if name in {"PREFECT_HOME", "SYMPHONY_WORK", "KUBECONFIG"}]
    assert all(value.startswith(str(world.state)) for value in inside)


def test_a_prefect_account_of_the_user_is_never_spoken_to(world: World) -> None:
    found = worker_environment(world)
    assert found["PREFECT_API_KEY"] == ""
    assert found["PREFECT_API_URL"] == f"{world.prefect_url}/api"
    assert found["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_leases_of_concurrency_slots_outlive_the_server(world: World) -> None:
    storage = server_environment(world)["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"]
    assert storage == "prefect.server.concurrency.lease_storage.filesystem"


def test_no_secret_is_in_an_argument_and_another_environment_makes_another_launcher_and_worker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Daemon] = []
    monkeypatch.setattr(Daemon, "start", lambda self, _: started.append(self))
    monkeypatch.setattr(part, "answers", lambda *_: None)
    monkeypatch.setattr(tool, "run", lambda *_, **__: None)
    monkeypatch.setattr(database, "keep", lambda _: None)
    Prefect().start(world)
    Prefect().start(World(source=world.state.parent, state=world.state, cache=world.cache))
    words = [str(word) for one in started for word in one.argv]
    assert not any(world.secret("prefect-password") in word for word in words)
    assert started[0].argv == started[3].argv
    assert started[1].argv != started[4].argv
    assert started[2].argv != started[5].argv


def answering(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        found = answers.get(request.url.path.removeprefix("/api"))
        return httpx.Response(404) if found is None else httpx.Response(200, json=found)

    monkeypatch.setattr(part, "_client", lambda: httpx.Client(transport=httpx.MockTransport(answer)))


def test_it_is_ready_only_with_its_deployments_and_a_worker_that_reports(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = len(read(world.source / "prefect.yaml"))
    answers: dict[str, Any] = {"/health": True, "/deployments/count": wanted - 1}
    answering(monkeypatch, answers)
    with pytest.raises(NotReadyError, match=f"{wanted - 1} of the {wanted} deployments"):
        Prefect().check(world)
    answers["/deployments/count"] = wanted
    with pytest.raises(NotReadyError, match="prefect-worker does not run"):
        Prefect().check(world)
    monkeypatch.setattr(part, "recorded", lambda _: {part.WORKER: 1, part.LAUNCHER: 2})
    answers["/work_pools/symphony/workers/filter"] = []
    with pytest.raises(NotReadyError, match="no worker reports"):
        Prefect().check(world)
    answers["/work_pools/symphony/workers/filter"] = [{"name": "sandbox"}]
    Prefect().check(world)
    answers["/health"] = None
    with pytest.raises(NotReadyError, match="answered 404"):
        Prefect().check(world)


def test_deployments_that_cannot_be_made_fail_the_part_with_the_reason(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ToolError("python", 1, "prefect.yaml has 1 mistake")

    monkeypatch.setattr(Daemon, "start", lambda *_: None)
    monkeypatch.setattr(part, "answers", lambda *_: None)
    monkeypatch.setattr(database, "keep", lambda _: None)
    monkeypatch.setattr(tool, "run", refuse)
    with pytest.raises(PartError, match=r"prefect\.yaml has 1 mistake"):
        Prefect().start(world)
    assert daemon.recorded(world) == {}
