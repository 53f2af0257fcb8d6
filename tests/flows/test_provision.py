from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.context import FlowRunContext
from prefect.task_runners import ThreadPoolTaskRunner

import flows.layer
import flows.outputs
import flows.provision
from flows.provision import ProvisionError, provision_change
from symphony.change import Change
from symphony.config import Environment, load
from symphony.errors import BadInputError, StalePlanError, SymphonyError
from symphony.models import ResourceChange, UnitPlan, UnitResult
from tasks.git import git
from tasks.live import Live
from tasks.outputs import known_outputs
from tasks.units import Unit

ROOT = Path(__file__).parents[2]
DIAMOND = (
    Unit(path="bottom"),
    Unit(path="left", dependencies=("bottom",)),
    Unit(path="right", dependencies=("bottom",)),
    Unit(path="top", dependencies=("left", "right")),
    Unit(path="alone"),
)
ORDER = [unit.path for unit in DIAMOND]


@dataclass
class Account:
    """Stands for Terragrunt: what each unit's plan is, which fail, and what was done to them, in order."""

    units: Sequence[Unit] = DIAMOND
    unchanged: set[str] = field(default_factory=set)
    plan_fails: set[str] = field(default_factory=set)
    apply_fails: set[str] = field(default_factory=set)
    no_mocks: set[str] = field(default_factory=set)
    no_bucket: bool = False
    denied: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)
    stale: dict[str, list[str]] = field(default_factory=dict)
    """Hash of the plan that is drawn anew each time a unit's plan turns out to be stale."""
    hashes: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    most: int = 0
    _running: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find_units(self, live: Live) -> Sequence[Unit]:
        del live
        return self.units

    def bootstrap(self, live: Live, unit: Unit) -> None:
        del live
        time.sleep(0.2)
        if self.no_bucket:
            raise SymphonyError("AWS refused the bucket.")
        self.done.append(f"bootstrap {unit.path}")

    def plan(self, live: Live, unit: Unit) -> UnitPlan:
        del live
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
        time.sleep(0.02)
        with self._lock:
            self._running -= 1
            self.done.append(f"plan {unit.path}")
        if unit.path in self.plan_fails:
            raise SymphonyError(f"The plan of unit {unit.path} failed: no such argument.")
        if unit.path in self.unchanged:
            return UnitPlan(unit=unit.path)
        hash_ = self.hashes.get(unit.path, "1")
        return UnitPlan(unit=unit.path, changes=(ResourceChange(address="a.b", action="add"),), hash=hash_)

    def plan_provisionally(self, live: Live, unit: Unit) -> UnitPlan:
        if unit.path in self.no_mocks:
            raise SymphonyError(f"The plan of unit {unit.path} failed: no outputs.")
        return self.plan(live, unit).model_copy(update={"provisional": True})

    def check(self, live: Live, unit: Unit) -> None:
        del live
        if unit.path in self.denied:
            raise SymphonyError(f"The policy denies the plan of unit {unit.path}.")

    def apply(self, live: Live, unit: Unit, plan: UnitPlan) -> float:
        del live
        assert not plan.provisional
        if waiting := self.stale.get(unit.path):
            self.hashes[unit.path] = waiting.pop(0)
            raise StalePlanError("stale")
        self.done.append(f"apply {unit.path}")
        if unit.path in self.apply_fails:
            raise SymphonyError(f"The apply of unit {unit.path} stopped half-way: quota.")
        return 1.0

    def outputs(self, live: Live, unit: Unit) -> dict[str, str]:
        del live
        self.done.append(f"outputs {unit.path}")
        if unit.path in self.unreadable:
            raise SymphonyError(f"The state of unit {unit.path} is no JSON.")
        return {"name": f"{unit.path} {self.done.count(f'apply {unit.path}')}"}


