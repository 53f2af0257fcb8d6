"""Helm: a chart made whole, and rendered as Argo CD will render it, before anything is written."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from prefect import task

from symphony.errors import BadInputError, ToolError
from symphony.models import Desired
from symphony.outside import MalformedError, read_documents, read_yaml
from symphony.tool import run
from tasks.retry import ONCE

_PLACE = re.compile(r"[\w.-]+/(?:charts/[\w.-]+/)*(?:templates/[\w./-]+|values[\w.-]*)(?::\d+(?::\d+)?)?")
_REFUSED = re.compile(r"at '/([^/']+)|at '': additional properties? '([^']+)'")
"""How helm names a key that a schema refuses."""
_LOCAL = "file://"
_SECONDS = 60
_SIDE_BY_SIDE = 2 * min(4, os.cpu_count() or 1)
"""Helms at once: one keeps a processor busy, but for its start and its end."""
_AT_ONCE = "helm-templates"
"""The program that renders many charts in one process, where the toolchain has built it."""
_MEMORY = {"GOGC": "off", "GOMEMLIMIT": "512MiB"}
"""Helm lives for a moment: collecting garbage only near a limit takes a quarter of its processor time off."""


def vendor(tree: Path, chart: str, target: Path) -> Path:
    """Copy a chart with its dependencies unpacked below ``charts/``, so that it renders without the network.

    Args:
        tree: Root of the repository that holds it.
        chart: Its folder in the repository.
        target: Folder that becomes the copy.

    Returns:
        The copy.

    Raises:
        BadInputError: No chart is there, it has a symbolic link, or a dependency is not a ``file://`` one inside the
            repository.
    """
    source = tree / chart
    if not source.resolve().is_relative_to(tree.resolve()):
        raise BadInputError(f"The chart {chart} leads out of the repository; put it there instead.")
    about = _chart(source, chart)
    for path in source.rglob("*"):
        if path.is_symlink():
            raise BadInputError(
                f"The chart {chart} has the symbolic link {path.relative_to(source)}; put the file there instead."
            )
    shutil.copytree(source, target)
    for dependency in about.get("dependencies") or []:
        name, address = str(dependency.get("name", "")), str(dependency.get("repository", ""))
        beside = (source / address.removeprefix(_LOCAL)).resolve()
        if not address.startswith(_LOCAL) or not beside.is_relative_to(tree.resolve()):
            raise BadInputError(
                f"The chart {chart} depends on {name!r} from {address!r}; only charts of this repository are taken, "
                "named like file://../service. Copy the chart into the repository."
            )
        if PurePosixPath(name).name != name or not name:
            raise BadInputError(f"The chart {chart} has a dependency with the name {name!r}, which is none.")
        shutil.rmtree(target / "charts" / name, ignore_errors=True)
        vendor(tree, beside.relative_to(tree.resolve()).as_posix(), target / "charts" / name)
    return target


def value_files(tree: Path, chart: str, environment: str) -> tuple[str, ...]:
    """Value files beside the chart's own that count in an environment, relative to the chart."""
    name = f"values.{environment}.yaml"
    return (name,) if (tree / chart / name).is_file() else ()


@task(name="render charts", **ONCE)
def render_charts(entries: Sequence[Desired], root: Path, namespace: str, charts: Mapping[str, str]) -> dict[str, str]:
    """Render applications' charts with the very values that Argo CD will use, side by side.

    Args:
        entries: What the environment's branch is going to say about each.
        root: Folder laid out as the branch will be: the vendored charts, and ``applications/<application>.yaml``.
        namespace: Namespace they go to.
        charts: Where each application's chart is in the repository, for people.

    Returns:
        The manifests of each application, as YAML.

    Raises:
        BadInputError: Charts do not render; the sentence names chart, place and reason of each.
    """
    found: dict[str, str] = {}
    wrong: list[str] = []
    rendered = templates(entries, root, namespace)
    for entry in entries:
        name = entry.application
        try:
            found[name] = _checked(entry, rendered[name], root, charts[name])
        except BadInputError as error:
            wrong.append(str(error))
    if wrong:
        raise BadInputError("\n".join(sorted(wrong)))
    return found


