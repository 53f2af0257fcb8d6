from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

import pytest

from sandbox import daemon
from sandbox.daemon import Daemon
from sandbox.part import NotReadyError, Part, PartError
from sandbox.world import World


class Slow(Part):
    """A part that is ready when its process was seen, and whose process another thread starts at an unlucky moment."""

    name: ClassVar[str] = "slow"
    daemons: ClassVar[tuple[str, ...]] = ("slow",)
    limit: ClassVar[float] = 5.0

    def start(self, world: World) -> None:
        Daemon("slow", [sys.executable, "-c", "import time; time.sleep(600)"]).start(world)

    def check(self, world: World) -> None:
        if "slow" not in daemon.recorded(world):
            raise NotReadyError("it is not there")


def test_a_process_that_starts_between_two_questions_has_not_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, part = World(source=tmp_path, state=tmp_path / "state"), Slow()
    ask = daemon.recorded
    asked: list[int] = []

    def recorded(here: World) -> dict[str, int]:
        alive = ask(here)
        asked.append(1)
        if len(asked) == 2:  # the first question is the check's, the second asks who ended
            part.start(world)
        return alive

    monkeypatch.setattr(daemon, "recorded", recorded)
    try:
        part.wait(world, lambda: part.check(world))
    finally:
        part.stop(world)


def test_a_process_that_ended_is_named_with_its_last_words(tmp_path: Path) -> None:
    world, part = World(source=tmp_path, state=tmp_path / "state"), Slow()
    Daemon("slow", [sys.executable, "-c", "print('no room'); raise SystemExit(1)"]).start(world)
    with pytest.raises(PartError, match=r"slow did not come up: its process slow ended\.[\s\S]*no room"):
        part.wait(world, lambda: (_ for _ in ()).throw(NotReadyError("not yet")))
