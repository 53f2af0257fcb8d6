"""Addons of a cluster, such as Argo CD and the ingress controller: Helm releases, compared and installed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import task

from symphony.addons import Addon
from symphony.change import Change
from symphony.errors import BadInputError, SymphonyError, ToolError, TransientError
from symphony.models import Fact, ResourceChange, UnitPlan
from symphony.tool import run
from tasks.git import work_home
from tasks.helm import vendor
from tasks.manifest_diff import changes, parsed
from tasks.outputs import filled
from tasks.retry import TRANSIENT

_ASKING = 60.0
_PATIENCE = 30.0
"""Seconds that helm gets to mark a release as failed when it is cut off."""
_MARK = "symphony "
"""What a release's description begins with; then comes the hash of all that it was made of."""
_TEXT = 40_000
_PASSING = re.compile(
    r"connection re(set|fused)|i/o timeout|tls handshake timeout|no such host|unexpected eof|"
    r"(status( code)?:? |: )(429|50[0234])\b|client rate limiter|etcdserver: ",
    re.IGNORECASE,
)
"""What helm says where the network, the registry or the cluster's API failed, and not the chart."""


class _Release(Fact):
    """A Helm release as the cluster has it."""

    state: str
    description: str
    revision: int


@dataclass(frozen=True)
class _Wanted:
    """A Helm release as the commit wants it: arguments of helm, and a hash of all it is made of."""

    name: str
    arguments: tuple[str, ...]
    hash: str


@task(name="plan addon", task_run_name="plan addon {name}", **TRANSIENT)
def plan_addon(change: Change, name: str) -> UnitPlan:
    """Compare a Helm release with what the commit wants of it; nothing is changed.

    Args:
        change: The commit being released.
        name: Name of the addon in the environment's part of symphony.yaml.

    Returns:
        A plan of one resource, with the difference of the manifests, secrets masked; empty where the release was made
        of the very same chart and values.

    Raises:
        BadInputError: The chart or a value file is not there, or an output is not known.
        TransientError: The chart's registry or the cluster could not be reached.
        SymphonyError: Helm cannot render it.
    """
    label, namespace = label_of(name), change.target.addons[name].namespace
    with _wanted(change, name) as wanted:
        release = _release(change, name)
        if release and release.state == "deployed" and release.description == _MARK + wanted.hash:
            return UnitPlan(unit=label)
        started = time.monotonic()
        what = ResourceChange(address=f"helm release {namespace}/{name}", action="change" if release else "add")
        text = _difference(change, wanted, release)[:_TEXT]
        seconds = round(time.monotonic() - started, 3)
        return UnitPlan(unit=label, changes=(what,), text=text, seconds=seconds, hash=wanted.hash)


@task(name="install addon", task_run_name="install addon {name}", **TRANSIENT)
def install_addon(change: Change, name: str) -> float:
    """Install or upgrade a Helm release and wait until it is ready; what does not come up is rolled back.

    A release that a killed helm left half-way is put back first, so that this can always be started again.

    Args:
        change: The commit being released.
        name: Name of the addon.

    Returns:
        Seconds it took.

    Raises:
        BadInputError: The chart or a value file is not there, or an output is not known.
        TransientError: The chart's registry or the cluster could not be reached.
        SymphonyError: It did not become ready in time, or the cluster refused it.
    """
    started, addon = time.monotonic(), change.target.addons[name]
    with _wanted(change, name) as wanted:
        release = _release(change, name)
        if release and release.state.startswith("pending"):
            back = ("uninstall", name) if release.state == "pending-install" else ("rollback", name)
            _helm(change, name, *back, "--namespace", addon.namespace, "--wait", limit=addon.timeout + _ASKING)
        limits = ("--atomic", "--wait", "--wait-for-jobs", "--timeout", f"{addon.timeout:.0f}s")
        # The rollback of --atomic takes its own time.
        _helm(change, name, *wanted.arguments, *limits, limit=2 * addon.timeout + _ASKING)
    return round(time.monotonic() - started, 3)


def label_of(name: str) -> str:
    """What an addon is called among the units of a run."""
    return f"addon:{name}"


@contextlib.contextmanager
def _wanted(change: Change, name: str) -> Iterator[_Wanted]:
    addon = change.target.addons[name]
    with tempfile.TemporaryDirectory(dir=work_home()) as place:
        folder = Path(place)
        made_of: dict[str, Any] = addon.model_dump(mode="json", include={"chart", "repository", "version", "namespace"})
        chart = addon.chart
        if addon.folder:
            chart = str(vendor(change.tree, addon.chart, folder / "chart"))
            files = sorted(file for file in Path(chart).rglob("*") if file.is_file())
            made_of["content"] = {str(file.relative_to(chart)): _digest(file) for file in files}
        files = [_value_file(change, addon, path) for path in addon.files]
        values = filled(change, addon.values)
        made_of |= {"files": [_digest(file) for file in files], "values": values}
        (folder / "values.json").write_text(json.dumps(values), encoding="utf-8")
        hash_ = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
        arguments = ["upgrade", name, chart, "--install", "--namespace", addon.namespace, "--create-namespace"]
        arguments += ["--description", _MARK + hash_, "--history-max", "10"]
        for file in (*files, folder / "values.json"):
            arguments += ["--values", str(file)]
        if addon.version:
            arguments += ["--version", addon.version]
        if addon.repository:
            arguments += ["--repo", addon.repository]
        yield _Wanted(name, tuple(arguments), hash_)


def _value_file(change: Change, addon: Addon, path: str) -> Path:
    file = (change.tree / path).resolve()
    if not file.is_relative_to(change.tree.resolve()) or not file.is_file():
        raise BadInputError(f"The chart {addon.chart} has the value file {path} in symphony.yaml, which is not there.")
    return file


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _release(change: Change, name: str) -> _Release | None:
    """The release as the cluster has it; None where there is none."""
    namespace = change.target.addons[name].namespace
    try:
        said = _helm(change, name, "status", name, "--namespace", namespace, "--output", "json")
    except _MissingError:
        return None
    found = json.loads(said)
    info = found["info"]
    return _Release(state=info["status"], description=info.get("description", ""), revision=found["version"])


def _difference(change: Change, wanted: _Wanted, release: _Release | None) -> str:
    """What the release's manifests become, as a unified diff."""
    if release and release.state.startswith("pending"):
        return f"Revision {release.revision} was left half-way ({release.state}) and is put back first."
    said = _helm(change, wanted.name, *wanted.arguments, "--dry-run=server", "--output", "json", limit=2 * _ASKING)
    old = ""
    if release:
        namespace = change.target.addons[wanted.name].namespace
        old = _helm(change, wanted.name, "get", "manifest", wanted.name, "--namespace", namespace)
    return changes(parsed(old), parsed(json.loads(said)["manifest"]))


class _MissingError(SymphonyError):
    """The cluster has no such release."""


def _helm(change: Change, name: str, *arguments: str, limit: float = _ASKING) -> str:
    """Run helm against the environment's cluster; its standard output."""
    context = change.target.kubernetes.context
    try:
        argv = ["helm", *arguments, "--kube-context", context]
        return run(argv, limit=limit, patience=_PATIENCE).stdout
    except ToolError as error:
        said = " ".join(error.output.replace("Error: ", "").split())
        if "release: not found" in said:
            raise _MissingError(said) from error
        doing = f"helm {arguments[0]} of the addon {name} in {context}"
        if _PASSING.search(said):
            raise TransientError(f"{doing} did not get through: {said} Start the run again.") from error
        raise SymphonyError(f"{doing} failed: {said or error} Correct it and push, or start the run again.") from error
