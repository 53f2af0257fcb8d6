"""What a repository has for ``symphony.yaml``: its Terragrunt tree, Dockerfiles, charts and Argo CD applications."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from symphony.outside import MalformedError, read_documents

KNOWN = ("dev", "development", "test", "testing", "qa", "uat", "staging", "stage", "preprod", "prod", "production")
"""What environments are called, in the order of promotion."""
_PASSED_OVER = frozenset({"node_modules", "vendor", "templates", "site-packages", "__pycache__"})
_YAML = frozenset({".yaml", ".yml"})
_MANIFEST_BYTES = 100_000
_ACCOUNT = re.compile(r"""\b\w*account\w*\s*[=:]\s*\[?\s*["'](\d{12})["']""")
_REGION = re.compile(r"""\b\w*region\w*\s*[=:]\s*["']([a-z]{2}(?:-[a-z]+)+-\d)["']""")
_ECR = re.compile(r"^(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/(.+)$")


@dataclass(frozen=True)
class Chart:
    """A Helm chart that can be installed.

    Attributes:
        path: Its folder.
        name: As its ``Chart.yaml`` says.
        environments: Those that it has values for.
        image: The repository of its image, as its values say; empty where they do not.
    """

    path: PurePosixPath
    name: str
    environments: tuple[str, ...] = ()
    image: str = ""


@dataclass(frozen=True)
class Rollout:
    """An Argo CD Application as the repository has it: its name, the path that it follows, and where it runs."""

    name: str
    path: str
    namespace: str
    argocd: str


@dataclass
class Found:
    """What a repository has.

    Attributes:
        dockerfiles: Paths.
        charts: Those that can be installed.
        units: Folders with a ``terragrunt.hcl``.
        rollouts: Argo CD's Applications.
        settings: HCL files that may say account and region.
    """

    dockerfiles: list[PurePosixPath] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    units: list[PurePosixPath] = field(default_factory=list)
    rollouts: list[Rollout] = field(default_factory=list)
    settings: dict[PurePosixPath, str] = field(default_factory=dict)

    @property
    def live(self) -> PurePosixPath | None:
        """The folder with one folder an environment: what most known names of environments are in."""
        parents = Counter(
            PurePosixPath(*unit.parts[:number])
            for unit in self.units
            for number, part in enumerate(unit.parts[:-1])
            if part in KNOWN
        )
        if parents:
            return min(parents, key=lambda path: (-parents[path], len(path.parts)))
        if not self.units:
            return None
        common = PurePosixPath(os.path.commonpath([str(unit) for unit in self.units]))
        return common.parent if common in self.units else common

    def environments(self) -> tuple[str, ...]:
        """Names of the environments, in the order of promotion as far as their names tell it."""
        live = self.live
        below = {unit.relative_to(live).parts for unit in self.units if live and unit.is_relative_to(live)}
        names = {parts[0] for parts in below if len(parts) > 1}
        if not names:
            names = {name for chart in self.charts for name in chart.environments if name in KNOWN}
        if not names:
            names = {one.namespace for one in self.rollouts if one.namespace in KNOWN}
        return tuple(sorted(names, key=lambda name: (_rank(name), name)))

    def account(self, environment: str) -> str:
        """The AWS account that an environment's settings name; empty where they do not tell."""
        return self._setting(environment, _ACCOUNT) or next(
            (found[1] for chart in self.charts if (found := _ECR.match(chart.image))), ""
        )

    def region(self, environment: str) -> str:
        """The region that an environment's settings name; empty where they do not tell."""
        return self._setting(environment, _REGION)

    def _setting(self, environment: str, sought: re.Pattern[str]) -> str:
        """What settings say: those of the environment before those above it, and of no other environment."""
        others = set(self.environments()) - {environment}
        mine = [path for path in self.settings if not others & set(path.parts)]
        ordered = sorted(mine, key=lambda path: (environment not in path.parts, -len(path.parts), str(path)))
        return next((found[1] for path in ordered if (found := sought.search(self.settings[path]))), "")


def discover(root: Path) -> Found:
    """Look through a repository; what cannot be read, or has no path that ``symphony.yaml`` takes, is passed over.

    Args:
        root: Its folder.
    """
    found = Found()
    for path in sorted(_files(root)):
        place = PurePosixPath(path.relative_to(root).as_posix())
        if any(part.startswith("-") for part in place.parts) or not str(place).isprintable():
            continue
        if path.name == "Dockerfile" or path.name.startswith("Dockerfile.") or path.suffix == ".Dockerfile":
            found.dockerfiles.append(place)
        elif path.name == "terragrunt.hcl" and "include" in _text(path):
            found.units.append(place.parent)
        elif path.name == "Chart.yaml":
            found.charts += _chart(path, place)
        elif path.suffix in _YAML:
            found.rollouts += _rollouts(path)
        if path.suffix == ".hcl":
            found.settings[place] = _text(path)
    return found


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _PASSED_OVER]
        yield from (Path(folder) / name for name in files)


def _chart(path: Path, place: PurePosixPath) -> Iterable[Chart]:
    about = next(_documents(path), {})
    if about.get("type") == "library":
        return
    values = next(_documents(path.parent / "values.yaml"), {})
    image = values.get("image")
    repository = image.get("repository") if isinstance(image, dict) else None
    names = (re.fullmatch(r"values[.-](.+)\.ya?ml", one.name) for one in path.parent.glob("values*"))
    yield Chart(
        path=place.parent,
        name=str(about.get("name") or place.parent.name),
        environments=tuple(sorted(found[1] for found in names if found)),
        image=repository if isinstance(repository, str) else "",
    )


def _rollouts(path: Path) -> Iterable[Rollout]:
    if path.stat().st_size > _MANIFEST_BYTES or "argoproj.io" not in _text(path):
        return
    for one in _documents(path):
        if one.get("kind") == "Application" and str(one.get("apiVersion", "")).startswith("argoproj.io/"):
            about, spec = _mapping(one.get("metadata")), _mapping(one.get("spec"))
            source, destination = _mapping(spec.get("source")), _mapping(spec.get("destination"))
            yield Rollout(
                name=str(about.get("name", "")),
                path=str(source.get("path", "")),
                namespace=str(destination.get("namespace", "")),
                argocd=str(about.get("namespace", "")),
            )


def _documents(path: Path) -> Iterator[dict[str, Any]]:
    """The mappings of a file of YAML, as far as it is any."""
    try:
        documents = read_documents(_text(path))
    except MalformedError:
        return
    yield from (one for one in documents if isinstance(one, dict))


def _mapping(found: object) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _rank(name: str) -> float:
    """Where in the order of promotion a name stands; what is not known stands before what is production."""
    return KNOWN.index(name) if name in KNOWN else KNOWN.index("prod") - 0.5
