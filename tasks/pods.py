"""Why an application does not come up: what its new pods say about themselves, as facts and as a page for people."""

from __future__ import annotations

from collections.abc import Iterable

from symphony.config import Environment
from symphony.markdown import escape, fence
from symphony.models import Fact
from tasks.kubernetes import DEPLOYMENTS, EVENTS, PODS, REPLICA_SETS, Cluster, Object

_LOG_LINES = 20
_EVENTS = 12
_PODS = 5
_RESTARTS = 2
"""A container that ended badly this often crashes, also while it is up again for a moment."""
_CRASH = "CrashLoopBackOff"
_UNPULLABLE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_UNSTARTABLE = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_FOR_GOOD = ("not found", "denied", "unauthorized", "forbidden", "no basic auth", "invalid", "manifest unknown")
_PASSING = frozenset({"ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError", "CreateContainerError"})
_HASH = "pod-template-hash"
NAME = "app.kubernetes.io/name"
"""The label that tells whose an object is (Kubernetes' recommended labels)."""
_REVISION = "deployment.kubernetes.io/revision"


class Fault(Fact):
    """What is wrong with one container, as the kubelet tells it.

    Attributes:
        pod: Name of the pod.
        container: Name of the container.
        reason: Kubernetes' word, such as ``CrashLoopBackOff``.
        message: What was said besides.
        exit_code: How it ended last; None where it never ran.
        restarts: How often it was started again.
        log: Its last lines.
    """

    pod: str
    container: str
    reason: str
    message: str = ""
    exit_code: int | None = None
    restarts: int = 0
    log: tuple[str, ...] = ()

    @property
    def for_good(self) -> bool:
        """Whether waiting cannot help."""
        return self.reason not in _PASSING or any(sign in self.message.lower() for sign in _FOR_GOOD)

    @property
    def sentence(self) -> str:
        """The fault in one clause, with the last line that the container wrote."""
        if self.reason in _UNPULLABLE:
            return f"the image of container {self.container} cannot be pulled ({self.reason}: {self.message})"
        if self.exit_code is None:
            return f"container {self.container} does not start ({self.reason}: {self.message})"
        ended = f"container {self.container} ended with exit code {self.exit_code} ({self.reason}"
        times = f", {self.restarts} restart{'s' * (self.restarts != 1)})"
        last = next((line for line in reversed(self.log) if line.strip()), "")
        return f"{ended}{times}" + (f"; its last log line: {last.strip()}" if last else "; it logged nothing")


class Diagnosis(Fact):
    """Why one application did not become healthy.

    Attributes:
        application: Its name.
        reason: What ended the wait, in one clause.
        faults: What is wrong with its containers.
        pending: Why pods have no node, as the scheduler says.
        conditions: Conditions of its Deployment that are not as they should be.
        events: Warnings about its objects, newest last.
        resources: Resources that Argo CD finds not healthy, where its API is asked.
        seconds: From the refresh to this verdict; 0 where it is not known.
    """

    application: str
    reason: str
    faults: tuple[Fault, ...] = ()
    pending: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def sentence(self) -> str:
        """The cause: the container to blame, else what ended the wait, with what the cluster says last about it."""
        if self.faults:
            return self.faults[0].sentence
        told = [self.reason, *self.pending[:1], *self.conditions[:1], *self.resources[:1], *self.events[-1:]]
        return "; ".join(one.rstrip(".") for one in told)

    @property
    def page(self) -> str:
        """The whole of it as Markdown."""
        after = f"Given up after {self.seconds:.1f} s: " if self.seconds else ""
        lines = [f"## {self.application}", "", f"{after}{escape(self.reason)}", ""]
        for fault in self.faults:
            code = "never ran" if fault.exit_code is None else f"exit code {fault.exit_code}"
            where = f"**Container {escape(fault.container)}** of pod {escape(fault.pod)}"
            lines += [
                f"{where}: {escape(fault.reason)}, {code}, {fault.restarts} restarts. {escape(fault.message)}",
                "",
                *(["Its last log lines:", "", fence("\n".join(fault.log)), ""] if fault.log else []),
            ]
        for title, found in (
            ("Waiting for a node", self.pending),
            ("Deployment", self.conditions),
            ("Warnings", self.events),
            ("Not healthy, as Argo CD sees it", self.resources),
        ):
            lines += [f"**{title}**", "", *[f"- {escape(one)}" for one in found], ""] if found else []
        return "\n".join(lines)


