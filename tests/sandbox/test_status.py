from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from sandbox import daemon, status
from sandbox.daemon import Daemon
from sandbox.part import NotReadyError, Part
from sandbox.world import World


class Sleeper(Part):
    """A part with one real process that never answers."""

    name: ClassVar[str] = "sleeper"
    daemons: ClassVar[tuple[str, ...]] = ("sleeper",)
    answers: ClassVar[bool] = False

    def start(self, world: World) -> None:
        Daemon("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"]).start(world)

    def check(self, world: World) -> None:
        del world
        if not self.answers:
            raise NotReadyError("it does not answer")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(source=tmp_path, state=tmp_path / "state")
    monkeypatch.setattr(status, "parts", lambda _: (Sleeper(),))
    yield made
    Sleeper().stop(made)


def test_a_sandbox_that_is_down_is_told_without_making_it(world: World) -> None:
    found = status.status(world)
    assert [part.state for part in found.parts] == ["down"]
    assert not found.ready
    assert not world.state.exists()


def test_a_part_tells_process_memory_and_why_it_is_not_ready(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    Sleeper().start(world)
    part = status.status(world).parts[0]
    assert (part.state, part.reason) == ("failing", "it does not answer")
    assert part.processes[0].pid == daemon.recorded(world)["sleeper"]
    assert part.processes[0].memory > 0  # a process that has just begun has little yet
    monkeypatch.setattr(Sleeper, "answers", True)
    found = status.status(world)
    assert found.ready
    assert found.memory >= part.processes[0].memory // 2
    Sleeper().stop(world)
    monkeypatch.setattr(Sleeper, "answers", False)
    assert status.status(world).parts[0].state == "down"


def test_addresses_name_where_passwords_are_and_never_hold_one(world: World) -> None:
    secrets = [world.secret("prefect-password"), world.secret("argocd-password"), world.secret("git-password")]
    text = repr(status.addresses(world))
    assert not any(secret in text for secret in secrets)
    assert str(world.state / "secrets" / "prefect-password") in text
