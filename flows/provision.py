"""The flow ``provision``: the Terragrunt units that a change touches, planned and applied layer by layer."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import Task
from pydantic import Field

from flows.names import run_name
from symphony.change import Change
from symphony.config import Name
from symphony.errors import SymphonyError
from symphony.models import UnitPlan, UnitResult
from tasks import plan_report
from tasks.artifacts import key_of, markdown, table
from tasks.change import open_change
from tasks.live import Live, live_of
from tasks.policy import check_plan
from tasks.terragrunt import apply_unit, bootstrap_state, plan_unit
from tasks.units import Unit, affected, find_units, layers, removed


class ProvisionError(SymphonyError):
    """Units failed or wait for approval, after all that could be done was done.

    Attributes:
        results: What became of every affected unit.
    """

    def __init__(self, message: str, results: Sequence[UnitResult]) -> None:
        """Keep the results, so that a release's record tells what was applied all the same."""
        self.results = tuple(results)
        super().__init__(message)


@flow(name="provision", flow_run_name=run_name("provision"), task_runner=ThreadPoolTaskRunner(max_workers=64))  # type: ignore[arg-type]
def provision(
    environment: Name,
    commit: str = "main",
    everything: bool = False,  # noqa: FBT001, FBT002 - a checkbox of the run form
    approved_by: Annotated[str, Field(max_length=200)] = "",
) -> tuple[UnitResult, ...]:
    """Plan and apply the infrastructure that changed since the environment's last release.

    Args:
        environment: Environment of symphony.yaml.
        commit: Branch, tag or commit id whose infrastructure is wanted.
        everything: Plan every unit, not only those that changed.
        approved_by: Who approved the changes; a protected environment is only planned without it.
    """
    with open_change(environment, commit) as change:
        return provision_change(change, everything=everything, approved_by=approved_by)


def provision_change(change: Change, *, everything: bool = False, approved_by: str = "") -> tuple[UnitResult, ...]:
    """Bring the units that a change touches to what its commit says.

    A layer is planned when what it depends on is applied, so that plans rest on real outputs. A unit that fails holds
    back those that depend on it; all others go on.

    Args:
        change: The commit being released.
        everything: Take every unit.
        approved_by: Who approved changes to a protected environment.

    Returns:
        What became of each affected unit, in the order of the layers.

    Raises:
        BadInputError: The units cannot be read.
        ProvisionError: A unit failed, or changes to a protected environment are not approved; raised after all that
            could be done was done.
    """
    live = live_of(change)
    units = find_units(live)
    whole = everything or change.changed is None
    chosen = units if whole else affected(live, units, change.changed or ())
    gone = removed(live, units, change.changed or ())
    results: dict[str, UnitResult] = {}
    if chosen:
        # The first unit depends on no other, so that this reads nobody's outputs.
        bootstrap_state(live, units[0])
    may_apply = bool(approved_by.strip()) or not change.target.protected
    side_by_side = SideBySide(live, change.configuration.infrastructure.parallelism)
    for layer in layers(chosen):
        results |= _layer(side_by_side, layer, results, may_apply=may_apply)
    _report(change, tuple(results.values()), len(units) - len(chosen), gone)
    _raise_for(change, tuple(results.values()))
    return tuple(results.values())


class SideBySide:
    """Runs one task a unit, a limited number at once, linked so that the run's graph is the units' graph."""

    def __init__(self, live: Live, limit: int) -> None:
        """At most ``limit`` tasks run at once."""
        self._live = live
        self._free = threading.Semaphore(limit)
        self._last: dict[str, PrefectFuture[Any]] = {}

    def run(self, task: Task[..., Any], units: Iterable[Unit]) -> dict[str, Any]:
        """What the task returned or raised for each unit, by its path."""
        futures: dict[str, PrefectFuture[Any]] = {}
        for unit in units:
            self._free.acquire()
            before = [self._last[name] for name in (unit.path, *unit.dependencies) if name in self._last]
            futures[unit.path] = task.submit(self._live, unit, wait_for=before)
            futures[unit.path].add_done_callback(lambda _: self._free.release())
        self._last |= futures
        return {path: future.result(raise_on_failure=False) for path, future in futures.items()}


