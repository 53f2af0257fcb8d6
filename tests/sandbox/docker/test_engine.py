from pathlib import Path

import pytest

from sandbox.docker import engine
from sandbox.docker.engine import Engine, choose, own_socket
from sandbox.world import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(engine, "_SYSTEM", tmp_path / "none.sock")
    return World(source=tmp_path, state=tmp_path / "state", cache=tmp_path / "cache")


def answering(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    monkeypatch.setattr(Engine, "answers", lambda self: self.host in hosts)


def test_an_own_engine_where_none_runs(world: World) -> None:
    assert choose(world) == Engine(f"unix://{own_socket(world)}", own=True)
    assert world.docker_host == f"unix://{own_socket(world)}"


def test_the_one_that_docker_host_names(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://builder:2375")
    answering(monkeypatch, "tcp://builder:2375")
    assert choose(world) == Engine("tcp://builder:2375", own=False)
    monkeypatch.delenv("DOCKER_HOST")
    assert world.docker_host == "tcp://builder:2375"


def test_a_docker_host_that_does_not_answer_is_not_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://gone:2375")
    answering(monkeypatch)
    assert choose(world).own


def test_the_choice_is_kept_while_it_answers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://builder:2375")
    answering(monkeypatch, "tcp://builder:2375")
    choose(world)
    answering(monkeypatch)
    assert choose(world).own


def test_an_own_engine_stays_the_choice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(world)
    monkeypatch.setenv("DOCKER_HOST", "tcp://builder:2375")
    answering(monkeypatch, "tcp://builder:2375")
    assert choose(world).own
