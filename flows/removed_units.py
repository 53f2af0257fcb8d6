"""The units that a change took out of the tree: told, or destroyed where the run says so explicitly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flows.layer import Layers, SideBySide
from symphony.errors import BadInputError
from symphony.models import UnitResult
from tasks.terragrunt import plan_destruction
from tasks.unit_removal import UnitRemoval
from tasks.units import layers

_TOLD = "What it made still exists; a run of provision with destroy_removed destroys it."


def tell_removed(gone: UnitRemoval) -> list[UnitResult]:
    """What a run says of removed units that it leaves alone."""
    return [
        UnitResult(
            unit=unit.path,
            state="removed, not destroyed",
            reason=f"Moved to {gone.moved[unit.path]}. {_TOLD}" if unit.path in gone.moved else _TOLD,
        )
        for unit in gone.units
    ]


def check_destroyable(gone: UnitRemoval) -> None:
    """Refuse to destroy what cannot be read, before anything is planned.

    Raises:
        BadInputError: The base that had the units is unknown, or Terragrunt cannot read it.
    """
    if gone.units and gone.live is None:
        names = ", ".join(unit.path for unit in gone.units)
        raise BadInputError(
            f"The removed units {names} cannot be destroyed: the commit that had them is unknown, or Terragrunt cannot "
            f"read it. Set since to a commit that has them and can be read, or leave destroy_removed out."
        )


def destroy_units(taken: Layers, gone: UnitRemoval, parallelism: int) -> Sequence[UnitResult]:
    """Destroy removed units as the base had them, dependants first, after all else is applied.

    What failed or waits holds back what it needed at the base. Plan, policy, approval and locks are those of any unit.

    Args:
        taken: The layers of the commit, taken; the results are added to its own.
        gone: The removed units.
        parallelism: Units at once.

    Returns:
        What became of the removed units.
    """
    if gone.live is None:
        return ()
    destroying = replace(
        taken, tasks=SideBySide(gone.live, parallelism), plan=plan_destruction, provisional=plan_destruction
    )
    for layer in layers(gone.units):
        destroying.take(layer)
    for unit in gone.units:
        taken.results[unit.path] = _destroyed(taken.results[unit.path])
    return [taken.results[unit.path] for unit in gone.units]


def _destroyed(result: UnitResult) -> UnitResult:
    match result.state:
        case "applied":
            return result.model_copy(update={"state": "destroyed"})
        case "unchanged":
            return result.model_copy(update={"reason": "It is no longer in the tree, and nothing of it exists."})
        case "held back":
            reason = result.reason.replace("It depends on ", "It was needed by ", 1)
            return result.model_copy(update={"reason": reason})
        case _:
            return result