def _layer(
    side_by_side: SideBySide, layer: Sequence[Unit], before: dict[str, UnitResult], *, may_apply: bool
) -> dict[str, UnitResult]:
    """Plan a layer side by side, check the plans against the policy, then apply what has changes and may be."""
    results = {unit.path: held for unit in layer if (held := _held_back(unit, before))}
    ready = [unit for unit in layer if unit.path not in results]
    plans = side_by_side.run(plan_unit, ready)
    results |= {unit.path: _planned(unit, plans[unit.path], may_apply=may_apply) for unit in ready}
    drawn = [unit for unit in ready if results[unit.path].state == "planned"]
    checks = side_by_side.run(check_plan, drawn)
    results |= {unit.path: _checked(results[unit.path], checks[unit.path]) for unit in drawn}
    wanted = [unit for unit in ready if results[unit.path].state == "planned" and may_apply]
    applied = side_by_side.run(apply_unit, wanted)
    for unit in wanted:
        results[unit.path] = _applied(results[unit.path], applied[unit.path])
    return {unit.path: results[unit.path] for unit in layer}


def _held_back(unit: Unit, before: dict[str, UnitResult]) -> UnitResult | None:
    for name in unit.dependencies:
        state = before[name].state if name in before else "unchanged"
        if state in ("failed", "held back", "planned"):
            what = "waits for approval" if state == "planned" else "failed" if state == "failed" else "is held back"
            return UnitResult(unit=unit.path, state="held back", reason=f"It depends on {name}, which {what}.")
    return None


def _planned(unit: Unit, outcome: UnitPlan | BaseException, *, may_apply: bool) -> UnitResult:
    if isinstance(outcome, BaseException):
        return UnitResult(unit=unit.path, state="failed", reason=str(outcome))
    if outcome.empty:
        return UnitResult(unit=unit.path, state="unchanged", plan=outcome, seconds=outcome.seconds)
    reason = "" if may_apply else "The environment is protected and nobody has approved the plan."
    return UnitResult(unit=unit.path, state="planned", plan=outcome, reason=reason, seconds=outcome.seconds)


def _checked(result: UnitResult, outcome: object) -> UnitResult:
    if isinstance(outcome, BaseException):
        return result.model_copy(update={"state": "failed", "reason": str(outcome)})
    return result


def _applied(result: UnitResult, outcome: float | BaseException) -> UnitResult:
    if isinstance(outcome, BaseException):
        return result.model_copy(update={"state": "failed", "reason": str(outcome)})
    return result.model_copy(update={"state": "applied", "seconds": round(result.seconds + outcome, 3)})


def _report(change: Change, results: Sequence[UnitResult], unaffected: int, gone: Sequence[str]) -> None:
    summary = plan_report.summary(results, unaffected, gone)
    get_run_logger().info("Infrastructure of %s: %s", change.environment, summary)
    title = f"Infrastructure of {change.environment} at {change.commit[:12]}"
    table(key_of("units", change.environment), title, plan_report.rows(results), summary)
    if results:
        markdown(key_of("plans", change.environment), plan_report.page(title, results, unaffected, gone), title)


def _raise_for(change: Change, results: Sequence[UnitResult]) -> None:
    by_state: dict[str, list[UnitResult]] = {}
    for result in results:
        by_state.setdefault(result.state, []).append(result)
    held = ", ".join(result.unit for result in by_state.get("held back", ()))
    waiting = f" Held back: {held}." if held else ""
    if failed := by_state.get("failed"):
        names = ", ".join(result.unit for result in failed)
        reasons = " ".join(result.reason for result in failed)
        raise ProvisionError(f"Units of {change.environment} failed: {names}. {reasons}{waiting}", results)
    if planned := by_state.get("planned"):
        names = ", ".join(result.unit for result in planned)
        raise ProvisionError(
            f"The environment {change.environment!r} is protected and the plans of {names} are not approved; read "
            f"them, then start the run again with approved_by set to who approves.{waiting}",
            results,
        )
