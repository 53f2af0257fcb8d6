from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from symphony.errors import SymphonyError
from symphony.record import Hold
from tasks.holds import BRANCH, held, lift_holds, place_holds, read_holds
from tasks.publish import publish

if TYPE_CHECKING:
    from tests.conftest import Delivery


def hold(application: str, environment: str = "dev", why: str = "It is slow.") -> Hold:
    return Hold(environment=environment, application=application, who="Ada", why=why, since="2026-01-01")


def test_holds_are_placed_replaced_and_lifted(delivery: Delivery) -> None:
    change = delivery.change()
    assert read_holds(change.mirror, "dev") == {}
    assert lift_holds.fn(change.mirror, "dev", (), "Ada") == ()
    place_holds.fn(change.mirror, "dev", [hold("one"), hold("two")])
    place_holds.fn(change.mirror, "prod", [hold("one", "prod")])
    place_holds.fn(change.mirror, "dev", [hold("one", why="It is wrong.")])
    assert read_holds(change.mirror, "dev")["one"].why == "It is wrong."
    assert held(change, ["one", "three"]) == {"one": "held since 2026-01-01 by Ada: It is wrong."}
    assert lift_holds.fn(change.mirror, "dev", ["one", "three"], "Ada") == ("one",)
    assert list(read_holds(change.mirror, "dev")) == ["two"]
    assert lift_holds.fn(change.mirror, "dev", (), "Ada") == ("two",)
    assert list(read_holds(change.mirror, "prod")) == ["one"]


def test_a_hold_that_somebody_else_wrote_is_told(delivery: Delivery) -> None:
    mirror = delivery.change().mirror
    publish(mirror, BRANCH, lambda index: index.put("dev/one.json", "{}"), "wrong")
    with pytest.raises(SymphonyError, match="not what Symphony writes"):
        read_holds(mirror, "dev")