def fault_of(pod: Object) -> Fault | None:
    """The first container of a pod that will not come up by waiting; None where there is none (yet).

    A crash loop is one that the kubelet calls so, or a second bad end: the first may be a dependency that was late.
    """
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting") or {}
        ended = container.get("lastState", {}).get("terminated") or container.get("state", {}).get("terminated") or {}
        code, restarts = ended.get("exitCode"), container.get("restartCount", 0)
        reason = waiting.get("reason", "")
        crashes = reason == _CRASH or (restarts >= _RESTARTS and code not in {None, 0} and not container.get("ready"))
        if crashes or reason in _UNPULLABLE | _UNSTARTABLE:
            return Fault(
                pod=pod["metadata"]["name"],
                container=container["name"],
                reason=reason or ended.get("reason", "Error"),
                message=" ".join(str((ended if crashes else waiting).get("message", "")).split()),
                exit_code=code if crashes else None,
                restarts=restarts,
            )
    return None


def ended_badly(pod: Object) -> Fault | None:
    """How a pod that is not started again ended, such as a Job's; None where it did not, or ended well."""
    if pod.get("status", {}).get("phase") != "Failed":
        return None
    for container in pod["status"].get("containerStatuses", []):
        ended = container.get("state", {}).get("terminated") or {}
        if ended.get("exitCode"):
            return Fault(
                pod=pod["metadata"]["name"],
                container=container["name"],
                reason=ended.get("reason", "Error"),
                message=" ".join(str(ended.get("message", "")).split()),
                exit_code=ended["exitCode"],
            )
    return None


def newest_pods(
    cluster: Cluster, target: Environment, application: str, pods: Iterable[Object], since: str = ""
) -> list[Object]:
    """Those pods that belong to the newest ReplicaSet of the application's Deployments; an old version's do not count.

    Pods of no Deployment (a Job's, a StatefulSet's) count too; a Job's, such as the migration's that an earlier version
    left behind, where it was made since then (RFC 3339; empty where no sync has begun).

    Raises:
        TransientError: The cluster could not be reached.
    """
    candidates = [pod for pod in pods if not _of_job(pod) or (since and pod["metadata"]["creationTimestamp"] >= since)]
    if not any(_HASH in pod["metadata"].get("labels", {}) for pod in candidates):
        return candidates
    sets = cluster.objects(_in(REPLICA_SETS, target), labelSelector=selector(application))
    newest: dict[str, tuple[int, str]] = {}
    for one in sets:
        owner = next((ref["uid"] for ref in one["metadata"].get("ownerReferences", [])), one["metadata"]["uid"])
        revision = int(one["metadata"].get("annotations", {}).get(_REVISION, 0))
        newest[owner] = max(newest.get(owner, (-1, "")), (revision, one["metadata"]["labels"].get(_HASH, "")))
    hashes = {found for _, found in newest.values()}
    return [pod for pod in candidates if pod["metadata"].get("labels", {}).get(_HASH) in {None, *hashes}]


def settled(cluster: Cluster, target: Environment, application: str) -> bool:
    """Whether the Deployment controller has seen the application's Deployments as they are wanted now.

    Raises:
        TransientError: The cluster could not be reached.
    """
    found = cluster.objects(_in(DEPLOYMENTS, target), labelSelector=selector(application))
    return all(one["status"].get("observedGeneration", 0) >= one["metadata"]["generation"] for one in found)


