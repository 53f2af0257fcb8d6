"""Argo CD, through its Application resources: asked to look, and judged by what it says afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from symphony.config import Environment
from symphony.errors import BadInputError, SymphonyError
from symphony.models import Commit
from tasks.desired import Standing
from tasks.kubernetes import APPLICATION_SETS, APPLICATIONS, ConflictError, Object, cluster

REFRESH = "argocd.argoproj.io/refresh"
"""Makes the controller compare at once, with the branch resolved anew; it is taken off together with the answer."""
_SET_REFRESH = "argocd.argoproj.io/application-set-refresh"
_SET = "symphony"
_SIDE_BY_SIDE = 8
_TRIES = 5
_WRONG = frozenset({"ComparisonError", "InvalidSpecError", "UnknownError"})
_PASSING = (
    "code = unavailable",
    "code = deadlineexceeded",
    "connection refused",
    "connection reset",
    "transport is closing",
    "i/o timeout",
    "context deadline exceeded",
)
"""Signs of a repo server or remote that is down for a moment."""


@dataclass(frozen=True)
class Judgement:
    """What an Application says about a commit of the desired state.

    Attributes:
        state: ``silent`` while Argo CD has said nothing yet; ``waiting`` for it to go on by itself; ``stale`` when it
            must be asked to look again; ``manual`` where it must be synced by hand, since auto-sync is off;
            ``unsynced`` while auto-sync has not begun; ``applied`` once the cluster has what the commit says, health
            aside; ``degraded`` when that is unwell; ``live``; or ``failed`` for good.
        reason: In one clause.
        revision: The synced revision.
        since: When the operation that brought it began (RFC 3339); empty where none was needed.
    """

    state: Literal["silent", "waiting", "stale", "manual", "unsynced", "applied", "degraded", "live", "failed"]
    reason: str
    revision: str = ""
    since: str = ""


def application_name(environment: str, application: str) -> str:
    """Name of the Application object."""
    return f"{environment}-{application}"


def link(target: Environment, environment: str, application: str) -> str:
    """Address of an application's page in Argo CD."""
    url = target.argocd.url.rstrip("/")
    return f"{url}/applications/{target.argocd.namespace}/{application_name(environment, application)}"


def reach(target: Environment) -> None:
    """Make sure that Argo CD is there to act, before anything is written.

    Raises:
        BadInputError: The kubeconfig does not know the environment's context, or Argo CD is not in that cluster.
        TransientError: The cluster could not be reached.
        SymphonyError: The cluster refused.
    """
    path = f"{APPLICATION_SETS.format(namespace=target.argocd.namespace)}/{_SET}"
    if cluster(target).get(path) is None:
        raise BadInputError(
            f"The cluster {target.kubernetes.context} has no ApplicationSet {_SET!r} in the namespace "
            f"{target.argocd.namespace}; install Argo CD with it, or correct argocd.namespace in symphony.yaml."
        )


def refresh(target: Environment, environment: str, applications: Sequence[str]) -> None:
    """Make Argo CD compare applications with their branch now; those it does not have yet are passed over.

    Raises:
        TransientError: The cluster could not be reached.
    """
    folder = APPLICATIONS.format(namespace=target.argocd.namespace)
    here = cluster(target)

    def ask(name: str) -> None:
        path = f"{folder}/{application_name(environment, name)}"
        here.merge(path, {"metadata": {"annotations": {REFRESH: "normal"}}})

    with ThreadPoolExecutor(max_workers=_SIDE_BY_SIDE) as pool:
        list(pool.map(ask, applications))


def refresh_set(target: Environment) -> None:
    """Make the ApplicationSet look for new and removed applications now.

    Raises:
        TransientError: The cluster could not be reached.
    """
    path = f"{APPLICATION_SETS.format(namespace=target.argocd.namespace)}/{_SET}"
    cluster(target).merge(path, {"metadata": {"annotations": {_SET_REFRESH: "true"}}})


def sync(target: Environment, application: Object, commit: Commit) -> bool:
    """Sync an application whose auto-sync is off to a commit, by its own sync options.

    Args:
        target: The environment.
        application: The Application, as it was seen last.
        commit: Commit of the desired state.

    Returns:
        Whether it was asked for; somebody may have been faster.

    Raises:
        TransientError: The cluster could not be reached.
    """
    policy = application["spec"].get("syncPolicy") or {}
    asked: Object = {"revision": commit, "prune": True, "syncOptions": policy.get("syncOptions", [])}
    operation = {"initiatedBy": {"username": "symphony"}, "sync": asked, "retry": policy.get("retry") or {"limit": 0}}
    return _if_unchanged(target, application, {"operation": operation})