@dataclass
class Provisioning:
    """Runs the flow's body in a flow and keeps what people would see."""

    account: Account
    tree: Path

    def change(self, environment: str = "dev", changed: tuple[str, ...] | None = None) -> Change:
        configuration = load(self.tree / "symphony.yaml")
        return Change(configuration, environment, "c" * 40, None, self.tree, self.tree, "", changed)

    def run(self, change: Change | None = None, **options: Any) -> dict[str, UnitResult]:
        results = self.outcome(change, **options)
        assert not isinstance(results, BaseException), results
        return {result.unit: result for result in results}

    def outcome(self, change: Change | None = None, **options: Any) -> Any:
        @flow(name="provision", task_runner=ThreadPoolTaskRunner(max_workers=64))  # type: ignore[arg-type]
        def body() -> Any:
            context = FlowRunContext.get()
            assert context is not None
            assert context.flow_run is not None
            self.flow_run = context.flow_run.id
            return provision_change(change or self.change(), **options)

        try:
            return body()
        except (SymphonyError, BadInputError) as error:
            return error

    def task_states(self) -> dict[str, str]:
        only = FlowRunFilter(id=FlowRunFilterId(any_=[self.flow_run]))
        deadline = time.monotonic() + 20
        with get_client(sync_client=True) as client:
            while True:
                runs = client.read_task_runs(flow_run_filter=only)
                states = {run.name: run.state_type.value if run.state_type else "" for run in runs}
                if all(state in ("COMPLETED", "FAILED") for state in states.values()) or time.monotonic() > deadline:
                    return states
                time.sleep(0.05)