def refusal(deployment: Object) -> str:
    """Why the cluster makes no pods of a Deployment as it is wanted now, such as a quota; empty where it does."""
    status = deployment.get("status", {})
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return ""
    for one in status.get("conditions", []):
        if (one["type"], one["status"]) == ("ReplicaFailure", "True"):
            return f"its pods are refused: {' '.join(str(one.get('message') or one.get('reason')).split())}"
    return ""


def diagnose(cluster: Cluster, target: Environment, application: str, reason: str, since: str = "") -> Diagnosis:
    """Gather why an application does not come up.

    Args:
        cluster: The environment's cluster.
        target: The environment.
        application: Its name.
        reason: What ended the wait, in one clause.
        since: When the sync that is looked into began (RFC 3339); empty where none has.

    Raises:
        TransientError: The cluster could not be reached.
    """
    every = cluster.objects(_in(PODS, target), labelSelector=selector(application))
    pods = newest_pods(cluster, target, application, every, since)
    faults = [(pod, fault) for pod in pods if (fault := fault_of(pod) or ended_badly(pod))][:_PODS]
    deployments = cluster.objects(_in(DEPLOYMENTS, target), labelSelector=selector(application))
    names = {one["metadata"]["name"] for one in [*pods, *deployments]}
    return Diagnosis(
        application=application,
        reason=reason,
        faults=tuple(_with_log(cluster, pod, fault) for pod, fault in faults),
        pending=tuple(_pending(pods)),
        conditions=tuple(_conditions(deployments)),
        events=_warnings(cluster.objects(_in(EVENTS, target), fieldSelector="type=Warning"), names, application),
    )


def selector(application: str) -> str:
    """Label selector of an application's objects."""
    return f"{NAME}={application}"


def _of_job(pod: Object) -> bool:
    return any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", []))


def _in(path: str, target: Environment) -> str:
    return path.format(namespace=target.kubernetes.namespace)


def _with_log(cluster: Cluster, pod: Object, fault: Fault) -> Fault:
    """The log of the container that ended, not of one that starts at this moment."""
    if fault.exit_code is None:
        return fault
    for previous in (True, False):
        if lines := cluster.log(pod, fault.container, previous=previous, lines=_LOG_LINES):
            return fault.model_copy(update={"log": tuple(lines)})
    return fault


def _pending(pods: Iterable[Object]) -> list[str]:
    return [
        f"pod {pod['metadata']['name']} has no node: {one.get('message', one.get('reason', ''))}"
        for pod in pods
        for one in pod.get("status", {}).get("conditions", [])
        if one["type"] == "PodScheduled" and one["status"] == "False"
    ]


def _conditions(deployments: Iterable[Object]) -> list[str]:
    good = {"Available": "True", "Progressing": "True", "ReplicaFailure": "False"}
    return [
        f"{one['metadata']['name']}: {condition.get('message') or condition.get('reason')}"
        for one in deployments
        for condition in one.get("status", {}).get("conditions", [])
        if good.get(condition["type"], condition["status"]) != condition["status"]
    ]


def _warnings(events: Iterable[Object], names: set[str], application: str) -> tuple[str, ...]:
    """Of several alike the last, in the order of time."""

    def about(event: Object) -> bool:
        name = event.get("involvedObject", {}).get("name", "")
        return name in names or name == application

    found = {
        f"{event['involvedObject']['kind']} {event['involvedObject']['name']}: {event.get('reason')}: "
        f"{' '.join(str(event.get('message', '')).split())}": _time(event)
        for event in events
        if about(event)
    }
    return tuple(sorted(found, key=lambda one: found[one]))[-_EVENTS:]


def _time(event: Object) -> str:
    stamps = (
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event["metadata"].get("creationTimestamp"),
    )
    return next((str(one) for one in stamps if one), "")
