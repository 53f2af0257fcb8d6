"""Which applications a change touches: source, chart, or their own lines of ``symphony.yaml``."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML

from symphony.change import Change
from symphony.config import Configuration, load
from symphony.errors import BadInputError, ToolError
from tasks.desired import read_desired
from tasks.git import git, work_home
from tasks.outputs import filled


def affected_applications(change: Change) -> tuple[str, ...]:
    """Applications that differ from the environment's last release that succeeded.

    An application whose source is in another repository always counts: only building tells whether it moved.

    Args:
        change: The commit being released.

    Returns:
        Names, sorted.
    """
    before = _configuration_at_base(change)
    return tuple(sorted(name for name in change.configuration.applications if _affected(change, before, name)))


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


def _affected(change: Change, before: Configuration | None, name: str) -> bool:
    application = change.configuration.applications[name]
    if before is None or application.git is not None:
        return True
    if before.applications.get(name) != application:
        return True
    if before.environments.get(change.environment) != change.target:
        return True
    return change.touches(application.source, *chart_folders(change.tree, application.chart))


def chart_folders(tree: Path, chart: str) -> tuple[str, ...]:
    """The chart's folder and, through ``file://`` dependencies, those of the library charts it stands on."""
    folders = [chart]
    for folder in folders:
        description = tree / folder / "Chart.yaml"
        if not description.is_file():
            continue
        for dependency in (YAML(typ="safe").load(description.read_text(encoding="utf-8")) or {}).get(
            "dependencies", []
        ):
            location = str(dependency.get("repository", ""))
            if location.startswith("file://"):
                inside = (tree / folder / location.removeprefix("file://")).resolve()
                if inside.is_relative_to(tree.resolve()):
                    path = inside.relative_to(tree.resolve()).as_posix()
                    folders.extend([path] if path not in folders else [])
    return tuple(folders)


def _configuration_at_base(change: Change) -> Configuration | None:
    """``symphony.yaml`` of the last release; None where there is none that this version can read."""
    if change.base is None:
        return None
    file = work_home() / f"{change.tree.name}.base.yaml"
    try:
        file.write_text(git("show", f"{change.base}:symphony.yaml", cwd=change.mirror), encoding="utf-8")
        return load(file)
    except (BadInputError, ToolError):
        return None
    finally:
        file.unlink(missing_ok=True)
