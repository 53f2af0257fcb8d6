"""Which applications a change touches: source, chart, or their own lines of ``symphony.yaml``."""

from __future__ import annotations

import contextlib
import functools
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from symphony.change import Change
from symphony.config import Configuration, load
from symphony.errors import BadInputError, ToolError
from symphony.models import Commit
from symphony.outside import read_yaml
from tasks.desired import read_desired
from tasks.git import changed, git, is_ancestor, work_home
from tasks.outputs import filled
from tasks.records import newest


def affected_applications(change: Change) -> tuple[str, ...]:
    """Applications that differ from the environment's last release that succeeded.

    An application whose source is in another repository always counts: only building tells whether it moved. Of one
    whose image a policy chooses here, the source does not count.

    Args:
        change: The commit being released.

    Returns:
        Names, sorted.
    """
    behind = _behind(change)
    return tuple(
        sorted(
            name
            for name in change.configuration.applications
            if _affected(change, name) or (name in behind and _affected(behind[name], name))
        )
    )


def fed_anew(change: Change) -> tuple[str, ...]:
    """Applications that the environment has with other outputs of its units than these have now.

    Args:
        change: The commit being released, after its units were applied.

    Returns:
        Names, sorted.

    Raises:
        BadInputError: An output that an application takes is not known.
    """
    taking = {name: one.values for name, one in change.configuration.applications.items() if one.values}
    present = read_desired(change.mirror, change.environment) if taking else {}
    return tuple(
        sorted(
            name
            for name, values in taking.items()
            if name in present and present[name].infrastructure != filled(change, values)
        )
    )


def _affected(change: Change, name: str) -> bool:
    application = change.configuration.applications[name]
    before = configuration_at(change.mirror, change.base) if change.base else None
    watched = change.environment in application.watch
    if before is None or (application.git is not None and not watched):
        return True
    if before.applications.get(name) != application:
        return True
    if before.environments.get(change.environment) != change.target:
        return True
    sources = () if watched else (application.source,)
    return change.touches(*sources, *chart_folders(change.tree, application.chart))


def _behind(change: Change) -> dict[str, Change]:
    """Applications that the last release left alone, or that were rolled back since: the change from where they are."""
    names: set[str] = set()
    for record in newest(change.mirror, change.environment):
        names |= {*record.left, *record.undoes}
        if record.kind == "release" and record.state == "succeeded":
            break
    there = read_desired(change.mirror, change.environment) if names else {}
    at = {name: there[name].commit for name in names if name in there}
    return {
        name: replace(change, base=commit, changed=changed(change.mirror, commit, change.commit))
        for name, commit in at.items()
        if is_ancestor(change.mirror, commit, change.commit)
    }


def chart_folders(tree: Path, chart: str) -> tuple[str, ...]:
    """The chart's folder and, through ``file://`` dependencies, those of the library charts it stands on."""
    folders = [chart]
    for folder in folders:
        description = tree / folder / "Chart.yaml"
        if not description.is_file():
            continue
        for dependency in _dependencies(description):
            location = str(dependency.get("repository", ""))
            if location.startswith("file://"):
                inside = (tree / folder / location.removeprefix("file://")).resolve()
                if inside.is_relative_to(tree.resolve()):
                    path = inside.relative_to(tree.resolve()).as_posix()
                    folders.extend([path] if path not in folders else [])
    return tuple(folders)


def _dependencies(description: Path) -> list[dict[str, Any]]:
    """What a ``Chart.yaml`` stands on; nothing where it cannot be read, which rendering the chart tells."""
    with contextlib.suppress(AttributeError, TypeError, ValueError):
        named = read_yaml(description.read_text(encoding="utf-8")).get("dependencies")
        return [one for one in named if isinstance(one, dict)]
    return []


@functools.cache
def configuration_at(mirror: Path, commit: Commit) -> Configuration | None:
    """``symphony.yaml`` of an earlier commit; None where there is none that this version can read."""
    file = work_home() / f"{uuid.uuid4().hex}.base.yaml"
    try:
        file.write_text(git("show", f"{commit}:symphony.yaml", cwd=mirror), encoding="utf-8")
        return load(file)
    except (BadInputError, ToolError):
        return None
    finally:
        file.unlink(missing_ok=True)
