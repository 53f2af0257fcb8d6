"""Approval within a layer, without Prefect: what is asked, when, and what an answer lets through."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.exceptions import Pause

from flows import layer
from flows.layer import Layers
from symphony.change import Change
from symphony.errors import StalePlanError, TransientError
from symphony.models import Approval, ResourceChange, UnitPlan, UnitResult
from tasks.policy import PolicyError
from tasks.saved_plan import SavedPlan
from tasks.units import Unit

COMMIT = "c" * 40
CONFIGURATION: Any = None
NETWORK, ACCESS = Unit(path="network"), Unit(path="access", dependencies=("network",))


def plan_of(unit: str, hash_: str = "1") -> UnitPlan:
    return UnitPlan(unit=unit, changes=(ResourceChange(address="a.b", action="add"),), hash=hash_)


class Environment:
    """A protected environment, and a run of it that may be suspended and started again."""

    def __init__(self) -> None:
        self.plans: dict[str, UnitPlan] = {"network": plan_of("network"), "access": plan_of("access")}
        self.answers: dict[str, str] = {}
        self.kept: dict[str, SavedPlan] = {}
        self.progress: dict[str, UnitResult] = {}
        self.stale: set[str] = set()
        self.denied: set[str] = set()
        self.blocked: dict[str, str] = {}
        self.done: list[str] = []
        self.held = False

    def run(self, task: Any, units: Iterable[Unit], *rest: Callable[[Unit], object]) -> dict[str, Any]:
        assert self.held
        outcomes: dict[str, Any] = {}
        for unit in units:
            try:
                outcomes[unit.path] = task(unit, *(more(unit) for more in rest))
            except (StalePlanError, TransientError, PolicyError) as error:
                outcomes[unit.path] = error
        return outcomes

    def plan(self, unit: Unit) -> UnitPlan:
        self.done.append(f"plan {unit.path}")
        return self.plans[unit.path]

    def check(self, unit: Unit) -> tuple[()]:
        if unit.path in self.denied:
            raise PolicyError(unit.path, [])
        return ()

    def apply(self, unit: Unit, plan: UnitPlan) -> float:
        if unit.path in self.stale:
            self.stale.remove(unit.path)
            raise StalePlanError("stale")
        self.done.append(f"apply {unit.path} {plan.hash}")
        self.plans[unit.path] = UnitPlan(unit=unit.path)
        return 1.0

    def ask(self, change: Change, plans: Mapping[str, UnitPlan], files: Mapping[str, str], **_: Any) -> Approval:
        assert set(files) == set(plans)
        hashes = {unit: plan.hash for unit, plan in plans.items()}
        key = f"{hashes} {dict(files)}"
        self.done.append("ask")
        if key not in self.answers:
            self.answers[key] = ""
        if not self.answers[key]:
            raise Pause
        return Approval(approver="Ada", decision=self.answers[key], at="now", commit=change.commit, plans=hashes)  # type: ignore[arg-type]

    def answer(self, decision: str) -> None:
        """Answer the question that the run waits with."""
        self.answers = {key: given or decision for key, given in self.answers.items()}

    def save(self, _shelf: Any, _live: Any, units: Sequence[Unit], plans: Any, before: Any) -> dict[str, str]:
        for unit in units:
            file = f"file of {plans[unit.path].hash}"
            self.kept[unit.path] = SavedPlan(commit=COMMIT, plan=plans[unit.path], file=file, shown="")
        self.progress = {result.unit: result for result in before}
        return {unit.path: self.kept[unit.path].file for unit in units}

    def fetch(self, _shelf: Any, _live: Any, units: Iterable[Unit]) -> dict[str, SavedPlan]:
        return {unit.path: self.kept[unit.path] for unit in units if unit.path in self.kept}

    def remove(self, _shelf: Any, units: Iterable[Unit]) -> None:
        for unit in units:
            self.kept.pop(unit.path, None)

    @contextlib.contextmanager
    def locked(self, _environment: str, _units: Any) -> Iterator[None]:
        self.held = True
        try:
            yield
        finally:
            self.held = False

    def start(self, *, deployment: bool = True) -> dict[str, UnitResult] | None:
        """From the top; None where the run is suspended."""
        change = Change(CONFIGURATION, "prod", COMMIT, None, Path(), Path(), "run", None)
        tasks: Any = SimpleNamespace(run=self.run, live=None, retries=lambda _: 0)
        shelf: Any = object() if deployment else None
        taken = Layers(
            change,
            tasks,
            must_ask=True,
            shelf=shelf,
            earlier=self.progress,
            blocked=self.blocked,
            plan=self.plan,  # type: ignore[arg-type]
        )
        try:
            for units in ([NETWORK], [ACCESS]):
                taken.take(units)
        except Pause:
            assert not self.held
            return None
        return taken.results


@pytest.fixture
def prod(monkeypatch: pytest.MonkeyPatch) -> Environment:
    made = Environment()
    fakes = {"apply_unit": made.apply, "ask": made.ask, "save_plans": made.save, "fetch_plans": made.fetch}
    for name, fake in {**fakes, "remove_plans": made.remove, "locked_units": made.locked}.items():
        monkeypatch.setattr(layer, name, fake)
    monkeypatch.setattr(layer, "check_plan", made.check)
    return made


def test_each_layer_waits_for_its_answer_and_the_approved_plan_is_applied(prod: Environment) -> None:
    assert prod.start() is None
    prod.answer("approve")
    assert prod.start() is None
    assert prod.done == ["plan network", "ask", "ask", "apply network 1", "plan access", "ask"]
    prod.answer("approve")
    results = prod.start()
    assert results is not None
    assert {unit: result.state for unit, result in results.items()} == {"network": "applied", "access": "applied"}
    assert results["network"].approval is not None
    assert results["access"].approval is not None
    assert results["access"].approval.approver == "Ada"
    assert prod.kept == {}


def test_a_run_that_is_started_again_without_an_answer_waits_on(prod: Environment) -> None:
    assert prod.start() is None
    assert prod.start() is None
    assert not [step for step in prod.done if step.startswith("apply")]


def test_a_refusal_applies_nothing_and_holds_back_what_depends_on_it(prod: Environment) -> None:
    prod.start()
    prod.answer("refuse")
    results = prod.start()
    assert results is not None
    assert {unit: result.state for unit, result in results.items()} == {"network": "planned", "access": "held back"}
    assert results["network"].reason == "Ada refused the plan."
    assert results["access"].reason == "It depends on network, which is not approved."
    assert not [step for step in prod.done if step.startswith("apply")]


def test_an_approved_plan_that_the_policy_denies_by_now_is_not_applied(prod: Environment) -> None:
    prod.start()
    prod.answer("approve")
    prod.denied = {"network"}
    results = prod.start()
    assert results is not None
    assert results["network"].state == "failed"
    assert "The policy denies the plan of unit network" in results["network"].reason
    assert not [step for step in prod.done if step.startswith("apply")]


def test_an_approved_plan_that_went_stale_is_applied_where_it_is_the_same_again(prod: Environment) -> None:
    prod.start()
    prod.answer("approve")
    prod.stale = {"network"}
    prod.start()
    assert prod.done[-5:] == ["ask", "plan network", "apply network 1", "plan access", "ask"]


def test_an_approved_plan_that_went_stale_is_asked_about_again_where_it_differs(prod: Environment) -> None:
    prod.start()
    prod.answer("approve")
    prod.stale, prod.plans["network"] = {"network"}, plan_of("network", "2")
    assert prod.start() is None
    assert not [step for step in prod.done if step.startswith("apply")]
    prod.answer("approve")
    prod.start()
    assert "apply network 2" in prod.done
    assert "apply network 1" not in prod.done


def test_a_unit_that_must_not_be_planned_holds_back_what_depends_on_it(prod: Environment) -> None:
    prod.blocked = {"network": "It moved."}
    results = prod.start()
    assert results is not None
    assert (results["network"].state, results["network"].reason) == ("failed", "It moved.")
    assert results["access"].state == "held back"
    assert prod.done == []


def test_a_run_of_no_deployment_only_plans(prod: Environment) -> None:
    results = prod.start(deployment=False)
    assert results is not None
    assert results["network"].state == "planned"
    assert "nobody has approved" in results["network"].reason
    assert "ask" not in prod.done
