from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.daemon import Daemon
from sandbox.part import NotReadyError, Part, PartError
from sandbox.parts import parts
from sandbox.prefect import Prefect, Replicas, balancer, broker, choice, part, postgres, replicas
from sandbox.world import World
from symphony import tool

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(source=ROOT, state=tmp_path / "state", cache=tmp_path / "cache")


def kind(world: World) -> Part:
    return next(part for part in parts(world) if part.name == "prefect")


def test_the_server_is_one_process_until_another_is_chosen_and_stays_what_it_was(world: World) -> None:
    assert type(kind(world)) is Prefect
    choice.choose(world, "postgres")
    assert type(kind(world)) is Replicas
    world.folder("prefect", "postgres")
    with pytest.raises(PartError, match="on postgres already; run `symphony down` first"):
        choice.choose(world, "sqlite")
    choice.choose(world, "postgres")
    assert choice.chosen(world) == "postgres"


def test_a_sandbox_on_sqlite_does_not_lose_its_runs_to_another_choice(world: World) -> None:
    (world.folder("prefect") / "prefect.db").touch()
    with pytest.raises(PartError, match="on sqlite already"):
        choice.choose(world, "postgres")
    assert choice.chosen(world) == "sqlite"


def started(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, Daemon]:
    """What would run."""
    found: dict[str, Daemon] = {}
    monkeypatch.setattr(Daemon, "start", lambda self, _: found.update({self.name: self}))
    for module, name in ((part, "answers"), (replicas, "answers"), (postgres, "check"), (broker, "check")):
        monkeypatch.setattr(module, name, lambda *_: None)
    monkeypatch.setattr(tool, "run", lambda *_, **__: None)
    Replicas().start(world)
    return found


def test_two_servers_without_services_and_one_process_with_them_share_a_database_and_a_broker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = started(world, monkeypatch)
    assert tuple(found) == Replicas.daemons
    first, second, services = (found[name] for name in (part.SERVER, replicas.SECOND, replicas.SERVICES))
    for one in (first, second, services):
        assert one.env["PREFECT_SERVER_DATABASE_CONNECTION_URL"].startswith("postgresql+asyncpg://")
        assert one.env["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] == "prefect_redis.lease_storage"
        assert one.env["PREFECT_SERVER_DOCKET_URL"].startswith("redis://")
    assert [one.argv[3] for one in (first, second)] == ["--no-services", "--no-services"]
    assert first.argv[-1] != second.argv[-1]
    # One of them alone changes the database's tables.
    changes = "PREFECT_SERVER_DATABASE_MIGRATE_ON_START"
    assert [changes in one.env for one in (first, second, services)] == [False, True, True]
    assert "PREFECT_SERVER_DATABASE_CONNECTION_URL" not in found[part.WORKER].env


def test_no_secret_is_in_an_argument(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [str(word) for one in started(world, monkeypatch).values() for word in one.argv]
    secrets = [path.read_text() for path in (world.state / "secrets").iterdir()]
    assert len(secrets) > 3
    assert not [word for word in words if any(secret in word for secret in secrets)]
    settings = world.state / "prefect" / "redis" / "redis.conf"
    assert settings.stat().st_mode & 0o777 == 0o600
    assert "bind 127.0.0.1" in settings.read_text()


def test_the_balancer_asks_both_servers_for_their_health(world: World) -> None:
    balancer.process(world, (1, 2))
    routes = json.loads((world.state / "prefect" / "balancer" / "routes.yaml").read_text())
    balanced = routes["http"]["services"]["prefect"]["loadBalancer"]
    assert [one["url"] for one in balanced["servers"]] == ["http://127.0.0.1:1", "http://127.0.0.1:2"]
    assert balanced["healthCheck"]["path"] == "/api/health"
    settings = json.loads((world.state / "prefect" / "balancer" / "traefik.yaml").read_text())
    assert settings["entryPoints"]["web"]["address"] == f"127.0.0.1:{world.ports.prefect}"


def test_it_is_ready_only_with_both_servers_and_the_services(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []
    gone = world.ports.prefect_second

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.port)
        content: Any = True if request.url.path.endswith("/health") else 0
        return httpx.Response(502 if request.url.port == gone else 200, json=content)

    monkeypatch.setattr(part, "_client", lambda: httpx.Client(transport=httpx.MockTransport(answer)))
    for module in (postgres, broker):
        monkeypatch.setattr(module, "check", lambda _: None)
    with pytest.raises(NotReadyError, match=f"the server on http://127.0.0.1:{gone} answered 502"):
        Replicas().check(world)
    assert asked == [world.ports.prefect_server, gone]
    gone = 0
    with pytest.raises(NotReadyError, match="its process prefect-services does not run"):
        Replicas().check(world)
    monkeypatch.setattr(replicas, "recorded", lambda _: {replicas.SERVICES: 1})
    with pytest.raises(NotReadyError, match=r"deployments of prefect\.yaml"):
        Replicas().check(world)


def test_a_database_that_does_not_answer_is_told(world: World) -> None:
    with pytest.raises(NotReadyError, match="prefect-redis does not answer"):
        broker.check(World(source=ROOT, state=world.state, ports=world.ports.__class__(prefect_redis=1)))
