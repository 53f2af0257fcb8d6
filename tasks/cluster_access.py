"""Who may use an EKS cluster: the ConfigMap ``aws-auth``, of which entries are added and none is taken away."""

from __future__ import annotations

import hashlib
import io
import json
import time
from typing import Any

from prefect import task
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from symphony.change import Change
from symphony.errors import SymphonyError, TransientError
from symphony.models import ResourceChange, UnitPlan
from tasks.kubernetes import ConflictError, Object, cluster
from tasks.manifest_diff import changes
from tasks.outputs import filled
from tasks.retry import TRANSIENT

LABEL = "aws-auth"
"""What it is called among the units of a run."""
_CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"
_NAME = f"ConfigMap kube-system/{LABEL}"


@task(name="plan access", task_run_name="plan access to {change.target.kubernetes.context}", **TRANSIENT)
def plan_access(change: Change) -> UnitPlan:
    """Compare who may use the cluster with what the commit wants; nothing is changed.

    Args:
        change: The commit being released.

    Returns:
        A plan of one resource; empty where everybody who is wanted is there as wanted.

    Raises:
        BadInputError: An output that names a role is not known.
        TransientError: The cluster could not be reached.
        SymphonyError: The cluster refused, or has entries that cannot be read.
    """
    started = time.monotonic()
    present = cluster(change.target).get(f"{_CONFIG_MAPS}/{LABEL}")
    before = _entries(present)
    after = _with(before, _wanted(change))
    if after == before:
        return UnitPlan(unit=LABEL)
    text = changes({_NAME: {"mapRoles": before}} if present else {}, {_NAME: {"mapRoles": after}})
    return UnitPlan(
        unit=LABEL,
        changes=(ResourceChange(address=_NAME, action="change" if present else "add"),),
        text=text,
        seconds=round(time.monotonic() - started, 3),
        hash=hashlib.sha256(json.dumps([before, after], sort_keys=True).encode()).hexdigest(),
    )


@task(name="grant access", task_run_name="grant access to {change.target.kubernetes.context}", **TRANSIENT)
def grant_access(change: Change) -> float:
    """Let those whom the commit wants use the cluster; entries of others, such as the nodes', stay.

    Args:
        change: The commit being released.

    Returns:
        Seconds it took.

    Raises:
        BadInputError: An output that names a role is not known.
        TransientError: The cluster could not be reached, or somebody else changed the entries just now.
        SymphonyError: The cluster refused, or has entries that cannot be read.
    """
    started, api = time.monotonic(), cluster(change.target)
    present = api.get(f"{_CONFIG_MAPS}/{LABEL}")
    out = io.StringIO()
    YAML(typ="safe", pure=True).dump(_with(_entries(present), _wanted(change)), out)
    about = {"name": LABEL, "namespace": "kube-system"}
    body: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": {"mapRoles": out.getvalue()}}
    try:
        if present is None:
            api.create(_CONFIG_MAPS, body)
        else:
            # EKS writes into it too: with the version that was read, nobody's entry is lost.
            about["resourceVersion"] = present["metadata"]["resourceVersion"]
            api.merge(f"{_CONFIG_MAPS}/{LABEL}", body)
    except ConflictError as error:
        raise TransientError(f"{_NAME} was changed by somebody else just now: {error}") from error
    return round(time.monotonic() - started, 3)


def _wanted(change: Change) -> list[dict[str, Any]]:
    return [
        {"rolearn": filled(change, {"role": one.role})["role"], "username": one.username, "groups": list(one.groups)}
        for one in change.target.kubernetes.access
    ]


def _entries(present: Object | None) -> list[dict[str, Any]]:
    written = ((present or {}).get("data") or {}).get("mapRoles") or "[]"
    try:
        entries = YAML(typ="safe", pure=True).load(written) or []
        return [{"rolearn": entry["rolearn"], **entry} for entry in entries]
    except (YAMLError, KeyError, TypeError) as error:
        raise SymphonyError(f"{_NAME} has a mapRoles that cannot be read ({error}); mend it by hand.") from error


def _with(before: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All entries in their order, those that are wanted as wanted, new ones at the end."""
    own = {entry["rolearn"]: entry for entry in wanted}
    kept = [own.pop(entry["rolearn"], entry) for entry in before]
    return [*kept, *own.values()]