@pytest.fixture
def provisioning(prefect: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Provisioning:
    del prefect
    for environment in ("dev", "prod"):
        (tmp_path / "infra" / "live" / environment).mkdir(parents=True)
    (tmp_path / "symphony.yaml").write_text((ROOT / "symphony.yaml").read_text())
    for command in (("init", "--quiet"), ("remote", "add", "origin", ".")):
        git(*command, cwd=tmp_path)
    account = Account()

    def stand_in(name: str, run_name: str, function: Callable[..., Any], module: Any = flows.layer) -> None:
        monkeypatch.setattr(module, name, task(name=name, task_run_name=run_name)(function))

    def bootstrap(target: Environment, live: Live, unit: Unit) -> None:
        del target
        account.bootstrap(live, unit)

    def plan(live: Live, unit: Unit) -> UnitPlan:
        return account.plan(live, unit)

    def plan_provisionally(live: Live, unit: Unit) -> UnitPlan:
        return account.plan_provisionally(live, unit)

    def check(live: Live, unit: Unit) -> None:
        account.check(live, unit)

    def apply(live: Live, unit: Unit, plan: UnitPlan) -> float:
        return account.apply(live, unit, plan)

    def outputs(live: Live, unit: Unit, target: Environment) -> dict[str, str]:
        del target
        return account.outputs(live, unit)

    monkeypatch.setattr(flows.provision, "find_units", account.find_units)
    stand_in("unit_outputs", "read outputs of {unit.path}", outputs, flows.outputs)
    stand_in("bootstrap_state", "bootstrap", bootstrap, flows.provision)
    stand_in("plan_provisionally", "plan {unit.path} provisionally", plan_provisionally)
    stand_in("check_plan", "check {unit.path}", check)
    stand_in("plan_unit", "plan {unit.path}", plan)
    stand_in("apply_unit", "apply {unit.path}", apply)
    return Provisioning(account, tmp_path)


def states(results: Sequence[UnitResult] | dict[str, UnitResult]) -> dict[str, str]:
    every = results.values() if isinstance(results, dict) else results
    return {result.unit: result.state for result in every}


def test_a_layer_is_planned_only_when_what_it_depends_on_is_applied(provisioning: Provisioning) -> None:
    results = provisioning.run()
    assert set(states(results).values()) == {"applied"}
    done = provisioning.account.done
    assert done[0].startswith("bootstrap")
    assert done.index("apply bottom") < done.index("plan left")
    assert max(done.index("apply left"), done.index("apply right")) < done.index("plan top")
    assert results["top"].seconds >= 1.0


def test_nothing_is_planned_where_the_bucket_of_the_state_cannot_be_made(provisioning: Provisioning) -> None:
    provisioning.account.no_bucket = True
    error = provisioning.outcome()
    assert isinstance(error, SymphonyError)
    assert "AWS refused the bucket." in str(error)
    assert provisioning.account.done == []


def test_a_unit_without_changes_is_not_applied(provisioning: Provisioning) -> None:
    provisioning.account.unchanged = set(ORDER)
    assert set(states(provisioning.run()).values()) == {"unchanged"}
    assert not [step for step in provisioning.account.done if step.startswith("apply")]


def test_a_failed_plan_holds_back_its_dependants_and_nothing_else(provisioning: Provisioning) -> None:
    provisioning.account.plan_fails = {"left"}
    error = provisioning.outcome()
    assert isinstance(error, ProvisionError)
    assert "Units of dev failed: left." in str(error)
    assert "no such argument" in str(error)
    assert "Held back: top." in str(error)
    assert states(error.results) == {
        "bottom": "applied",
        "alone": "applied",
        "left": "failed",
        "right": "applied",
        "top": "held back",
    }
    assert "depends on left, which failed" in {result.unit: result for result in error.results}["top"].reason
    assert "plan top" not in provisioning.account.done


def test_the_failing_task_is_the_only_one_that_failed(provisioning: Provisioning) -> None:
    provisioning.account.plan_fails = {"left"}
    provisioning.outcome()
    seen = provisioning.task_states()
    assert [name for name, state in seen.items() if state == "FAILED"] == ["plan left"]
    assert seen["apply right"] == "COMPLETED"


def test_a_failed_apply_holds_back_everything_above_it(provisioning: Provisioning) -> None:
    provisioning.account.apply_fails = {"bottom"}
    error = provisioning.outcome()
    assert isinstance(error, ProvisionError)
    assert states(error.results) == {
        "bottom": "failed",
        "alone": "applied",
        "left": "held back",
        "right": "held back",
        "top": "held back",
    }
    top = error.results[-1]
    assert "which is held back" in top.reason


def test_no_more_than_the_limit_run_side_by_side(provisioning: Provisioning) -> None:
    provisioning.account.units = [Unit(path=f"u{number}") for number in range(12)]
    provisioning.run()
    assert 2 <= provisioning.account.most <= 4


def test_nothing_affected_does_nothing_at_all(provisioning: Provisioning) -> None:
    assert provisioning.run(provisioning.change(changed=("apps/hello/hello.py",))) == {}
    assert provisioning.account.done == []


def test_only_affected_units_are_planned_unless_everything_is_asked_for(provisioning: Provisioning) -> None:
    change = provisioning.change(changed=("infra/live/dev/left/terragrunt.hcl",))
    assert states(provisioning.run(change)) == {"left": "applied", "top": "applied"}
    assert set(states(provisioning.run(change, everything=True))) == set(ORDER)


def test_a_protected_environment_is_planned_and_not_applied_without_approval(provisioning: Provisioning) -> None:
    error = provisioning.outcome(provisioning.change("prod"))
    assert isinstance(error, ProvisionError)
    assert "'prod' is protected" in str(error)
    assert "approved_by" in str(error)
    assert states(error.results)["bottom"] == "planned"
    assert states(error.results)["left"] == "held back"
    assert not [step for step in provisioning.account.done if step.startswith("apply")]


def test_units_to_restore_are_taken_with_what_depends_on_them_and_never_without_approval(
    provisioning: Provisioning,
) -> None:
    change = provisioning.change(changed=())
    error = provisioning.outcome(change, restore=["left"])
    assert isinstance(error, ProvisionError)
    assert states(error.results) == {"left": "planned", "top": "held back"}
    assert not [step for step in provisioning.account.done if step.startswith("apply")]
    assert states(provisioning.run(change, restore=["left"], approved_by="Ada")) == {
        "left": "applied",
        "top": "applied",
    }


def test_a_blank_approver_approves_nothing(provisioning: Provisioning) -> None:
    assert isinstance(provisioning.outcome(provisioning.change("prod"), approved_by="  "), ProvisionError)


def test_a_protected_environment_is_applied_with_approval(provisioning: Provisioning) -> None:
    results = provisioning.run(provisioning.change("prod"), approved_by="Ada")
    assert set(states(results).values()) == {"applied"}


def test_a_protected_environment_without_changes_needs_no_approval(provisioning: Provisioning) -> None:
    provisioning.account.unchanged = set(ORDER)
    assert set(states(provisioning.run(provisioning.change("prod"))).values()) == {"unchanged"}


def test_an_environment_without_a_folder_is_told(provisioning: Provisioning) -> None:
    error = provisioning.outcome(provisioning.change("staging"))
    assert isinstance(error, BadInputError)
    assert "has no folder infra/live/staging" in str(error)


def test_plan_only_applies_nothing_and_marks_what_rests_on_unapplied_changes(provisioning: Provisioning) -> None:
    results = provisioning.run(plan_only=True)
    assert set(states(results).values()) == {"planned"}
    assert not [step for step in provisioning.account.done if step.startswith("apply")]
    provisional = {unit for unit, result in results.items() if result.plan and result.plan.provisional}
    assert provisional == {"left", "right", "top"}
    assert "may differ" in results["left"].reason


def test_plan_only_plans_for_real_what_rests_on_nothing_that_changes(provisioning: Provisioning) -> None:
    provisioning.account.unchanged = {"bottom"}
    results = provisioning.run(plan_only=True)
    assert [unit for unit, result in results.items() if result.plan and result.plan.provisional] == ["top"]


def test_plan_only_says_which_unit_cannot_be_planned_before_another_is_applied(provisioning: Provisioning) -> None:
    provisioning.account.no_mocks = {"left"}
    results = provisioning.run(plan_only=True)
    assert states(results)["left"] == states(results)["top"] == "held back"
    assert "depends on bottom, not applied yet, and cannot be planned before" in results["left"].reason
    assert results["right"].state == "planned"


def test_plan_only_needs_no_approval_and_fails_where_a_plan_does(provisioning: Provisioning) -> None:
    assert states(provisioning.run(provisioning.change("prod"), plan_only=True))["alone"] == "planned"
    provisioning.account.plan_fails = {"alone"}
    assert isinstance(provisioning.outcome(plan_only=True), ProvisionError)


def test_a_plan_that_the_policy_denies_is_not_applied(provisioning: Provisioning) -> None:
    provisioning.account.denied = {"bottom"}
    error = provisioning.outcome()
    assert isinstance(error, ProvisionError)
    assert "The policy denies the plan of unit bottom" in str(error)
    assert "apply bottom" not in provisioning.account.done
    assert "apply alone" in provisioning.account.done


@pytest.mark.parametrize(("new", "told"), [("1", "the same changes"), ("2", "other changes than before")])
def test_a_stale_plan_is_made_anew_and_applied(provisioning: Provisioning, new: str, told: str) -> None:
    provisioning.account.stale = {"alone": [new]}
    result = provisioning.run()["alone"]
    assert result.state == "applied"
    assert told in result.reason
    assert provisioning.account.done.count("plan alone") == 2


def test_a_plan_that_is_stale_again_and_again_fails(provisioning: Provisioning) -> None:
    provisioning.account.stale = {"alone": ["1"] * 9}
    error = provisioning.outcome()
    assert isinstance(error, ProvisionError)
    assert states(error.results)["alone"] == "failed"
    assert provisioning.account.done.count("plan alone") == 3


def test_a_unit_is_locked_from_its_plan_to_its_apply(
    provisioning: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[list[str]] = []

    @contextlib.contextmanager
    def locked_units(environment: str, units: Sequence[str]) -> Iterator[None]:
        before = len(provisioning.account.done)
        yield
        done = [step for step in provisioning.account.done[before:] if not step.startswith("bootstrap")]
        held.append([environment, *sorted(units), *sorted(done)])

    monkeypatch.setattr(flows.layer, "locked_units", locked_units)
    provisioning.run()
    assert held[-1] == ["dev", "top", "apply top", "plan top"]
    assert held[0] == ["dev", "alone", "bottom", "apply alone", "apply bottom", "plan alone", "plan bottom"]


def test_the_summary_says_what_is_applied_what_not_and_how_to_go_on(provisioning: Provisioning) -> None:
    provisioning.account.apply_fails = {"left"}
    error = provisioning.outcome()
    assert isinstance(error, ProvisionError)
    told = flows.provision.plan_report.summary(error.results, 0, (), "symphony release cccccccccccc --env dev")
    assert "Applied: bottom, alone, right. Not applied: left, top." in told
    assert "To go on: symphony release cccccccccccc --env dev" in told


def test_outputs_are_kept_of_what_was_applied_and_read_once_of_what_was_before(provisioning: Provisioning) -> None:
    account = provisioning.account
    account.units, account.unchanged, account.apply_fails = DIAMOND[:4], {"bottom"}, {"right"}
    provisioning.outcome()
    assert known_outputs(provisioning.tree, "dev") == {"bottom": {"name": "bottom 0"}, "left": {"name": "left 1"}}
    assert known_outputs(provisioning.tree, "prod") == {}
    account.apply_fails = set()
    account.done.clear()
    provisioning.run()
    read = sorted(step for step in account.done if step.startswith("outputs"))
    assert read == ["outputs left", "outputs right", "outputs top"]
    assert list(known_outputs(provisioning.tree, "dev")) == ["bottom", "left", "right", "top"]


def test_outputs_that_cannot_be_read_and_those_of_gone_units_are_not_known(provisioning: Provisioning) -> None:
    provisioning.run()
    provisioning.account.unreadable = {"left"}
    provisioning.account.units = DIAMOND[:2]
    assert set(states(provisioning.run()).values()) == {"applied"}
    assert list(known_outputs(provisioning.tree, "dev")) == ["bottom"]


def test_a_plan_alone_reads_no_outputs(provisioning: Provisioning) -> None:
    provisioning.run(plan_only=True)
    assert known_outputs(provisioning.tree, "dev") == {}
    assert not [step for step in provisioning.account.done if step.startswith("outputs")]
