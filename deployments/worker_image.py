"""The image of a worker's runs: this project, the packages it is locked to, and the tools that flows call.

What is tried is what is shipped: the packages are this environment's own files, so the image needs no index, and its
Python must be this one's version.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tomllib
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from symphony.errors import BadInputError

ROOT = Path(__file__).resolve().parents[1]
RECIPE = Path(__file__).with_name("worker")
"""Folder with the Dockerfile."""
_SCRIPT = """\
#!/usr/bin/env python3
import sys

from {module} import {function}

sys.exit({function}())
"""
PROGRAMS = ("tofu", "terragrunt", "conftest", "cosign", "helm", "helm-templates", "buildx", "buildkitd")
"""What flows call of the toolchain, and what builds beside them."""
_SOURCES = ("deployments", "flows", "symphony", "tasks")
_FILES = ("pyproject.toml", "prefect.yaml")


def lay_out(folder: Path, places: Iterable[Path], shared: Mapping[str, Path] | None = None, root: Path = ROOT) -> None:
    """Fill a build's context; files are linked where they can be.

    Args:
        folder: An empty folder.
        places: Folders with the programs, before those of ``PATH``.
        shared: Folders that the tools need beside them, by the name they get.
        root: This project.

    Raises:
        BadInputError: A package or a program is missing.
    """
    shutil.copy(RECIPE / "Dockerfile", folder)
    for name in _SOURCES:
        shutil.copytree(root / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _FILES:
        shutil.copy(root / name, folder / "source" / name)
    tools = folder / "tools" / "bin"
    tools.mkdir(parents=True)
    path = os.pathsep.join([*map(str, places), os.environ.get("PATH", os.defpath)])
    for name in PROGRAMS:
        program = shutil.which(name, path=path)
        if program is None:
            raise BadInputError(f"The program {name} is missing; `symphony toolchain build` builds it.")
        _link(Path(program).resolve(), tools / name)
    for name, place in (shared or {}).items():
        shutil.copytree(place, folder / "tools" / "share" / name, copy_function=_link)
    (tools / "python").symlink_to("/usr/bin/python3")
    packages = folder / "packages"
    for distribution in distributions(root):
        _copy(distribution, packages, tools)


def distributions(root: Path = ROOT) -> list[metadata.Distribution]:
    """What is installed of the packages that this project needs to run, theirs too.

    Raises:
        BadInputError: One is not installed.
    """
    wanted = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    extras: dict[str, set[str]] = {}
    waiting = [Requirement(one) for one in wanted]
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if name in extras and one.extras <= extras[name]:
            continue
        known = extras.setdefault(name, set())
        known |= one.extras
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError as error:
            raise BadInputError(f"The package {name} is not installed here; `make setup` installs it.") from error
        waiting += [need for need in map(Requirement, needs) if _applies(need, known)]
    return [metadata.distribution(name) for name in sorted(extras)]


def python() -> str:
    """The Python that an image must have."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _applies(need: Requirement, extras: Iterable[str]) -> bool:
    return need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def _copy(distribution: metadata.Distribution, packages: Path, programs: Path) -> None:
    home = Path(str(distribution.locate_file(""))).resolve()
    for file in distribution.files or []:
        there = Path(str(distribution.locate_file(file))).resolve()
        if there.is_file() and there.suffix != ".pyc" and there.is_relative_to(home):
            place = packages / there.relative_to(home)
            place.parent.mkdir(parents=True, exist_ok=True)
            _link(there, place)
    # The scripts that are here call this environment's Python.
    for script in distribution.entry_points.select(group="console_scripts"):
        place = programs / script.name
        place.write_text(_SCRIPT.format(module=script.module, function=script.attr), encoding="utf-8")
        place.chmod(0o755)


def _link(source: str | Path, target: str | Path) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return str(target)


if __name__ == "__main__":
    # For processes that may not import this package: a context's folder, and on standard input where its tools are.
    there = json.load(sys.stdin)
    try:
        shared = {name: Path(place) for name, place in there["shared"].items()}
        lay_out(Path(sys.argv[1]), map(Path, there["places"]), shared)
    except BadInputError as error:
        sys.exit(str(error))
