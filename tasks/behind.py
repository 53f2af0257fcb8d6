"""What lies behind a URL that fails: its Service, the Service's endpoints, and the pods that it selects."""

from __future__ import annotations

from prefect import task

from symphony.change import Change
from symphony.errors import SymphonyError
from tasks.answer import Target
from tasks.kubernetes import ENDPOINT_SLICES, PODS, SERVICES, Cluster, Object, cluster
from tasks.pods import fault_of
from tasks.retry import ONCE

_PODS = 8


@task(name="look behind", task_run_name="look behind {target.url}", **ONCE)
def look_behind(change: Change, target: Target) -> tuple[str, ...]:
    """What lies behind a URL, in clauses for people: the Service and its endpoints first, then a pod each.

    Args:
        change: The commit being released.
        target: What was asked.

    Returns:
        The clauses; one that says why it cannot be seen, where the cluster refuses or fails.
    """
    try:
        return behind(cluster(change.target), change.target.kubernetes.namespace, target.backend)
    except SymphonyError as error:
        return (f"what lies behind it cannot be seen: {error}",)


def behind(cluster: Cluster, namespace: str, backend: Object) -> tuple[str, ...]:
    """What lies behind a backend of an Ingress; see `look_behind`.

    Raises:
        TransientError: The cluster could not be reached.
        SymphonyError: It refused.
    """
    about = backend.get("service") or {}
    name = about.get("name", "")
    if not name:
        return (f"no Service, but {(backend.get('resource') or {}).get('kind', 'nothing that can be looked at')}",)
    service = cluster.get(f"{SERVICES.format(namespace=namespace)}/{name}")
    if service is None:
        return (f"there is no Service {name}",)
    port = about.get("port") or {}
    wanted = port.get("name") or port.get("number")
    ports = [one.get("name") if port.get("name") else one["port"] for one in service["spec"].get("ports") or []]
    lacks = "" if wanted in ports else f" has no port {wanted}, and"
    slices = cluster.objects(
        ENDPOINT_SLICES.format(namespace=namespace), labelSelector=f"kubernetes.io/service-name={name}"
    )
    endpoints = [one for part in slices for one in part.get("endpoints") or []]
    ready = sum((one.get("conditions") or {}).get("ready") is not False for one in endpoints)
    first = f"Service {name}{lacks} has {ready} of {len(endpoints)} endpoints ready"
    chosen = service["spec"].get("selector") or {}
    if not chosen:
        return (first,)
    labels = ",".join(f"{key}={value}" for key, value in sorted(chosen.items()))
    pods = cluster.objects(PODS.format(namespace=namespace), labelSelector=labels)
    return (first, *([_pod(one) for one in pods][:_PODS] or [f"no pod has its labels {labels}"]))


def _pod(pod: Object) -> str:
    status = pod.get("status", {})
    fault = fault_of(pod)
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", []))
    leaving = ", on its way out" if pod["metadata"].get("deletionTimestamp") else ""
    images = ", ".join(_short(one["image"]) for one in pod["spec"]["containers"])
    how = fault.sentence if fault else "ready" if ready else f"not ready, {status.get('phase', 'Unknown')}"
    return f"pod {pod['metadata']['name']} of {images}: {how}{leaving}"


def _short(image: str) -> str:
    """An image's digest as far as people read it, or else its name."""
    name, _, digest = image.partition("@")
    return digest[:19] or name
