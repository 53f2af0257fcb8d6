"""Argo CD: asked to look, and judged by what its Applications say afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol

from symphony.application_set import MADE_FROM, objects
from symphony.config import Configuration, Environment
from symphony.errors import BadInputError, SymphonyError
from symphony.models import Commit
from symphony.outside import understood
from tasks.argocd_resources import REFRESH, Resources
from tasks.argocd_server import server
from tasks.kubernetes import MissingError, Object, cluster
from tasks.standing import Standing

_SIDE_BY_SIDE = 8
_TRIES = 5
_SEEN_SECONDS = 0.3
"""After which a controller that was about to write has written."""
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
        hook: The hook that it waits for; empty where it waits for none.
    """

    state: Literal["silent", "waiting", "stale", "manual", "unsynced", "applied", "degraded", "live", "failed"]
    reason: str
    revision: str = ""
    since: str = ""
    hook: str = ""


def application_name(environment: str, application: str) -> str:
    """Name of the Application object."""
    return f"{environment}-{application}"


def link(target: Environment, environment: str, application: str) -> str:
    """Address of an application's page in Argo CD."""
    url = target.argocd.url.rstrip("/")
    return f"{url}/applications/{target.argocd.namespace}/{application_name(environment, application)}"


class Access(Protocol):
    """What is asked of Argo CD, whichever way; see `Resources` and `Server`."""

    def set(self) -> Object | None:
        """The ApplicationSet."""

    def make(self, project: Object, application_set: Object) -> None:
        """Make the project and the ApplicationSet."""

    def refresh(self, name: str) -> None:
        """Make it compare an application now."""

    def refresh_set(self) -> None:
        """Make the ApplicationSet look now."""

    def get(self, name: str) -> Object | None:
        """The Application."""

    def project(self, application: Object) -> Object | None:
        """The AppProject that an Application is in."""

    def sync(self, application: Object, commit: Commit) -> bool:
        """Sync an application, as it was seen last, to a commit; false where somebody else was faster."""

    def terminate(self, application: Object) -> bool:
        """End the sync that runs for an application, as it was seen last; false where it changed meanwhile."""

    def watch(self, deadline: float, stop: threading.Event, name: str = "") -> Iterator[tuple[str, Object]]:
        """Every change of the Applications, or of one."""

    def unwell(self, name: str) -> tuple[str, ...]:
        """Resources of an application that are not healthy, each as a clause."""


def access(target: Environment) -> Access:
    """The way to an environment's Argo CD: its API where ``symphony.yaml`` has ``argocd.api``, else Kubernetes.

    Raises:
        BadInputError: The kubeconfig does not know the environment's context.
    """
    if target.argocd.api:
        return server(target.argocd.api, target.argocd.namespace)
    return Resources(cluster(target), target.argocd.namespace)


def reach(configuration: Configuration, environment: str) -> bool:
    """Make sure that Argo CD is there to act, before anything is written.

    Its project and ApplicationSet are made where they are missing, and again where ``symphony.yaml`` has changed what
    they are made from; those that somebody else made are left alone.

    Returns:
        Whether they were made.

    Raises:
        BadInputError: The kubeconfig does not know the environment's context, Argo CD is not in that cluster, or it
            refuses the token.
        TransientError: It could not be reached.
        SymphonyError: It refused.
    """
    target = configuration.environments[environment]
    way, made = access(target), objects(configuration, environment)
    found = way.set()
    marks = (((one or {}).get("metadata") or {}).get("annotations") or {} for one in (found, made[1]))
    there, ours = (one.get(MADE_FROM) for one in marks)
    if found is not None and there in {None, ours}:
        return False
    try:
        way.make(*made)
    except MissingError as error:
        raise BadInputError(
            f"The cluster {target.kubernetes.context} has no Argo CD in the namespace {target.argocd.namespace}; "
            f"install it there, or correct argocd.namespace in symphony.yaml ({error})."
        ) from error
    return True


