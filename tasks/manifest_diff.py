"""What a deploy changes in the cluster's objects: rendered manifests, old against new, with secrets masked."""

from __future__ import annotations

import difflib
import hashlib
import io
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import task
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from symphony.change import Change
from symphony.errors import ToolError
from symphony.markdown import escape, fence
from symphony.models import Commit, Desired
from symphony.outside import read_documents, understood
from tasks.artifacts import key_of, markdown
from tasks.desired import entries_at, part, parts, unpack
from tasks.git import work_home
from tasks.helm import render_charts, templates
from tasks.retry import ONCE

_SECRET, _CHANGED = "(secret)", "(secret, changed)"
_FIELDS = ("data", "stringData")
_SHOWN = 40_000
"""Characters of one application's part of the page."""
_WIDTH = 10_000
"""Columns, so that no value is folded over two lines."""

Manifests = dict[str, dict[str, Any]]
"""Objects by ``Kind namespace/name``."""


@dataclass(frozen=True)
class Shown:
    """What was shown of a deploy before it is made.

    Attributes:
        page: Address of the page; empty where it has none.
        changed: Hash of what changes in each application that does, secrets included; an approval is bound to it.
    """

    page: str
    changed: dict[str, str]


@task(name="show changes", task_run_name="show changes of {change.environment}", **ONCE)
def show_changes(
    change: Change,
    entries: Sequence[Desired],
    rendered: Mapping[str, str],
    before: Commit | None,
    removed: Sequence[str] = (),
) -> Shown:
    """Leave the page of what a deploy changes in each application's manifests.

    Args:
        change: The commit being released.
        entries: The applications that move.
        rendered: Their new manifests as YAML, by application.
        before: Commit of the desired state that they are compared with; None before the first.
        removed: Applications that are taken out.

    Returns:
        Where the page is, and what an approval of it is bound to.
    """
    parts = [f"# What {change.commit[:12]} changes in {change.environment}"]
    changed: dict[str, str] = {}
    olds = _olds(change, before, [entry.application for entry in entries])
    for entry in entries:
        old, note = olds.get(entry.application, ({}, "It is new here."))
        new = parsed(rendered[entry.application])
        text = changes(old, new)
        if old != new:
            changed[entry.application] = _hash([old, new])
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}\n… cut here"
        parts += [f"## {escape(entry.application)}", *([escape(note)] if note else [])]
        parts.append(fence(shown, "diff") if text else "Its manifests stay as they are.")
    for name in removed:
        parts += [f"## {escape(name)}", "It is taken out of the environment."]
        changed[name] = _hash(["removed", part(change.mirror, before, name) if before else ()])
    return Shown(markdown(key_of("changes", change.environment), "\n\n".join(parts)), changed)


def show_trees(
    change: Change, entries: Sequence[Desired], origin: Commit, before: Commit | None, removed: Sequence[str] = ()
) -> Shown:
    """As `show_changes`, for applications that get the charts of a commit of a desired state.

    Args:
        change: Where to.
        entries: What the desired state shall say about each application.
        origin: The commit that has their charts.
        before: Commit of the desired state that they are compared with; None before the first.
        removed: Applications that are taken out.

    Raises:
        BadInputError: A chart does not render here.
    """
    with tempfile.TemporaryDirectory(dir=work_home()) as folder:
        root = Path(folder)
        unpack(change.mirror, origin, entries, root)
        namespace = change.target.kubernetes.namespace
        rendered = render_charts.fn(entries, root, namespace, {one.application: one.chart for one in entries})
        return show_changes.fn(change, entries, rendered, before, removed)


def parsed(manifests: str) -> Manifests:
    """Rendered manifests by ``Kind namespace/name``; what is no object is left out."""
    with understood("What a chart gives"):
        return _parsed(manifests)


def _parsed(manifests: str) -> Manifests:
    found: Manifests = {}
    for one in read_documents(manifests):
        for item in (one.get("items") or [one]) if isinstance(one, dict) else []:
            if not isinstance(item.get("kind"), str | None):
                raise TypeError("its kind is no text")
            about = item.get("metadata") or {}
            space = f"{about['namespace']}/" if about.get("namespace") else ""
            found[f"{item.get('kind')} {space}{about.get('name') or about.get('generateName')}"] = item
    return found


def changes(old: Manifests, new: Manifests) -> str:
    """The difference as a unified diff, object by object; empty where there is none."""
    lines: list[str] = []
    successors = _successors(old, new)
    for name in sorted((old.keys() | new.keys()) - set(successors.values())):
        later = successors.get(name, name)
        before, after = old.get(name), new.get(later)
        if before == after:
            continue
        shown = [_text(one) for one in _masked(before, after)]
        label = [name if before is not None else "(none)", later if after is not None else "(none)"]
        lines += difflib.unified_diff(shown[0], shown[1], label[0], label[1], lineterm="")
    return "\n".join(lines)


def _successors(old: Manifests, new: Manifests) -> dict[str, str]:
    """What goes, and what comes in its place: where one object of a kind goes and one comes, it has got a new name."""
    gone, come = (_by_kind(one.keys() - other.keys()) for one, other in ((old, new), (new, old)))
    return {names[0]: come[kind][0] for kind, names in gone.items() if len(names) == len(come.get(kind, [])) == 1}


def _by_kind(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.rpartition("/")[0] or name.partition(" ")[0], []).append(name)
    return found


def _hash(what: object) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()


def _masked(before: dict[str, Any] | None, after: dict[str, Any] | None) -> tuple[Any, Any]:
    """Both sides of an object; of a Secret only which keys there are, and which have changed."""
    if "Secret" not in {(one or {}).get("kind") for one in (before, after)}:
        return before, after
    sides = []
    for one, other in ((before, None), (after, before)):
        side = dict(one) if one else None
        for field in _FIELDS:
            if side and isinstance(side.get(field), dict):
                known = (other or {}).get(field) or {}
                side[field] = {
                    key: _CHANGED if key in known and known[key] != value else _SECRET
                    for key, value in side[field].items()
                }
        sides.append(side)
    return sides[0], sides[1]


def _text(one: dict[str, Any] | None) -> list[str]:
    if one is None:
        return []
    yaml, out = YAML(typ="safe", pure=True), io.StringIO()
    yaml.default_flow_style, yaml.width = False, _WIDTH
    yaml.dump(one, out)
    return out.getvalue().splitlines()


def _olds(change: Change, before: Commit | None, names: Sequence[str]) -> dict[str, tuple[Manifests, str]]:
    """What the environment has now of those applications that it has, and a note where that cannot be seen."""
    there = entries_at(change.mirror, before, names) if before else {}
    if before is None or not there:
        return {}
    known = parts(change.mirror, [(before, name) for name in there])
    whole = [entry for name, entry in there.items() if len(known[before, name]) == len(("chart", "file"))]
    found: dict[str, tuple[Manifests, str]] = {name: ({}, "What is there now has no chart.") for name in there}
    with tempfile.TemporaryDirectory(dir=work_home()) as folder:
        unpack(change.mirror, before, whole, Path(folder))
        rendered = templates(whole, Path(folder), change.target.kubernetes.namespace)
    return found | {name: _old(one) for name, one in rendered.items()}


def _old(rendered: str | ToolError) -> tuple[Manifests, str]:
    try:
        if isinstance(rendered, ToolError):
            raise rendered
        return parsed(rendered), ""
    except (ToolError, YAMLError) as error:
        return {}, f"What is there now cannot be rendered any more: {error}"
