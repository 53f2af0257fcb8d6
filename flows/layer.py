"""One layer of Terragrunt units: planned side by side, checked, approved where that is asked for, applied."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prefect.futures import PrefectFuture
from prefect.tasks import Task

from symphony.change import Change
from symphony.errors import StalePlanError
from symphony.models import Approval, UnitPlan, UnitResult
from tasks.approval import APPROVAL_HOURS, ask
from tasks.live import Live
from tasks.lock import locked_units
from tasks.policy import check_plan
from tasks.retry import passing_failures
from tasks.saved_plan import Shelf, fetch_plans, remove_plans, save_plans
from tasks.terragrunt import apply_unit, plan_provisionally, plan_unit
from tasks.units import Unit

_ROUNDS = 3
"""How often a plan that went stale is made anew before the unit fails."""
NOT_APPLIED = ("failed", "held back", "planned")
"""States of what is not as the commit says."""


class SideBySide:
    """Runs one task a unit, a limited number at once, linked so that the run's graph is the units' graph."""

    def __init__(self, live: Live, limit: int, bucket: PrefectFuture[Any] | None = None) -> None:
        """At most ``limit`` tasks run at once, and none before the bucket of their state is there."""
        self.live = live
        self._bucket = bucket
        self._free = threading.Semaphore(limit)
        self._last: dict[str, PrefectFuture[Any]] = {}
        self._failures: dict[str, list[str]] = {}

    def run(self, task: Task[..., Any], units: Iterable[Unit], *rest: Callable[[Unit], object]) -> dict[str, Any]:
        """What the task returned or raised for each unit, by its path; ``rest`` gives further arguments."""
        if self._bucket:
            self._bucket.result()
        futures: dict[str, PrefectFuture[Any]] = {}
        for unit in units:
            self._free.acquire()
            # A link to what failed would hold the task back; only a stale plan's second round comes to that.
            names = (unit.path, *unit.dependencies)
            last = [self._last[name] for name in names if name in self._last]
            before = [future for future in last if future.state.is_completed()]
            more = [argument(unit) for argument in rest]
            with passing_failures(self._failures.setdefault(unit.path, [])):
                futures[unit.path] = task.submit(self.live, unit, *more, wait_for=before)
            futures[unit.path].add_done_callback(lambda _: self._free.release())
        self._last |= futures
        return {path: future.result(raise_on_failure=False) for path, future in futures.items()}

    def retries(self, path: str) -> int:
        """How often a unit's tasks failed with what can pass by itself, and were tried again or gave up."""
        return len(self._failures.get(path, ()))