def end_operation(target: Environment, application: Object) -> bool:
    """End the sync that runs for an application, with the hooks that it waits for.

    Args:
        target: The environment.
        application: The Application, as it was seen last.

    Returns:
        Whether one ran and is being ended.

    Raises:
        TransientError: The cluster could not be reached.
        SymphonyError: It changes faster than it can be ended.
    """
    path = f"{APPLICATIONS.format(namespace=target.argocd.namespace)}/{application['metadata']['name']}"
    for _ in range(_TRIES):
        now = cluster(target).get(path) or {}
        if (now.get("status", {}).get("operationState") or {}).get("phase") != "Running":
            return False
        # What Argo CD's own API does: https://argo-cd.readthedocs.io/en/stable/user-guide/commands/argocd_app_terminate-op/
        if _if_unchanged(target, now, {"status": {"operationState": {"phase": "Terminating"}}}):
            return True
    raise SymphonyError(f"The sync of {application['metadata']['name']} changed each time it was to be ended.")


def _if_unchanged(target: Environment, application: Object, change: Object) -> bool:
    """Merge a change where nobody else has changed the Application since it was read."""
    about = application["metadata"]
    path = f"{APPLICATIONS.format(namespace=target.argocd.namespace)}/{about['name']}"
    version = {"metadata": {"resourceVersion": about.get("resourceVersion")}}
    try:
        return cluster(target).merge(path, {**change, **version}) is not None
    except ConflictError:
        return False


def judge(application: Object, stands: Callable[[str], Standing]) -> Judgement:
    """Read an Application's status, believing nothing that may be older than the question.

    Live is only what is synced to the commit (or a later one that carries it), by an operation that succeeded, with
    a health that was reconciled after it.

    Args:
        application: The Application.
        stands: How a revision stands to the commit that is waited for.
    """
    status = application.get("status", {})
    if REFRESH in application["metadata"].get("annotations", {}):
        return Judgement("silent", "Argo CD has not looked yet")
    if wrong := [one for one in status.get("conditions", []) if one.get("type") in _WRONG]:
        return _refused(str(wrong[0]["type"]), str(wrong[0].get("message", "")))
    revision = status.get("sync", {}).get("revision", "")
    if not revision:
        return Judgement("silent", "Argo CD has not compared it yet")
    stand = stands(revision)
    if stand == "overtaken":
        return Judgement("failed", f"the later commit {revision[:12]} of the desired state has it otherwise", revision)
    if stand == "other":
        return Judgement("stale", f"Argo CD is still at {revision[:12]}", revision)
    return _operation(application, revision, stands)


def _refused(kind: str, message: str) -> Judgement:
    said = " ".join(message.split())
    passing = any(sign in said.lower() for sign in _PASSING)
    return Judgement("stale" if passing else "failed", f"Argo CD cannot compare it ({kind}: {said})")


def _operation(application: Object, revision: str, stands: Callable[[str], Standing]) -> Judgement:
    """The second half of `judge`: the revision is right; is it applied, and well?"""
    status = application["status"]
    operation = status.get("operationState") or {}
    phase, message = operation.get("phase", ""), " ".join(str(operation.get("message", "")).split())
    brought = (operation.get("syncResult") or {}).get("revision") or _asked(operation)
    ours = bool(brought) and stands(brought) == "carries"
    since = operation.get("startedAt", "") if ours else ""
    ended = f"the sync ended as {phase}: {message}" if phase in {"Failed", "Error"} else ""
    if ours and (why := _failed_hook(operation) or ended):
        return Judgement("failed", why, revision)
    if phase in {"Running", "Terminating"} or "operation" in application:
        return Judgement("waiting", f"the sync is {phase or 'about to start'}: {message}".rstrip(": "), revision, since)
    if status["sync"].get("status") != "Synced":
        automated = (application["spec"].get("syncPolicy") or {}).get("automated")
        if automated is None or automated.get("enabled") is False:
            state: Literal["waiting", "manual"] = "waiting" if ours else "manual"
            return Judgement(state, "it is not synced yet, and its auto-sync is off", revision, since)
        return Judgement("waiting" if ours else "unsynced", "it is not synced yet", revision, since)
    if str(status.get("reconciledAt", "")) < str(operation.get("finishedAt", "")):
        return Judgement("waiting", "its health is not reconciled after the sync yet", revision, since)
    health = status.get("health", {}).get("status", "Unknown")
    states: dict[str, Literal["live", "degraded"]] = {"Healthy": "live", "Degraded": "degraded"}
    return Judgement(states.get(health, "applied"), f"it is synced, and its health is {health}", revision, since)


def _failed_hook(operation: Object) -> str:
    """The hook that failed, as a clause; Argo CD would try the sync again, and a failed migration is not repeated."""
    for one in (operation.get("syncResult") or {}).get("resources") or []:
        if one.get("hookType") and one.get("hookPhase") in {"Failed", "Error"}:
            message = " ".join(str(one.get("message", "")).split())
            return f"its {one['hookType']} hook {one['kind']} {one['name']} failed: {message}"
    return ""


def _asked(operation: Object) -> str:
    return str(((operation.get("operation") or {}).get("sync") or {}).get("revision", ""))
