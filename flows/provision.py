"""The flow ``provision``: the Terragrunt units that a change touches, planned and applied layer by layer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from flows.addons import cluster_steps, take_steps
from flows.layer import NOT_APPLIED, Layers, SideBySide
from flows.names import run_name
from flows.outputs import keep_outputs
from flows.removed_units import check_destroyable, destroy_units, tell_removed
from symphony.change import Change
from symphony.config import Name
from symphony.errors import SymphonyError
from symphony.models import UnitResult
from tasks import plan_report
from tasks.approval import APPROVAL_HOURS, ApprovalHours, can_ask
from tasks.artifacts import in_run, key_of, markdown, table
from tasks.change import as_released, open_change
from tasks.failure import show_failure
from tasks.live import Live, live_of
from tasks.lock import locked_units
from tasks.mocks import refuse_mocks
from tasks.plan_text import keep_texts
from tasks.saved_plan import Progress, Shelf, keep_results, read_progress, remove_plans
from tasks.state_file import state_file
from tasks.state_move import StateMove, find_moves, move_state
from tasks.terragrunt import bootstrap_state
from tasks.unit_removal import UnitRemoval, open_unit_removal
from tasks.units import Unit, affected, find_units, layers, with_dependents


class ProvisionError(SymphonyError):
    """Units failed or wait for approval, after all that could be done was done.

    Attributes:
        results: What became of every affected unit.
    """

    def __init__(self, message: str, results: Sequence[UnitResult]) -> None:
        """Keep the results, so that a release's record tells what was applied all the same."""
        self.results = tuple(results)
        super().__init__(message)


@flow(
    name="provision",
    flow_run_name=run_name("provision"),
    task_runner=ThreadPoolTaskRunner(max_workers=64),  # type: ignore[arg-type]
    on_failure=[show_failure],
)
def provision(  # noqa: PLR0913, PLR0917 - the fields of the run form
    environment: Name,
    commit: str = "main",
    everything: bool = False,  # noqa: FBT001, FBT002 - a checkbox of the run form
    approved_by: Annotated[str, Field(max_length=200)] = "",
    since: str | None = None,
    plan_only: bool = False,  # noqa: FBT001, FBT002 - a checkbox of the run form
    approval_hours: ApprovalHours = APPROVAL_HOURS,
    destroy_removed: bool = False,  # noqa: FBT001, FBT002 - a checkbox of the run form
    move_states: bool = False,  # noqa: FBT001, FBT002 - a checkbox of the run form
    restore: list[str] | None = None,
) -> tuple[UnitResult, ...]:
    """Plan and apply the infrastructure that changed since the environment's last release.

    Args:
        environment: Environment of symphony.yaml.
        commit: Branch, tag or commit id whose infrastructure is wanted.
        everything: Plan every unit, not only those that changed.
        approved_by: Who approves the changes to a protected environment beforehand; without it the run waits for a
            person's answer to each layer of plans.
        since: Branch, tag or commit id to compare with, instead of the environment's last release that succeeded.
        plan_only: Only show what would change; what depends on an unapplied change is planned provisionally.
        approval_hours: How long the run waits for an answer.
        destroy_removed: Destroy what units made that are no longer in the tree.
        move_states: Take the states of units that moved in the tree to where they are looked for now.
        restore: Units to bring back to the environment's last release, whatever `commit` has, with those that depend
            on them; a person is always asked first.
    """
    with open_change(environment, commit, since=since) as change:
        if restore:
            with as_released(change) as released:
                return provision_change(
                    released, restore=restore, approved_by=approved_by, approval_hours=approval_hours
                )
        return provision_change(
            change,
            everything=everything,
            approved_by=approved_by,
            plan_only=plan_only,
            approval_hours=approval_hours,
            destroy=destroy_removed,
            move_states=move_states,
        )


