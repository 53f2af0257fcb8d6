"""The cluster against the desired state: what Argo CD calls moved or unwell, what belongs to nothing, what runs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from prefect import task

from symphony.change import Change
from symphony.drift import Finding
from symphony.models import Desired
from tasks.argocd import application_name, syncs_by_itself
from tasks.kubernetes import APPLICATIONS, PODS, Cluster, MissingError, Object, cluster
from tasks.pods import selector
from tasks.retry import TRANSIENT

_TRACKED = "argocd.argoproj.io/tracking-id"
"""Annotation by which Argo CD knows what is its own."""
_KINDS = {
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "StatefulSet": "/apis/apps/v1/namespaces/{namespace}/statefulsets",
    "DaemonSet": "/apis/apps/v1/namespaces/{namespace}/daemonsets",
    "ReplicaSet": "/apis/apps/v1/namespaces/{namespace}/replicasets",
    "Pod": PODS,
    "Job": "/apis/batch/v1/namespaces/{namespace}/jobs",
    "CronJob": "/apis/batch/v1/namespaces/{namespace}/cronjobs",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "PersistentVolumeClaim": "/api/v1/namespaces/{namespace}/persistentvolumeclaims",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets",
}
"""What an application is made of and a person may leave behind; Secrets are left to whoever may read them."""
_CLUSTERS_OWN = {"ConfigMap/kube-root-ca.crt"}
_SHORT = len("sha256:") + 12
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@task(name="look at cluster", task_run_name="look at the cluster of {change.environment}", **TRANSIENT)
def look_at_cluster(change: Change, desired: Mapping[str, Desired]) -> tuple[Finding, ...]:
    """What of an environment's applications is not as its branch says, and what there belongs to none.

    Args:
        change: The environment.
        desired: What its branch says about each application.

    Returns:
        Findings of the areas ``cluster`` and ``images``.

    Raises:
        TransientError: The cluster could not be reached.
        SymphonyError: It refused.
    """
    target = change.target
    here = cluster(target)
    namespace = target.kubernetes.namespace
    label = {"labelSelector": f"symphony/environment={change.environment}"}
    listed = here.objects(APPLICATIONS.format(namespace=target.argocd.namespace), **label)
    applications = {one["metadata"]["name"]: one for one in listed}
    with ThreadPoolExecutor(max_workers=len(_KINDS)) as pool:
        objects = dict(zip(_KINDS, pool.map(lambda path: _all(here, path, namespace), _KINDS.values()), strict=True))
    there = {f"{kind}/{one['metadata']['name']}" for kind, ones in objects.items() for one in ones}
    found: list[Finding] = []
    for name in sorted(desired):
        application = applications.get(application_name(change.environment, name))
        found += [
            Finding(area="cluster", kind="drift", where=name, what=what, told=told)
            for what, told in _moved(application, there)
        ]
    for name, entry in sorted(desired.items()):
        found += _images(name, entry, objects["Pod"])
    found += [
        Finding(area="cluster", kind="stray", where=namespace, what=what, told="it belongs to no application")
        for kind, ones in objects.items()
        for one in ones
        if (what := f"{kind}/{one['metadata']['name']}") not in _CLUSTERS_OWN and _stray(one)
    ]
    return tuple(found)


def _moved(application: Object | None, there: Collection[str]) -> Iterator[tuple[str, str]]:
    """What Argo CD says of an application, by resource where it tells them apart."""
    if application is None:
        yield "Application", "Argo CD has no such application"
        return
    if not syncs_by_itself(application):
        yield "auto-sync", "it is switched off"
    status = application.get("status", {})
    sync, health = status.get("sync", {}).get("status", "Unknown"), status.get("health", {}).get("status", "Unknown")
    if sync != "Synced":
        apart = [one for one in status.get("resources", ()) if one.get("status") == "OutOfSync"]
        for one in apart:
            what = f"{one['kind']}/{one['name']}"
            gone = one["kind"] in _KINDS and what not in there
            yield what, "it is gone" if gone else "it is not as the commit has it"
        if not apart:
            yield "sync", f"its sync status is {sync}"
    if health not in {"Healthy", "Progressing"}:
        yield "health", f"its health is {health}"


def _images(application: str, entry: Desired, pods: list[Object]) -> Iterator[Finding]:
    """Pods of an application that run another image than the desired state has; what belongs to a Job has ended."""
    label, value = selector(application).split("=")
    for pod in pods:
        meta = pod["metadata"]
        owners = {one["kind"] for one in meta.get("ownerReferences", ())}
        if meta.get("labels", {}).get(label) != value or "deletionTimestamp" in meta or "Job" in owners:
            continue
        running = {
            digest
            for one in pod.get("status", {}).get("containerStatuses", ())
            for digest in _DIGEST.findall(one.get("imageID", ""))
        }
        if running and entry.digest not in running:
            now = ", ".join(one[:_SHORT] for one in sorted(running))
            told = f"it runs {now}, the desired state has {entry.digest[:_SHORT]}"
            # By what stays the same when the pod is made anew.
            template = meta.get("labels", {}).get("pod-template-hash", meta["name"])
            yield Finding(area="images", kind="drift", where=application, what=f"pods {template}", told=told)


def _all(here: Cluster, path: str, namespace: str) -> list[Object]:
    try:
        return here.objects(path.format(namespace=namespace))
    except MissingError:
        return []  # a cluster without that kind


def _stray(one: Object) -> bool:
    """Whether neither Argo CD nor Helm nor a controller made it."""
    meta = one["metadata"]
    made = meta.get("labels", {}).get("app.kubernetes.io/managed-by", "")
    return not meta.get("ownerReferences") and _TRACKED not in meta.get("annotations", {}) and made != "Helm"
