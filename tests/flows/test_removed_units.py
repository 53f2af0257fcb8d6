from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task

import flows.layer
import flows.removed_units
from flows.layer import Layers, SideBySide
from flows.removed_units import check_destroyable, destroy_units, tell_removed
from symphony.change import Change
from symphony.config import load
from symphony.errors import BadInputError, SymphonyError
from symphony.models import ResourceChange, UnitPlan, UnitResult
from tasks.live import Live
from tasks.unit_removal import UnitRemoval
from tasks.units import Unit

ROOT = Path(__file__).parents[2]
# Turned round: the service needed the database at the base, and what still stands needed the queue.
GONE = (
    Unit(path="database", dependencies=("service",)),
    Unit(path="service"),
    Unit(path="queue", dependencies=("api",)),
)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the stand-ins of Terragrunt and the policy did, by step, unit and checkout."""
    steps: list[str] = []

    def plan(live: Live, unit: Unit) -> UnitPlan:
        steps.append(f"plan {unit.path} in {live.tree.name}")
        change = ResourceChange(address="a.b", action="destroy")
        return UnitPlan(unit=unit.path, changes=() if unit.path == "empty" else (change,), hash="1")

    def check(live: Live, unit: Unit) -> None:
        if unit.path == "stateful":
            raise SymphonyError(f"The policy denies the plan of unit {unit.path} in {live.environment}.")

    def apply(live: Live, unit: Unit, plan: UnitPlan) -> float:
        assert plan.count("destroy")
        steps.append(f"apply {unit.path} in {live.tree.name}")
        return 1.0

    for module, name, function in (
        (flows.removed_units, "plan_destruction", plan),
        (flows.layer, "check_plan", check),
        (flows.layer, "apply_unit", apply),
    ):
        monkeypatch.setattr(module, name, task(name=name)(function))
    return steps


def destroy(tmp_path: Path, units: tuple[Unit, ...], **options: Any) -> dict[str, UnitResult]:
    before = {"api": UnitResult(unit="api", state=options.pop("api", "applied"))}
    change = Change(load(ROOT / "symphony.yaml"), "dev", "c" * 40, None, tmp_path, tmp_path, "", ())
    live = Live(tmp_path / "base", "infra/live", "dev")

    @flow(name="provision")
    def body() -> list[UnitResult]:
        taken = Layers(change, SideBySide(Live(tmp_path / "now", "infra/live", "dev"), 2), results=before, **options)
        return list(destroy_units(taken, UnitRemoval(live, units, {}), 2))

    return {result.unit: result for result in body()}


@pytest.mark.usefixtures("prefect")
def test_removed_units_are_destroyed_as_the_base_had_them_dependants_first(tmp_path: Path, done: list[str]) -> None:
    results = destroy(tmp_path, GONE)
    assert {result.state for result in results.values()} == {"destroyed"}
    assert done.index("apply service in base") < done.index("plan database in base")
    assert [step for step in done if not step.endswith("in base")] == []


@pytest.mark.usefixtures("prefect")
def test_what_could_not_let_go_of_a_unit_holds_its_destruction_back(tmp_path: Path, done: list[str]) -> None:
    results = destroy(tmp_path, GONE, api="failed")
    assert results["queue"].state == "held back"
    assert results["queue"].reason == "It was needed by api, which failed."
    assert results["database"].state == "destroyed"
    assert "plan queue in base" not in done


@pytest.mark.usefixtures("prefect")
def test_a_plan_alone_destroys_nothing(tmp_path: Path, done: list[str]) -> None:
    results = destroy(tmp_path, GONE[:2], plan_only=True)
    assert {result.state for result in results.values()} == {"planned"}
    assert not [step for step in done if step.startswith("apply")]


@pytest.mark.usefixtures("prefect")
def test_the_policy_is_asked_about_destruction_too(tmp_path: Path, done: list[str]) -> None:
    results = destroy(tmp_path, (Unit(path="stateful"), Unit(path="empty")))
    assert (results["stateful"].state, results["empty"].state) == ("failed", "unchanged")
    assert "nothing of it exists" in results["empty"].reason
    assert not [step for step in done if step.startswith("apply")]


def test_without_being_asked_removed_units_are_only_told() -> None:
    told = tell_removed(UnitRemoval(None, GONE[:2], {"service": "shop"}))
    assert [(one.unit, one.state) for one in told] == [
        ("database", "removed, not destroyed"),
        ("service", "removed, not destroyed"),
    ]
    assert told[1].reason.startswith("Moved to shop.")


def test_what_nobody_can_read_any_more_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="database, service cannot be destroyed"):
        check_destroyable(UnitRemoval(None, GONE[:2], {}))
    check_destroyable(UnitRemoval(None, (), {}))
    check_destroyable(UnitRemoval(Live(tmp_path, "infra/live", "dev"), GONE, {}))
