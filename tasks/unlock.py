"""Locks of Terragrunt units that are held: by whom, whether that is dead, and freeing them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from prefect.client.orchestration import get_client

from symphony.change import Change
from symphony.errors import BadInputError, SymphonyError
from symphony.limits import unit_limit
from tasks.holder import Holder, free, holder_of
from tasks.live import Live, live_of
from tasks.state_file import StateFile, StateLock, read_lock, remove_lock, state_file
from tasks.units import find_units

_SIDE_BY_SIDE = 4


@dataclass(frozen=True)
class HeldUnit:
    """A unit that somebody holds, in Prefect, in S3, or in both.

    Attributes:
        unit: The unit's path.
        state: Its state in S3.
        holder: The run that holds its concurrency limit; None where no run does.
        lock: The lock file beside its state; None where there is none.
    """

    unit: str
    state: StateFile
    holder: Holder | None
    lock: StateLock | None

    @property
    def alive(self) -> bool:
        """Whether a run that has not ended holds it, as far as Prefect knows."""
        return self.holder is not None and self.holder.alive

    def lines(self) -> list[str]:
        """What holds it, for people."""
        told = [f"Prefect: {self.holder}" if self.holder else "Prefect: no run holds it"]
        place = f"s3://{self.state.bucket}/{self.state.key}.tflock"
        return [*told, f"S3: {self.lock}, {place}" if self.lock else "S3: no lock file"]


def held_units(change: Change, unit: str = "") -> tuple[HeldUnit, ...]:
    """The units of an environment that are locked.

    Args:
        change: Any commit with the environment's units.
        unit: Look at this one alone.

    Raises:
        BadInputError: There is no such unit.
        SymphonyError: Terragrunt cannot read a unit, or AWS refused.
    """
    live = live_of(change)
    paths = [found.path for found in find_units(live)]
    if unit and unit not in paths:
        raise BadInputError(f"{live.prefix} has no unit {unit!r}; there are: {', '.join(paths)}.")
    chosen: Sequence[str] = [unit] if unit else paths
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        found = pool.map(lambda path: _look(change, live, path), chosen)
        return tuple(held for held in found if held.holder or held.lock)


def unlock(change: Change, held: HeldUnit) -> None:
    """Free what a dead holder left.

    Args:
        change: The commit that the unit was found in.
        held: What `held_units` found.

    Raises:
        SymphonyError: The holder is a run that has not ended, or the lock is another's by now.
    """
    if held.alive:
        raise SymphonyError(
            f"{held.unit} is in use: {held.holder}. Cancel that run in Prefect first; where its process is dead, its "
            "slot is free by itself within two minutes, and this command frees the lock in S3 then."
        )
    if held.lock:
        remove_lock(change.target, held.state, held.lock)
    if held.holder:
        with get_client(sync_client=True) as client:
            free(client, held.holder.lock)


def _look(change: Change, live: Live, path: str) -> HeldUnit:
    state = state_file(live, path)
    with get_client(sync_client=True) as client:
        holder = holder_of(client, unit_limit(change.environment, path))
    return HeldUnit(path, state, holder, read_lock(change.target, state))
