"""A rollback on real parts: within seconds, held against releases, and lifted."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from sandbox.world import World
from tests.world.seat import NUMBERS, Seat


@pytest.fixture(scope="module")
def seat(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seat]:
    """Dev at its second release; nothing is held in the end."""
    made = Seat.take(world, tmp_path_factory.mktemp("rollback"))
    for _ in range(2):
        ended = made.released(made.say(f"Hello, number {next(NUMBERS)}"))
        assert ended.succeeded, ended.message
    yield made
    made.symphony("lift", "hello", "--env", "dev")


def test_a_rollback_is_held_until_it_is_lifted(seat: Seat) -> None:
    left, good, *_ = json.loads(seat.symphony("history", "--env", "dev", "--app", "hello", "--json"))
    seat.git("fetch", "--quiet", "origin")
    before = seat.git("rev-parse", "origin/env/dev")
    ended = seat.start("rollback", who="the tests", why="It is too loud.")
    assert ended.succeeded, ended.message
    digest = next(one["digest"] for one in good["images"] if one["application"] == "hello")
    assert json.loads(seat.answer("/version"))["digest"] == digest
    seat.git("fetch", "--quiet", "origin")
    assert seat.git("rev-list", "--count", f"{before}..origin/env/dev") == "1"
    for path in ("charts/hello", "applications/hello.yaml"):
        assert seat.git("rev-parse", f"origin/env/dev:{path}") == seat.git(
            "rev-parse", f"{good['deployed']['commit']}:{path}"
        )
    record = json.loads(seat.symphony("show", ended.id, "--json"))
    assert (record["kind"], record["why"]) == ("rollback", "It is too loud.")
    assert list(record["undoes"]) == ["hello"]
    assert record["undoes"]["hello"].endswith(left["run"][:8])
    assert not {"provision", "build"} & record["stages"].keys()

    greeting = f"Hello, number {next(NUMBERS)}"
    stopped = seat.released(seat.say(greeting))
    assert stopped.state_name == "Held"
    assert "the tests: It is too loud." in stopped.message
    assert json.loads(seat.answer("/version"))["digest"] == digest
    assert "hello is held since" in seat.symphony("hold", "--env", "dev")

    assert "Lifted in dev: hello" in seat.symphony("lift", "hello", "--env", "dev")
    again = seat.start("release", commit="main")
    assert again.succeeded, again.message
    assert seat.answer() == greeting
