"""What a cluster needs after its units: who may use it, and addons; planned, approved where asked for, applied."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from prefect.tasks import Task

from flows.layer import NOT_APPLIED, Layers, refused
from symphony.change import Change
from symphony.errors import BadInputError
from symphony.models import UnitPlan, UnitResult
from tasks.addons import install_addon, label_of, plan_addon
from tasks.affected import chart_folders
from tasks.approval import ask
from tasks.cluster_access import LABEL, grant_access, plan_access
from tasks.lock import locked_units
from tasks.outputs import units_named
from tasks.saved_plan import save_plans


@dataclass(frozen=True)
class Step:
    """One thing to bring to what the commit says.

    Attributes:
        label: What it is called among the units of a run.
        plan: Task that compares.
        apply: Task that changes.
        arguments: Of both.
        after: Units that have to be applied before.
    """

    label: str
    plan: Task[..., UnitPlan]
    apply: Task[..., float]
    arguments: tuple[Any, ...]
    after: frozenset[str] = frozenset()


def cluster_steps(change: Change, units: Collection[str], *, touched: bool) -> tuple[Step, ...]:
    """What to look at: all there is where units or symphony.yaml are touched, else addons whose own files are.

    Args:
        change: The commit being released.
        units: Paths of the environment's units.
        touched: Whether a unit is.

    Raises:
        BadInputError: An addon waits for a unit that there is not.
    """
    every = touched or change.touches("symphony.yaml")
    found: list[Step] = []
    if every and (access := change.target.kubernetes.access):
        after = frozenset(units_named({one.username: one.role for one in access}))
        found.append(Step(LABEL, plan_access, grant_access, (change,), after))
    for name, addon in change.target.addons.items():
        if addon.after and addon.after not in units:
            raise BadInputError(
                f"The addon {name!r} comes after the unit {addon.after!r}, which {change.environment} does not have; "
                f"there are: {', '.join(sorted(units)) or 'none'}."
            )
        charts = chart_folders(change.tree, addon.chart) if addon.folder else ()
        if every or change.touches(*addon.files, *charts):
            after = frozenset({*units_named(addon.values), *([addon.after] if addon.after else [])})
            found.append(Step(label_of(name), plan_addon, install_addon, (change, name), after))
    return tuple(found)


def take_steps(taken: Layers, steps: Sequence[Step]) -> None:
    """Bring one after the other to what the commit says, in their order.

    Args:
        taken: The layers of the commit, taken; the results are added to its own.
        steps: What to look at.
    """
    for step in steps:
        if held := _held_back(taken, step):
            taken.results[step.label] = held
            continue
        with locked_units(taken.change.environment, [step.label]):
            taken.results[step.label] = _take(taken, step)


def _take(taken: Layers, step: Step) -> UnitResult:
    plan = step.plan.submit(*step.arguments).result(raise_on_failure=False)
    if isinstance(plan, BaseException):
        return UnitResult(unit=step.label, state="failed", reason=str(plan))
    if plan.empty:
        done = taken.earlier.get(step.label)
        return done if done and done.state == "applied" else UnitResult(unit=step.label, state="unchanged", plan=plan)
    planned = UnitResult(unit=step.label, state="planned", plan=plan, seconds=plan.seconds)
    if taken.plan_only:
        return planned
    if taken.must_ask:
        planned = _answered(taken, planned, plan)
        if planned.reason:
            return planned
    seconds = step.apply.submit(*step.arguments).result(raise_on_failure=False)
    if isinstance(seconds, BaseException):
        return planned.model_copy(update={"state": "failed", "reason": str(seconds)})
    return planned.model_copy(update={"state": "applied", "seconds": round(planned.seconds + seconds, 3)})


def _answered(taken: Layers, planned: UnitResult, plan: UnitPlan) -> UnitResult:
    """What a person decided; with a reason where it must not be applied. The first time, this suspends the run."""
    if taken.shelf is None:
        return planned.model_copy(update={"reason": "The environment is protected and nobody has approved the plan."})
    taken.results[planned.unit] = planned
    page = taken.show(tuple(taken.results.values()))
    before = [result for result in {**taken.earlier, **taken.results}.values() if result.state == "applied"]
    save_plans(taken.shelf, taken.tasks.live, (), {}, before)
    approval = ask(taken.change, {planned.unit: plan}, {}, page=page, hours=taken.approval_hours)
    reason = "" if approval.decision == "approve" else refused(approval)
    return planned.model_copy(update={"approval": approval, "reason": reason})


def _held_back(taken: Layers, step: Step) -> UnitResult | None:
    for name in sorted(step.after):
        if (before := taken.results.get(name)) and before.state in NOT_APPLIED:
            what = {"planned": "is not applied", "failed": "failed"}.get(before.state, "is held back")
            return UnitResult(unit=step.label, state="held back", reason=f"It comes after {name}, which {what}.")
    return None
