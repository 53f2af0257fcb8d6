"""Locks of Terragrunt units that are held: by whom, whether that is dead, and freeing them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from prefect.client.orchestration import get_client

from symphony.change import Change
from symphony.config import Environment
from symphony.errors import BadInputError, SymphonyError
from symphony.limits import unit_limit
from tasks.holder import Holder, free, holder_of
from tasks.live import live_of
from tasks.state_file import StateFile, StateLock, locked_states, read_lock, remove_lock, state_file
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
    """The units of an environment that are locked, also those that are no longer in the tree.

    Args:
        change: Any commit with the environment's units.
        unit: Look at this one alone.

    Raises:
        BadInputError: There is no such unit.
        SymphonyError: Terragrunt cannot read a unit, or AWS refused.
    """
    live = live_of(change)
    paths = [found.path for found in find_units(live)]
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        asked = [unit] if unit in paths else paths
        places = dict(zip(asked, pool.map(lambda path: state_file(live, path), asked), strict=True))
        if unit not in paths:
            places |= _left_behind(change.target, places)
        if unit and unit not in places:
            raise BadInputError(f"{live.prefix} has no unit {unit!r}; there are: {', '.join(paths)}.")
        chosen = [unit] if unit else [*places]
        found = pool.map(lambda path: _look(change, path, places[path]), chosen)
        return tuple(held for held in found if held.holder or held.lock)


def _left_behind(target: Environment, places: Mapping[str, StateFile]) -> dict[str, StateFile]:
    """States that are locked though no unit of the tree has them, such as one that was being moved, by unit.

    Which unit had it is read from the key, where the keys of the others are made of their paths.
    """
    shapes = {
        (state.bucket, *made.groups())
        for path, state in places.items()
        if (made := re.fullmatch(rf"((?:.*/)?){re.escape(path)}(/.*)", state.key))
    }
    found: dict[str, StateFile] = {}
    for bucket, before, after in sorted(shapes):
        for state in locked_states(target, bucket, before):
            if state not in places.values() and state.key.endswith(after):
                found[state.key.removeprefix(before).removesuffix(after)] = state
    return found


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


def _look(change: Change, path: str, state: StateFile) -> HeldUnit:
    with get_client(sync_client=True) as client:
        holder = holder_of(client, unit_limit(change.environment, path))
    return HeldUnit(path, state, holder, read_lock(change.target, state))
