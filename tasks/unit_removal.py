"""Units that a change took out of the tree: what they were, and how each is destroyed where the run says so."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from symphony.change import Change
from symphony.errors import BadInputError
from tasks.git import worktree
from tasks.live import Live
from tasks.stacks import GENERATED, STACK
from tasks.units import CONFIGURATIONS, Unit, find_units, removed


@dataclass(frozen=True)
class UnitRemoval:
    """Units that the base had and the commit has not; a moved unit is one, at its old place.

    Attributes:
        live: The environment's live folder as the base had it; None where only the units' names are known.
        units: Those units. The dependencies of each are turned round: the units that needed it at the base, so that
            layers of them destroy dependants first, and what still stands holds back what it stood on.
        moved: For a moved unit's old path the new one, where its configuration is the same and no other unit's is.
        before: All units of the base.
    """

    live: Live | None
    units: tuple[Unit, ...]
    moved: dict[str, str]
    before: tuple[Unit, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Paths of the units, as people read them: the new place of one that moved is told."""
        return tuple(
            f"{unit.path} (moved to {self.moved[unit.path]})" if unit.path in self.moved else unit.path
            for unit in self.units
        )


@contextlib.contextmanager
def open_unit_removal(change: Change, live: Live, units: Sequence[Unit]) -> Iterator[UnitRemoval]:
    """Find the units that a change took out, in a checkout of its base that is there until the end.

    Nothing is checked out where no unit's or stack's file went or changed.

    Args:
        change: The commit being released.
        live: The environment's live folder at the commit.
        units: The commit's units.
    """
    paths = change.changed or ()
    if change.base is None or not _may_remove(live, units, paths):
        yield UnitRemoval(None, tuple(Unit(path=path) for path in removed(live, units, paths)), {})
        return
    with worktree(change.mirror, change.base) as tree:
        before = replace(live, tree=tree.resolve())
        if not before.folder.is_dir():
            yield UnitRemoval(None, (), {})
            return
        try:
            there = find_units(before)
        except BadInputError:
            # A base that Terragrunt cannot read tells names alone, and nothing of it can be destroyed.
            yield UnitRemoval(None, tuple(Unit(path=path) for path in removed(live, units, paths)), {})
            return
        yield UnitRemoval(before, _turned_round(there, units), _moved(before, there, live, units), there)


def _may_remove(live: Live, units: Sequence[Unit], changed: Collection[str]) -> bool:
    if removed(live, units, changed) or any(PurePosixPath(path).name == STACK for path in changed):
        return True
    # What a stack file reads may decide which units it makes, and where.
    read = {name for unit in units if GENERATED in PurePosixPath(unit.path).parts for name in unit.reading}
    return any(path in read for path in changed)


def _turned_round(before: Sequence[Unit], after: Sequence[Unit]) -> tuple[Unit, ...]:
    there = {unit.path for unit in after}
    return tuple(
        unit.model_copy(update={"dependencies": tuple(one.path for one in before if unit.path in one.dependencies)})
        for unit in before
        if unit.path not in there
    )


def _moved(before: Live, old: Sequence[Unit], after: Live, new: Sequence[Unit]) -> dict[str, str]:
    olds, news = {unit.path for unit in old}, {unit.path for unit in new}
    added, gone = _by_text(after, news - olds), _by_text(before, olds - news)
    # Units may well be alike: then nothing tells which of them went where.
    return {
        paths[0]: added[text][0] for text, paths in gone.items() if len(paths) == 1 and len(added.get(text, ())) == 1
    }


def _by_text(live: Live, paths: Collection[str]) -> dict[bytes, list[str]]:
    found: dict[bytes, list[str]] = {}
    for path in sorted(paths):
        found.setdefault(_text(live, path), []).append(path)
    return found


def _text(live: Live, unit: str) -> bytes:
    files = [live.folder / unit / name for name in (*CONFIGURATIONS, "terragrunt.values.hcl")]
    return b"\0".join(file.read_bytes() for file in files if file.is_file())