def provision_change(  # noqa: PLR0913 - the choices of one run
    change: Change,
    *,
    everything: bool = False,
    approved_by: str = "",
    plan_only: bool = False,
    approval_hours: float = APPROVAL_HOURS,
    destroy: bool = False,
    move_states: bool = False,
    later: bool = False,
    restore: Collection[str] = (),
) -> tuple[UnitResult, ...]:
    """Bring the units that a change touches to what its commit says.

    A layer is planned when what it depends on is applied, so that plans rest on real outputs. A unit that fails holds
    back those that depend on it; all others go on.

    Args:
        change: The commit being released.
        everything: Take every unit.
        approved_by: Who approved changes to a protected environment beforehand.
        plan_only: Apply nothing.
        approval_hours: How long to wait for a person's approval.
        destroy: Destroy the units that are no longer in the tree, after all else is applied.
        move_states: Let the states of moved units follow them; without it such a unit is not planned.
        later: Whether a later stage of the run may be suspended too; resumed, the run takes the results it had here.
        restore: Take these units alone, and those that depend on them, and ask a person also where the environment is
            not protected.

    Returns:
        What became of each affected unit, in the order of the layers.

    Raises:
        BadInputError: The units cannot be read, or mocked outputs could reach an apply.
        ProvisionError: A unit failed, or changes to a protected environment are not approved; raised after all that
            could be done was done.
    """
    live = live_of(change)
    units = find_units(live)
    whole = not restore and (everything or change.changed is None)
    chosen = _chosen(change, live, units, restore, whole=whole)
    with open_unit_removal(change, live, units) as missing:
        gone, waiting = find_moves(change.target, live, units, missing)
        if destroy:
            check_destroyable(gone)
        left = [] if destroy else tell_removed(gone)
        unaffected = len(units) - len(chosen)
        touched = bool(chosen) or whole
        steps = () if restore else cluster_steps(change, {unit.path for unit in units}, touched=touched)
        if not chosen and not steps and not (destroy and gone.units):
            _report(change, left, unaffected, gone.names)
            return tuple(left)
        # Beside what needs no bucket. The first unit depends on no other, so that this reads nobody's outputs.
        bucket = bootstrap_state.submit(change.target, live, units[0]) if chosen else None
        refuse_mocks(live, units)
        if move_states and not plan_only:
            _follow(change, waiting)
            waiting = ()
        guarded = change.target.protected or bool(restore)
        must_ask = guarded and not approved_by.strip() and not plan_only
        beside = functools.cache(lambda: Shelf(change, _bucket(live, units, gone))) if units or gone.units else None
        shelf = beside() if must_ask and can_ask() and beside else None
        progress = _progress(change, shelf, bucket)
        if progress.done:
            get_run_logger().info("The units are as this run left them before it was suspended.")
            return progress.results
        names = () if destroy else gone.names
        parallelism = change.configuration.infrastructure.parallelism
        taken = Layers(
            change,
            SideBySide(live, parallelism, bucket),
            plan_only=plan_only,
            must_ask=must_ask,
            approval_hours=approval_hours,
            shelf=shelf,
            earlier={result.unit: result for result in progress.results},
            blocked={move.new: move.reason for move in waiting},
            show=lambda so_far: _report(change, so_far, unaffected, names, beside),
        )
        for layer in layers(chosen):
            taken.take(layer)
        if destroy:
            destroy_units(taken, gone, parallelism)
        if not plan_only:
            keep_outputs(change, taken, units)
        take_steps(taken, steps)
        results = (*taken.results.values(), *left)
        if shelf:
            _clear(shelf, results, later=later)
        _report(change, results, unaffected, names, beside)
        if not plan_only:
            _raise_for(change, results)
        else:
            _raise_for(change, [result for result in results if result.state == "failed"])
        return results


def _chosen(
    change: Change, live: Live, units: Sequence[Unit], restore: Collection[str], *, whole: bool
) -> tuple[Unit, ...]:
    """The units to take."""
    if restore:
        return with_dependents(units, restore)
    return tuple(units) if whole else affected(live, units, change.changed or ())


def _progress(change: Change, shelf: Shelf | None, bucket: PrefectFuture[Any] | None) -> Progress:
    """What this run had done for the commit before it was suspended."""
    if shelf and bucket:
        bucket.result()
    progress = read_progress(shelf) if shelf else Progress(commit=change.commit)
    return progress if progress.commit == change.commit else progress.model_copy(update={"done": False})


def _clear(shelf: Shelf, results: Sequence[UnitResult], *, later: bool) -> None:
    """Take the run's plans away; where all is well and a later stage may be suspended, its results stay."""
    if later and not any(result.state in NOT_APPLIED for result in results):
        keep_results(shelf, results)
    else:
        remove_plans(shelf)


def _follow(change: Change, moves: Sequence[StateMove]) -> None:
    """Let the states of moved units follow them, while no other run touches the units."""
    for move in moves:
        with locked_units(change.environment, [move.old, move.new]):
            move_state(change.target, move)
            get_run_logger().info("The state of %s is at %s now: the unit moved.", move.new, move.target.key)


def _bucket(live: Live, units: Sequence[Unit], gone: UnitRemoval) -> str:
    """The state's bucket, as any unit there is names it."""
    return state_file(live, units[0].path).bucket if units else state_file(gone.live or live, gone.units[0].path).bucket


def _report(
    change: Change,
    results: Sequence[UnitResult],
    unaffected: int,
    gone: Sequence[str],
    beside: Callable[[], Shelf] | None = None,
) -> str:
    """Leave what became of the units with the run; the address of the page with their plans."""
    go_on = f"symphony release {change.commit[:12]} --env {change.environment}"
    summary = plan_report.summary(results, unaffected, gone, go_on)
    get_run_logger().info("Infrastructure of %s: %s", change.environment, summary)
    title = f"Infrastructure of {change.environment} at {change.commit[:12]}"
    table(key_of("units", change.environment), title, plan_report.rows(results), summary)
    if not results:
        return ""
    page = plan_report.page(title, results, unaffected, gone, go_on, _whole(results, beside))
    return markdown(key_of("plans", change.environment), page, title)


def _whole(results: Sequence[UnitResult], beside: Callable[[], Shelf] | None) -> dict[str, str]:
    """Where the plans are in whole that are too long for the page; what cannot be kept ends no run."""
    cut = plan_report.cut(results)
    if not (cut and beside and in_run()):
        return {}
    try:
        return keep_texts(beside(), cut)
    except SymphonyError as error:
        get_run_logger().warning("The page has a plan in part, and its whole text is not kept: %s", error)
        return {}


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
    if refused := [result for result in by_state.get("planned", ()) if result.approval]:
        reasons = " ".join(dict.fromkeys(result.reason for result in refused))
        raise ProvisionError(
            f"The plans of {', '.join(result.unit for result in refused)} in {change.environment} were not applied: "
            f"{reasons} Nothing of them was changed.{waiting}",
            results,
        )
    if planned := by_state.get("planned"):
        names = ", ".join(result.unit for result in planned)
        raise ProvisionError(
            f"The environment {change.environment!r} is protected and the plans of {names} are not approved; read "
            f"them, then start the run again with approved_by set to who approves.{waiting}",
            results,
        )
