"""What an environment loses when an application is taken out of ``symphony.yaml``, shown before it goes."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import get_run_logger, task

from symphony.change import Change
from tasks.argocd import application_name
from tasks.artifacts import key_of, table
from tasks.kubernetes import APPLICATIONS, Object, cluster
from tasks.retry import TRANSIENT


@task(name="show what goes", task_run_name="show what goes from {change.environment}", **TRANSIENT)
def show_removed(change: Change, removed: Sequence[str]) -> list[dict[str, object]]:
    """Leave a table of every object that Argo CD will prune with these applications.

    Args:
        change: The commit being released.
        removed: Applications that it names no more.

    Returns:
        The table's rows: application, kind, namespace, name.

    Raises:
        TransientError: The cluster could not be reached.
    """
    found = [row for name in removed for row in _objects(change, name)]
    where = change.environment
    get_run_logger().warning("%s leaves %s, with %d objects.", ", ".join(removed), where, len(found))
    told = "symphony.yaml names these applications no more; Argo CD prunes what they had."
    table(key_of("removed", where), f"Taken out of {where} by {change.commit[:12]}", found, told)
    return found


def _objects(change: Change, application: str) -> list[dict[str, object]]:
    path = APPLICATIONS.format(namespace=change.target.argocd.namespace)
    found: Object = cluster(change.target).get(f"{path}/{application_name(change.environment, application)}") or {}
    return [
        {
            "application": application,
            "kind": one.get("kind", ""),
            "namespace": one.get("namespace", ""),
            "name": one.get("name", ""),
        }
        for one in found.get("status", {}).get("resources", [])
    ]