@dataclass
class Layers:
    """Takes layers one after the other, and keeps what became of their units.

    Attributes:
        change: The commit being released.
        tasks: Runs the tasks.
        plan_only: Whether nothing is applied.
        must_ask: Whether changes need a person's approval that has not been given beforehand.
        approval_hours: How long to wait for it.
        shelf: Where plans wait for it; None where the run cannot wait, since it is of no deployment.
        earlier: What this run had done before it was suspended.
        blocked: Units that must not be planned, and why.
        show: Leaves what is known so far with the run, and gives the page's address.
        results: What became of each unit so far.
        plan: Task that plans a unit.
        provisional: Task that plans one whose dependencies are not applied.
    """

    change: Change
    tasks: SideBySide
    plan_only: bool = False
    must_ask: bool = False
    approval_hours: float = APPROVAL_HOURS
    shelf: Shelf | None = None
    earlier: Mapping[str, UnitResult] = field(default_factory=dict)
    blocked: Mapping[str, str] = field(default_factory=dict)
    show: Callable[[Sequence[UnitResult]], str] = lambda _: ""
    results: dict[str, UnitResult] = field(default_factory=dict)
    plan: Task[..., UnitPlan] = field(default_factory=lambda: plan_unit)
    provisional: Task[..., UnitPlan] = field(default_factory=lambda: plan_provisionally)

    def take(self, layer: Sequence[Unit]) -> None:
        """Bring a layer's units to what the commit says, or plan them alone."""
        for unit in layer:
            if held := self._held_back(unit):
                self.results[unit.path] = held
        ready = [unit for unit in layer if unit.path not in self.results]
        if self.plan_only:
            self._plan_alone(ready)
            return
        with locked_units(self.change.environment, [unit.path for unit in ready]):
            fetched = fetch_plans(self.shelf, self.tasks.live, ready) if self.shelf else {}
            self._plan([unit for unit in ready if unit.path not in fetched])
            for path, saved in fetched.items():
                self.results[path] = UnitResult(unit=path, state="planned", plan=saved.plan)
            # While a plan waits for its answer, an exception that let it through may have ended.
            self._check([unit for unit in ready if unit.path in fetched])
            files = {path: saved.file for path, saved in fetched.items()}
            wanted = self._approved([unit for unit in ready if self._state(unit) == "planned"], files)
            self._apply(wanted)

    def _plan_alone(self, units: Sequence[Unit]) -> None:
        waiting = {unit.path: [name for name in unit.dependencies if self._open(name)] for unit in units}
        self._plan([unit for unit in units if not waiting[unit.path]])
        uncertain = [unit for unit in units if waiting[unit.path]]
        self._plan(uncertain, provisional=True)
        for unit in uncertain:
            result = self.results[unit.path]
            if result.state == "failed" and result.plan is None:
                names = ", ".join(waiting[unit.path])
                said = f"It depends on {names}, not applied yet, and cannot be planned before: {result.reason}"
                self._set(unit, state="held back", reason=said)

    def _plan(self, units: Sequence[Unit], *, provisional: bool = False) -> None:
        """Plan units side by side, and check what they would change against the policy."""
        plans = self.tasks.run(self.provisional if provisional else self.plan, units)
        for unit in units:
            self.results[unit.path] = self._planned(unit, plans[unit.path])
        self._check([unit for unit in units if self._state(unit) == "planned" and not self._plan_of(unit).empty])
        self._count_retries(units)

    def _check(self, drawn: Sequence[Unit]) -> None:
        """Ask the policy about plans that change something; what it denies has failed."""
        checks = self.tasks.run(check_plan, drawn)
        for unit in drawn:
            if isinstance(checks[unit.path], BaseException):
                self._set(unit, state="failed", reason=str(checks[unit.path]))

    def _planned(self, unit: Unit, outcome: UnitPlan | BaseException) -> UnitResult:
        if isinstance(outcome, BaseException):
            return UnitResult(unit=unit.path, state="failed", reason=str(outcome))
        done = self.earlier.get(unit.path)
        if outcome.empty and done and done.state == "applied":
            return done
        if outcome.empty and not outcome.provisional:
            return UnitResult(unit=unit.path, state="unchanged", plan=outcome, seconds=outcome.seconds)
        reason = (
            "Its dependencies are not applied yet: what it really changes may differ." if outcome.provisional else ""
        )
        return UnitResult(unit=unit.path, state="planned", plan=outcome, reason=reason, seconds=outcome.seconds)

    def _approved(self, units: Sequence[Unit], files: Mapping[str, str]) -> list[Unit]:
        """Those whose plans may be applied; suspends the run where a person has to say so first."""
        if not units or not self.must_ask:
            return list(units)
        if self.shelf is None:
            for unit in units:
                self._set(unit, reason="The environment is protected and nobody has approved the plan.")
            return []
        plans = {unit.path: self._plan_of(unit) for unit in units}
        fresh = [unit for unit in units if unit.path not in files]
        page = ""
        if fresh:
            page = self.show(tuple(self.results.values()))
            before = [result for result in {**self.earlier, **self.results}.values() if result.state == "applied"]
            files = {**files, **save_plans(self.shelf, self.tasks.live, fresh, plans, before)}
        approval = ask(self.change, plans, files, page=page, hours=self.approval_hours)
        for unit in units:
            self._set(unit, approval=approval)
        if approval.decision == "approve":
            return list(units)
        for unit in units:
            self._set(unit, reason=refused(approval))
        return []

    def _apply(self, wanted: Sequence[Unit]) -> None:
        """Apply saved plans; what went stale is planned anew, and applied where that says the same."""
        for round_ in range(_ROUNDS):
            outcomes = self.tasks.run(apply_unit, wanted, self._plan_of)
            last = round_ == _ROUNDS - 1
            stale = [unit for unit in wanted if isinstance(outcomes[unit.path], StalePlanError) and not last]
            done = [unit for unit in wanted if unit not in stale]
            for unit in done:
                self._applied(unit, outcomes[unit.path])
            self._count_retries(done)
            if self.shelf and done:
                remove_plans(self.shelf, done)
            wanted = self._renewed(stale)
            if not wanted:
                return

    def _renewed(self, stale: Sequence[Unit]) -> list[Unit]:
        """Plan stale units anew; those that may be applied now."""
        if not stale:
            return []
        before = {unit.path: self.results[unit.path] for unit in stale}
        self._plan(stale)
        same: list[Unit] = []
        other: list[Unit] = []
        for unit in stale:
            if self._state(unit) != "planned":
                continue
            was = before[unit.path]
            equal = was.plan is not None and was.plan.hash == self._plan_of(unit).hash
            (same if equal else other).append(unit)
            told = "the same changes" if equal else "other changes than before"
            reason = f"Its state had moved since the plan; planned again, it had {told}."
            self._set(unit, reason=reason, approval=was.approval if equal else None)
        return [*same, *self._approved(other, {})]

    def _applied(self, unit: Unit, outcome: float | BaseException) -> None:
        if isinstance(outcome, BaseException):
            self._set(unit, state="failed", reason=str(outcome))
        else:
            self._set(unit, state="applied", seconds=round(self.results[unit.path].seconds + outcome, 3))

    def _count_retries(self, units: Sequence[Unit]) -> None:
        """Let results tell how often tasks were tried again, also before the run was suspended."""
        for unit in units:
            before = self.earlier.get(unit.path)
            self._set(unit, retries=(before.retries if before else 0) + self.tasks.retries(unit.path))

    def _held_back(self, unit: Unit) -> UnitResult | None:
        if reason := self.blocked.get(unit.path):
            return UnitResult(unit=unit.path, state="held back" if self.plan_only else "failed", reason=reason)
        for name in unit.dependencies:
            state = self.results[name].state if name in self.results else "unchanged"
            if state not in NOT_APPLIED or (state == "planned" and self.plan_only):
                continue
            what = {"planned": "is not approved", "failed": "failed"}.get(state, "is held back")
            return UnitResult(unit=unit.path, state="held back", reason=f"It depends on {name}, which {what}.")
        return None

    def _open(self, name: str) -> bool:
        """Whether a unit has changes that are not applied."""
        return name in self.results and self.results[name].state == "planned"

    def _state(self, unit: Unit) -> str:
        return self.results[unit.path].state

    def _plan_of(self, unit: Unit) -> UnitPlan:
        return self.results[unit.path].plan or UnitPlan(unit=unit.path)

    def _set(self, unit: Unit, **facts: object) -> None:
        self.results[unit.path] = self.results[unit.path].model_copy(update=facts)


def refused(approval: Approval) -> str:
    """A refusal as a sentence."""
    return f"{approval.approver} refused the plan{f': {approval.reason}' if approval.reason else '.'}"
