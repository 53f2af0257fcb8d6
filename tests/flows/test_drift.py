from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prefect import task
from prefect.states import State

from flows import drift as module
from symphony.drift import Finding
from symphony.errors import SymphonyError
from tasks.findings import read_findings
from tasks.git import fetch
from tasks.reconcile import Reconcile
from tasks.units import Unit

if TYPE_CHECKING:
    from tests.conftest import Delivery

UNITS = (Unit(path="network"), Unit(path="access", dependencies=("network",)))


class World:
    """What each look finds, or how it fails."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.units: dict[str, tuple[Finding, ...] | Exception] = {}
        self.cluster: tuple[Finding, ...] | Exception = ()
        self.images: tuple[Finding, ...] | Exception = ()
        self.pages: list[str] = []

    def look(self) -> State[Any]:
        state: State[Any] = module.drift("dev", return_state=True)  # type: ignore[call-overload]
        return state

    def standing(self) -> set[str]:
        return {one.identity for one in read_findings(fetch(f"file://{self.delivery.remote}"), "dev")}


def given(found: tuple[Finding, ...] | Exception) -> tuple[Finding, ...]:
    if isinstance(found, Exception):
        raise found
    return found


@pytest.fixture
def world(delivery: Delivery, monkeypatch: pytest.MonkeyPatch, prefect: None) -> World:
    del prefect
    made = World(delivery)

    def page(_key: str, text: str, _description: str = "") -> str:
        made.pages.append(text)
        return ""

    monkeypatch.setenv("SYMPHONY_CONFIG", str(delivery.copy / "symphony.yaml"))
    monkeypatch.setattr(module, "live_of", lambda _: None)
    monkeypatch.setattr(module, "find_units", lambda _: UNITS)
    monkeypatch.setattr(module, "look_at_unit", task(lambda _, unit, __: given(made.units.get(unit.path, ()))))
    monkeypatch.setattr(module, "look_at_cluster", task(lambda *_: given(made.cluster)))
    monkeypatch.setattr(module, "look_at_images", task(lambda *_: given(made.images)))
    monkeypatch.setattr(module, "look_at_access", task(lambda *_: ()))
    monkeypatch.setattr(module, "markdown", page)
    return made


def moved(where: str, what: str, told: str = "x: is 1, the commit has 2\ny: is 1, the commit has 2") -> Finding:
    return Finding(area="infrastructure", kind="drift", where=where, what=what, told=told)


STRAY = Finding(area="cluster", kind="stray", where="dev", what="Pod/debug", told="it belongs to no application")


def test_an_environment_that_has_not_moved_is_told_in_one_line(world: World) -> None:
    state = world.look()
    assert state.name == "Completed"
    assert world.pages == ["Nothing of dev has moved."]


def test_what_has_moved_is_news_once_stands_then_and_is_cleared(world: World) -> None:
    world.units["network"] = (moved("network", "aws_vpc.this"),)
    world.cluster = (STRAY,)
    state = world.look()
    assert (state.name, state.message) == ("Drift", "2 findings in dev (2 new, 0 cleared).")
    assert "y: is 1, the commit has 2" in world.pages[0]
    assert world.pages[0].count("**new**") == 2
    assert world.look().message == "2 findings in dev (0 new, 0 cleared)."
    assert "**new**" not in world.pages[1]
    world.cluster = ()
    assert world.look().message == "1 finding in dev (0 new, 1 cleared)."
    assert "Cleared:\n\n- dev: Pod/debug, stood since " in world.pages[2]


def test_the_page_links_the_runs_that_put_back_what_moved(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    file = world.delivery.copy / "symphony.yaml"
    place = "  dev: &dev\n"
    text = file.read_text()
    assert place in text
    world.delivery.commit("symphony.yaml", text.replace(place, f"{place}    reconcile: [infrastructure]\n"))
    run = Reconcile(flow="provision", where=("network",), name="provision", state="Suspended", link="http://ui/run")
    monkeypatch.setattr(module, "can_ask", lambda: True)
    monkeypatch.setattr(module, "reconcile", lambda _change, standing: (run,) if standing else ())
    world.units["network"] = (moved("network", "aws_vpc.this"),)
    world.look()
    told = "provision of network puts back what moved: [provision](http://ui/run): it waits for an answer"
    assert told in world.pages[0]


def test_a_unit_that_cannot_be_looked_at_is_unknown_and_what_stood_there_stands_still(world: World) -> None:
    world.units["access"] = (moved("access", "aws_iam_role.pull"),)
    world.look()
    world.units["access"] = SymphonyError("The plan of unit access failed: no such argument.")
    state = world.look()
    assert state.name == "Drift"
    assert world.standing() == {
        "infrastructure/drift/access/aws_iam_role.pull",
        "infrastructure/unknown/access/look",
    }
    assert "no such argument" in world.pages[1]
    world.units["access"] = ()
    assert world.look().message == "Nothing of dev has moved."
    assert world.standing() == set()


def test_a_cluster_out_of_reach_leaves_the_units_told(world: World) -> None:
    world.cluster, world.images = (STRAY,), SymphonyError("ECR refused.")
    world.look()
    world.cluster, world.images = SymphonyError("The cluster is away."), ()
    world.units["network"] = (moved("network", "aws_vpc.this"),)
    world.look()
    assert world.standing() == {
        "cluster/stray/dev/Pod/debug",
        "cluster/unknown/dev/look",
        "infrastructure/drift/network/aws_vpc.this",
    }
