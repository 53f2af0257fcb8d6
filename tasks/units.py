"""Terragrunt units of an environment: what there is, in which order, and which of it a change touches."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from prefect import task

from symphony.errors import BadInputError, SymphonyError, ToolError
from symphony.models import Fact
from symphony.outside import read_json
from tasks.diagnosis import complaint
from tasks.live import Live
from tasks.retry import ONCE
from tasks.sources import module_folders
from tasks.stacks import STACK, generate, origin

_FIND = ("find", "--json", "--dag", "--dependencies", "--reading", "--include")
_DOCUMENTS = (".md", ".txt")
CONFIGURATIONS = ("terragrunt.hcl", "terragrunt.hcl.json")
"""Names that make a folder a unit."""


class Unit(Fact):
    """One Terragrunt unit.

    Attributes:
        path: Folder below the environment's folder; what people call the unit.
        dependencies: Paths of the units whose outputs or effects it needs, within the environment.
        reading: Files it reads or includes, relative to the checkout's root.
        modules: Folders of its modules, and of what a stack made it from, relative to the checkout's root; None where
            only Terragrunt could tell.
    """

    path: str
    dependencies: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()
    modules: tuple[str, ...] | None = ()


@task(name="find units", task_run_name="find units of {live.environment}", **ONCE)
def find_units(live: Live) -> tuple[Unit, ...]:
    """Ask Terragrunt for the environment's units, those of its stacks included, which are generated first.

    A unit that Terragrunt cannot parse is among them, without its dependencies; planning it tells what is wrong.

    Args:
        live: The environment's live folder.

    Returns:
        Units, each after those it depends on.

    Raises:
        BadInputError: Terragrunt cannot read the folder, or units depend on each other in a circle.
    """
    generate(live)
    said: list[str] = []
    try:
        found = live.terragrunt(*_FIND, limit=120, on_line=said.append).stdout
    except ToolError as error:
        raise BadInputError(f"Terragrunt cannot read {live.prefix}: {complaint(said)} Correct it.") from error
    if any("Cycle detected" in line for line in said):
        # `find` leaves the units of a circle out and still ends with 0; only its log says so.
        left = {entry["path"] for entry in json.loads(found or "[]")}
        files = (file for file in live.folder.glob("**/terragrunt.hcl") if ".terragrunt-cache" not in file.parts)
        raise _in_a_circle({file.parent.relative_to(live.folder).as_posix() for file in files} - left)
    return parse_units(live, found)


def parse_units(live: Live, found: str) -> tuple[Unit, ...]:
    """Units from what ``terragrunt find --json`` printed.

    Raises:
        BadInputError: Units that depend on each other in a circle.
        SymphonyError: The output is not what Terragrunt 1.x prints.
    """
    try:
        entries = read_json(found or "[]")
        stacks = [entry for entry in entries if entry["type"] == "stack"]
        # A dependency elsewhere in the live folder is listed too, but is not this environment's to apply.
        own = [entry for entry in entries if entry["type"] == "unit" and not entry["path"].startswith("..")]
        units = tuple(_unit(live, entry, stacks) for entry in own)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SymphonyError(
            f"`terragrunt find` printed what Symphony cannot read ({error}); Terragrunt 1.x is needed."
        ) from error
    return tuple(unit for layer in layers(units) for unit in layer)


def layers(units: Iterable[Unit]) -> tuple[tuple[Unit, ...], ...]:
    """Units grouped so that each depends on units of earlier layers alone; dependencies not given are done already.

    Raises:
        BadInputError: Units that depend on each other in a circle.
    """
    waiting = {unit.path: unit for unit in units}
    ordered: list[tuple[Unit, ...]] = []
    while waiting:
        layer = tuple(unit for unit in waiting.values() if not any(name in waiting for name in unit.dependencies))
        if not layer:
            raise _in_a_circle(waiting)
        ordered.append(layer)
        for unit in layer:
            del waiting[unit.path]
    return tuple(ordered)


def affected(live: Live, units: Sequence[Unit], changed: Collection[str]) -> tuple[Unit, ...]:
    """Units that a change touches, and the units that depend on them.

    A unit is touched when one of its own files, of the files it reads or includes, or of its modules changed. Those
    that depend on it are taken too: a run that ended between the two would otherwise leave them on old outputs.

    Args:
        live: The environment's live folder.
        units: All units, each after those it depends on.
        changed: Changed paths, relative to the checkout's root.

    Returns:
        The affected units in the order given.
    """
    gone = removed(live, units, changed)
    claimed = {file for unit in units for file in unit.reading}
    orphans = [path for path in changed if path not in claimed and _belongs_to_nobody(live, units, gone, path)]
    touched = {unit.path for unit in units if orphans or any(_touches(live, unit, units, path) for path in changed)}
    return with_dependents(units, touched)


def with_dependents(units: Sequence[Unit], names: Collection[str]) -> tuple[Unit, ...]:
    """Units that are named, and the units that depend on them; an unknown name is passed over.

    Args:
        units: All units, each after those it depends on.
        names: Paths of units.
    """
    taken = set(names)
    for unit in units:
        if taken.intersection(unit.dependencies):
            taken.add(unit.path)
    return tuple(unit for unit in units if unit.path in taken)


def removed(live: Live, units: Sequence[Unit], changed: Collection[str]) -> tuple[str, ...]:
    """Units that a change took out of the tree; what they made still exists on AWS."""
    there = {unit.path for unit in units}
    inside = (PurePosixPath(path).relative_to(live.prefix) for path in changed if path.startswith(f"{live.prefix}/"))
    gone = {path.parent.as_posix() for path in inside if path.name == "terragrunt.hcl"}
    return tuple(sorted(gone - there))


def _in_a_circle(names: Iterable[str]) -> BadInputError:
    among = ", ".join(sorted(names))
    return BadInputError(f"Units depend on each other in a circle, among {among}; take one dependency out.")


def _unit(live: Live, entry: dict[str, Any], stacks: Sequence[dict[str, Any]]) -> Unit:
    path = str(entry["path"])
    folder = live.folder / path
    included = tuple(entry.get("include", {}).values())
    reading = {_in_tree(live, name) for name in (*entry.get("reading", ()), *included)}
    modules = module_folders(live.tree, folder, [live.tree / _in_tree(live, name) for name in included])
    if made := origin(live, path, stacks):
        reading |= set(made.reading)
        unknown = modules is None or made.sources is None
        modules = None if unknown else tuple(sorted({*(modules or ()), *(made.sources or ())}))
    return Unit(
        path=path,
        dependencies=tuple(name for name in entry.get("dependencies", ()) if not name.startswith("..")),
        reading=tuple(sorted(reading)),
        modules=modules,
    )


def _in_tree(live: Live, name: str) -> str:
    """A path that Terragrunt prints relative to the environment's folder, made relative to the checkout's root."""
    return os.path.relpath(os.path.normpath(live.folder / name), live.tree)


def _touches(live: Live, unit: Unit, units: Sequence[Unit], path: str) -> bool:
    if path in unit.reading:
        return True
    if _owner(live, units, path) == unit.path:
        return True
    if unit.modules is None:
        # Nobody but Terragrunt knows the module's folder: any module may be it.
        infrastructure = PurePosixPath(live.root).parent
        return not path.startswith(f"{live.root}/") and PurePosixPath(path).is_relative_to(infrastructure)
    return any(path.startswith(f"{folder}/") for folder in unit.modules)


def _owner(live: Live, units: Sequence[Unit], path: str) -> str | None:
    """The unit in whose folder a file is; the innermost where units are nested."""
    holders = [unit.path for unit in units if path.startswith(f"{posixpath.normpath(f'{live.prefix}/{unit.path}')}/")]
    return max(holders, key=len, default=None)


def _belongs_to_nobody(live: Live, units: Sequence[Unit], gone: Collection[str], path: str) -> bool:
    """Whether a file of the live folder may serve any unit: Terragrunt does not list what ``file()`` reads."""
    if not path.startswith(f"{live.root}/") or path.endswith((*_DOCUMENTS, f"/{STACK}")):
        return False
    first = PurePosixPath(path).relative_to(live.root).parts[0]
    if first in live.environments and first != live.environment:
        return False
    if any(path.startswith(f"{live.prefix}/{unit}/") for unit in gone):
        return False
    return _owner(live, units, path) is None
