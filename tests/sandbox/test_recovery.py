from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox import recovery
from sandbox.part import PartError
from sandbox.recovery import provision_again
from sandbox.world import World
from symphony.tool import run


class Prefect:
    def __init__(self, ends: str = "COMPLETED") -> None:
        self.ends = ends
        self.started: list[tuple[str, dict[str, Any]]] = []

    def ask(self, _world: World, method: str, path: str, body: Any = None) -> dict[str, Any]:
        if method == "POST":
            self.started.append((path.split("/")[2], body["parameters"]))
            return {"id": "r"}
        if path.startswith("/deployments"):
            return {"id": path.rpartition("/")[2]}
        return {"name": "provision", "state_type": self.ends, "state_name": "Done", "state": {"message": "no quota."}}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(source=tmp_path, state=tmp_path / "state", cache=tmp_path / "cache")
    repository = world.folder("git") / "platform.git"
    run(["git", "init", "--quiet", "--bare", str(repository)])
    tree = run(["git", "mktree"], cwd=repository, stdin="").stdout.strip()
    entries = "".join(f"040000 tree {tree}\t{name}\n" for name in ("dev", "prod"))
    top = run(["git", "mktree"], cwd=repository, stdin=entries).stdout.strip()
    who = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    made = run(["git", *who, "commit-tree", top, "-m", "records"], cwd=repository).stdout.strip()
    run(["git", "update-ref", "refs/heads/symphony/records", made], cwd=repository)
    live(world, 1)
    return world


def live(world: World, pid: int) -> None:
    world.write(world.folder("run") / "aws.json", json.dumps({"pid": pid, "born": 1.5, "argv": []}))


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Prefect:
    prefect = Prefect()
    monkeypatch.setattr(recovery, "_ask", prefect.ask)
    return prefect


def test_the_first_life_and_the_same_life_need_nothing(world: World, prefect: Prefect) -> None:
    assert provision_again(world, pytest.fail) == ()
    assert provision_again(world, pytest.fail) == ()
    assert prefect.started == []


def test_another_life_provisions_every_released_environment_once(world: World, prefect: Prefect) -> None:
    provision_again(world, pytest.fail)
    live(world, 2)
    notes: list[str] = []
    assert provision_again(world, notes.append) == ("dev", "prod")
    assert [name for name, _ in prefect.started] == ["dev", "prod"]
    assert all(parameters["everything"] for _, parameters in prefect.started)
    assert "dev, prod is provisioned again" in notes[0]
    assert provision_again(world, pytest.fail) == ()


def test_without_a_release_there_is_nothing_to_provision(world: World, prefect: Prefect) -> None:
    provision_again(world, pytest.fail)
    run(["git", "update-ref", "-d", "refs/heads/symphony/records"], cwd=world.state / "git" / "platform.git")
    live(world, 2)
    assert provision_again(world, pytest.fail) == ()
    assert prefect.started == []


def test_a_provision_that_fails_is_told_and_tried_again_by_the_next_up(world: World, prefect: Prefect) -> None:
    provision_again(world, pytest.fail)
    live(world, 2)
    prefect.ends = "FAILED"
    with pytest.raises(PartError, match=r"no quota\. Look at"):
        provision_again(world, lambda _: None)
    prefect.ends = "COMPLETED"
    assert provision_again(world, lambda _: None) == ("dev", "prod")


def test_a_server_whose_database_is_busy_is_asked_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [503, 503, 200, 503, 200]
    world.write(world.folder("secrets") / "prefect-password", "word")

    def request(method: str, url: str, **_: Any) -> httpx.Response:
        asked = httpx.Request(method, url)
        if method == "GET":
            found = {"id": "d", "name": "provision", "state_type": "COMPLETED"}
            return httpx.Response(200, json=found, request=asked)
        return httpx.Response(answers.pop(0), json={"id": "r"}, request=asked)

    monkeypatch.setattr(httpx, "request", request)
    provision_again(world, pytest.fail)
    live(world, 2)
    assert provision_again(world, lambda _: None) == ("dev", "prod")
    assert answers == []