def refresh(target: Environment, environment: str, applications: Sequence[str]) -> None:
    """Make Argo CD compare applications with their branch now; those it does not have yet are passed over.

    Raises:
        TransientError: Argo CD could not be reached.
    """
    way = access(target)
    with ThreadPoolExecutor(max_workers=_SIDE_BY_SIDE) as pool:
        list(pool.map(lambda name: way.refresh(application_name(environment, name)), applications))


def end_operation(way: Access, name: str) -> bool:
    """End the sync that runs for an Application, with the hooks that it waits for.

    Asked until it is seen: the controller looks for the word before it writes how far a sync is, and what is written in
    between is lost.

    Args:
        way: Argo CD of the environment.
        name: Name of the Application.

    Returns:
        Whether one ran and is being ended.

    Raises:
        TransientError: Argo CD could not be reached.
        SymphonyError: It goes on all the same.
    """
    asked = False
    for _ in range(_TRIES):
        now = way.get(name) or {}
        if (now.get("status", {}).get("operationState") or {}).get("phase") != "Running":
            return asked
        if way.terminate(now):
            asked = True
            time.sleep(_SEEN_SECONDS)
    raise SymphonyError(f"The sync of {name} goes on, though it was asked {_TRIES} times to end.")


def syncs_by_itself(application: Object) -> bool:
    """Whether an Application's auto-sync is on."""
    automated = (application["spec"].get("syncPolicy") or {}).get("automated")
    return automated is not None and automated.get("enabled") is not False


def judge(application: Object, stands: Callable[[str], Standing]) -> Judgement:
    """Read an Application's status, believing nothing that may be older than the question.

    Live is only what is synced to the commit (or a later one that carries it), by an operation that succeeded, with
    a health that was reconciled after it.

    Args:
        application: The Application.
        stands: How a revision stands to the commit that is waited for.
    """
    with understood("What Argo CD says of an Application"):
        return _judged(application, stands)


def _judged(application: Object, stands: Callable[[str], Standing]) -> Judgement:
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
    if ours and (why := _hook(operation, {"Failed", "Error"}) or ended):
        return Judgement("failed", why, revision, since)
    if phase in {"Running", "Terminating"} or "operation" in application:
        reason = f"the sync is {phase or 'about to start'}: {message}".rstrip(": ")
        return Judgement("waiting", reason, revision, since, _hook(operation, {"Running"}) if ours else "")
    if status["sync"].get("status") != "Synced":
        if not syncs_by_itself(application):
            # What moved after the sync is not brought back by itself either.
            looked = str(status.get("reconciledAt", "")) > str(operation.get("finishedAt", ""))
            state: Literal["waiting", "manual"] = "waiting" if ours and not looked else "manual"
            return Judgement(state, "it is not synced yet, and its auto-sync is off", revision, since)
        return Judgement("waiting" if ours else "unsynced", "it is not synced yet", revision, since)
    if str(status.get("reconciledAt", "")) < str(operation.get("finishedAt", "")):
        return Judgement("waiting", "its health is not reconciled after the sync yet", revision, since)
    health = status.get("health", {}).get("status", "Unknown")
    states: dict[str, Literal["live", "degraded"]] = {"Healthy": "live", "Degraded": "degraded"}
    return Judgement(states.get(health, "applied"), f"it is synced, and its health is {health}", revision, since)


def _hook(operation: Object, phases: Collection[str]) -> str:
    """The first hook in one of some phases, as a clause.

    One that failed ends the deploy: Argo CD would try the sync again, and a failed migration is not repeated.
    """
    for one in (operation.get("syncResult") or {}).get("resources") or []:
        if one.get("hookType") and one.get("hookPhase") in phases:
            said = f"failed: {' '.join(str(one.get('message', '')).split())}" if one["hookPhase"] != "Running" else ""
            return f"its {one['hookType']} hook {one['kind']} {one['name']} {said}".rstrip()
    return ""


def _asked(operation: Object) -> str:
    return str(((operation.get("operation") or {}).get("sync") or {}).get("revision", ""))