def _checked(desired: Desired, manifests: str | ToolError, root: Path, chart: str) -> str:
    if isinstance(manifests, ToolError):
        raise BadInputError(_why(desired, manifests.output, root, chart)) from manifests
    try:
        objects = [one for one in read_documents(manifests) if one]
    except MalformedError as error:
        raise BadInputError(_why(desired, f"of what it gives, {error}", root, chart)) from error
    if not objects:
        raise BadInputError(_why(desired, "it gives no object at all", root, chart))
    return manifests


def templates(entries: Sequence[Desired], root: Path, namespace: str) -> dict[str, str | ToolError]:
    """The manifests of applications, as YAML, or why Helm refuses; see `render_charts`."""
    known = _at_once(entries, root, namespace)

    def one(entry: Desired) -> str | ToolError:
        try:
            return known.get(entry.application) or template(entry, root, namespace)
        except ToolError as error:
            return error

    with ThreadPoolExecutor(max_workers=_SIDE_BY_SIDE) as pool:
        return dict(zip([entry.application for entry in entries], pool.map(one, entries), strict=True))


def _at_once(entries: Sequence[Desired], root: Path, namespace: str) -> dict[str, str]:
    """What one process renders, as Helm would; empty for a chart that is wrong, and nothing where it is not there."""
    if len(entries) == 1 or shutil.which(_AT_ONCE) is None:
        return {}
    asked = [
        {"name": one.application, "chart": one.chart, "namespace": namespace, "values": _values(one)} for one in entries
    ]
    try:
        said = run([_AT_ONCE], cwd=root, env=_MEMORY, stdin=json.dumps(asked), limit=_SECONDS).stdout
    except ToolError:
        return {}
    return dict(zip([one.application for one in entries], json.loads(said), strict=True))


def template(desired: Desired, root: Path, namespace: str) -> str:
    """The manifests of an application, as YAML; see `render_charts`.

    Raises:
        ToolError: Helm refused.
    """
    files = [argument for name in _values(desired) for argument in ("--values", name)]
    release = [desired.application, desired.chart, "--namespace", namespace, "--include-crds"]
    return run(["helm", "template", *release, *files], cwd=root, env=_MEMORY, limit=_SECONDS).stdout


def _values(desired: Desired) -> list[str]:
    return [*(f"{desired.chart}/{name}" for name in desired.values), f"applications/{desired.application}.yaml"]


def _why(desired: Desired, said: str, root: Path, chart: str) -> str:
    """One sentence out of what helm wrote."""
    place = _PLACE.search(said)
    where = place.group() if place else _value_file(desired, said, root)
    reason = " ".join(said.replace("Error: ", "").replace("Use --debug flag to render out invalid YAML", "").split())
    return (
        f"The chart {chart} does not render for {desired.environment}{f' in {where}' if where else ''}"
        f": {reason.rstrip('.')}. Nothing has been deployed; correct the chart or its values and push."
    )


def _value_file(desired: Desired, said: str, root: Path) -> str:
    """The value file that has the key which the chart's schema refuses; the one that counts last, where several do."""
    keys = {key for pair in _REFUSED.findall(said) for key in pair if key}
    for name in (*reversed(desired.values), "values.yaml"):
        with contextlib.suppress(OSError, ValueError):
            values = read_yaml((root / desired.chart / name).read_text(encoding="utf-8"))
            if isinstance(values, dict) and keys & values.keys():
                return f"{desired.application}/{name}"
    return ""


def _chart(source: Path, chart: str) -> dict[str, Any]:
    try:
        about = read_yaml((source / "Chart.yaml").read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(
            f"There is no chart at {chart}: its Chart.yaml is missing; correct `chart` in symphony.yaml."
        ) from error
    except ValueError as error:
        raise BadInputError(f"{chart}/Chart.yaml cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(about, dict):
        raise BadInputError(f"{chart}/Chart.yaml is empty; it needs apiVersion, name and version.")
    return about
