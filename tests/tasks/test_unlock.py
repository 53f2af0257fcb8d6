from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Self

import pytest

from symphony.errors import BadInputError, SymphonyError
from tasks import unlock
from tasks.holder import Holder
from tasks.state_file import StateFile, StateLock
from tasks.units import Unit

FILE = StateFile(bucket="b", key="dev/network/terraform.tfstate")
OLD = StateFile(bucket="b", key="dev/old/place/terraform.tfstate")
OTHERS = StateFile(bucket="b", key="dev/network/other.tfstate")
LOCK = StateLock(identity="1", who="root@here", created="2026-11-25", operation="OperationTypeApply")
CHANGE: Any = SimpleNamespace(environment="dev", target=None)


@pytest.fixture
def freed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    done: list[object] = []
    live = SimpleNamespace(prefix="infra/live/dev")
    monkeypatch.setattr(unlock, "live_of", lambda _: live)
    monkeypatch.setattr(unlock, "find_units", lambda _: (Unit(path="network"), Unit(path="free")))
    places = {"network": FILE, "free": FILE.model_copy(update={"key": "dev/free/terraform.tfstate"})}
    monkeypatch.setattr(unlock, "state_file", lambda _, unit: places[unit])
    lock(monkeypatch, FILE)
    monkeypatch.setattr(unlock, "holder_of", lambda *_: None)
    monkeypatch.setattr(unlock, "get_client", lambda **_: SimpleClient())
    monkeypatch.setattr(unlock, "remove_lock", lambda *args: done.append(args[-1]))
    monkeypatch.setattr(unlock, "free", lambda _, name: done.append(name))
    return done


def lock(monkeypatch: pytest.MonkeyPatch, *states: StateFile) -> None:
    monkeypatch.setattr(unlock, "read_lock", lambda _, state: LOCK if state in states else None)
    monkeypatch.setattr(
        unlock, "locked_states", lambda _, bucket, prefix: [*states] if (bucket, prefix) == ("b", "dev/") else []
    )


class SimpleClient:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.usefixtures("freed")
def test_only_units_that_are_held_are_listed_with_who_holds_them() -> None:
    (held,) = unlock.held_units(CHANGE)
    assert (held.unit, held.alive) == ("network", False)
    assert "no run holds it" in held.lines()[0]
    assert "root@here since 2026-11-25 for OperationTypeApply (lock 1)" in held.lines()[1]


@pytest.mark.usefixtures("freed")
def test_a_unit_that_does_not_exist_is_told() -> None:
    with pytest.raises(BadInputError, match="no unit 'nowhere'; there are: network, free"):
        unlock.held_units(CHANGE, "nowhere")


@pytest.mark.usefixtures("freed")
def test_what_is_locked_of_a_unit_that_is_no_longer_in_the_tree_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    lock(monkeypatch, FILE, OLD, OTHERS)
    assert [(held.unit, held.state) for held in unlock.held_units(CHANGE)] == [("network", FILE), ("old/place", OLD)]
    (held,) = unlock.held_units(CHANGE, "old/place")
    assert (held.state, held.lock) == (OLD, LOCK)


def test_a_dead_holders_locks_are_freed_both(freed: list[object]) -> None:
    dead = Holder("unit-dev-network", "r", "provision → dev", "Crashed", alive=False)
    unlock.unlock(CHANGE, unlock.HeldUnit("network", FILE, dead, LOCK))
    assert freed == [LOCK, "unit-dev-network"]


def test_what_a_run_holds_that_has_not_ended_is_left_alone(freed: list[object]) -> None:
    alive = Holder("unit-dev-network", "r", "provision → dev", "Running", alive=True)
    with pytest.raises(SymphonyError, match=r"'provision → dev' .Running, r.. Cancel that run in Prefect first"):
        unlock.unlock(CHANGE, unlock.HeldUnit("network", FILE, alive, LOCK))
    assert freed == []
