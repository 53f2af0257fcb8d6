"""Following applications until Argo CD has them live, or until it is clear that they will not be."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from prefect import task
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from symphony.change import Change
from symphony.errors import SymphonyError, TransientError
from symphony.models import Commit, Rollout
from tasks.argocd import Judgement, application_name, judge, reach, refresh, refresh_set
from tasks.desired import standing
from tasks.kubernetes import APPLICATIONS, PODS, Cluster, Object, cluster
from tasks.pods import Diagnosis, Fault, diagnose, fault_of, newest_pods, selector, settled
from tasks.retry import ONCE, TRANSIENT

_TICK = 0.25
_ASK_AGAIN = 1.5
"""Seconds after which Argo CD is asked to look again where it has not seen the commit yet."""
_NUDGE = 3.0
_DEGRADED = 5.0
"""Seconds that an application must stay degraded: it can be so for a moment while a rollout begins."""
_SILENCE = 60.0
"""Seconds in which Argo CD must say anything about an application that it was asked to look at."""
_PATIENCE = 15.0
"""Seconds given to a fault that may pass: a registry that hiccups, a Secret that another controller makes."""
_FOR_GOOD = ("not found", "denied", "unauthorized", "forbidden", "no basic auth", "invalid", "manifest unknown")
_PASSING = frozenset({"ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError", "CreateContainerError"})


@dataclass(frozen=True)
class Outcome:
    """What became of a wait.

    Attributes:
        live: Applications that are live, or gone where they were removed.
        failed: Why the others are not.
    """

    live: tuple[Rollout, ...]
    failed: tuple[Diagnosis, ...]


class RolloutError(SymphonyError):
    """Some applications did not come up.

    Attributes:
        outcome: What became of each.
    """

    def __init__(self, outcome: Outcome) -> None:
        """Tell the reasons in one sentence."""
        self.outcome = outcome
        super().__init__("; ".join(f"{one.application} did not come up: {one.sentence}" for one in outcome.failed))


@task(name="reach Argo CD", task_run_name="reach Argo CD of {change.environment}", **TRANSIENT)
def reach_argocd(change: Change) -> None:
    """Make sure that the cluster answers and has Argo CD, before anything is written.

    Args:
        change: The commit being released.

    Raises:
        BadInputError: The kubeconfig does not know the environment's context, or Argo CD is not there.
        TransientError: The cluster could not be reached.
    """
    reach(change.target)


@task(name="refresh Argo CD", task_run_name="refresh Argo CD for {change.environment}", **TRANSIENT)
def refresh_applications(change: Change, applications: Sequence[str], *, whole: bool) -> None:
    """Make Argo CD look at the branch now.

    Args:
        change: The commit being released.
        applications: Applications that were moved.
        whole: Whether applications came or went, so that the ApplicationSet has to look too.

    Raises:
        TransientError: The cluster could not be reached.
        SymphonyError: The cluster refused.
    """
    refresh(change.target, change.environment, applications)
    if whole:
        refresh_set(change.target)


@task(name="wait until live", task_run_name="wait until live in {change.environment}", **ONCE)
def wait_until_live(change: Change, commit: Commit, applications: Sequence[str], gone: Sequence[str] = ()) -> Outcome:
    """Watch Argo CD and the pods until every application is live at a commit of the desired state, or cannot be.

    Args:
        change: The commit being released.
        commit: Commit of the desired state.
        applications: Those that the commit moved.
        gone: Those that it took out.

    Returns:
        What became of each.

    Raises:
        RolloutError: Some are not live, for good or when the time was over.
        BadInputError: The kubeconfig does not know the environment's context.
    """
    outcome = _Wait(change, commit, tuple(applications), tuple(gone)).run()
    if outcome.failed:
        raise RolloutError(outcome)
    return outcome


@dataclass
class _Seen:
    """What a wait knows about one application."""

    judgement: Judgement = field(
        default_factory=lambda: Judgement("silent", "Argo CD has no application of that name yet")
    )
    asked: float = field(default_factory=time.monotonic)
    degraded: float | None = None
    faulty: float | None = None


class _Wait:
    """One wait for several applications, side by side: one watch of Applications, one of pods."""

    def __init__(self, change: Change, commit: Commit, applications: tuple[str, ...], gone: tuple[str, ...]) -> None:
        self._change = change
        self._commit = commit
        self._target = change.target
        self._cluster: Cluster = cluster(change.target)
        self._started = time.monotonic()
        self._deadline = self._started + change.target.argocd.timeout
        self._names = {application_name(change.environment, name): name for name in (*applications, *gone)}
        self._waiting = {name: _Seen() for name in applications}
        self._leaving = set(gone)
        self._applications: dict[str, Object] = {}
        self._pods: dict[str, Object] = {}
        self._complete = False
        self._nudged = self._started
        self._events: queue.Queue[tuple[str, str, Object | SymphonyError]] = queue.Queue()
        self._live: list[Rollout] = []
        self._failed: list[Diagnosis] = []

    def run(self) -> Outcome:
        stop = threading.Event()
        one = {"fieldSelector": f"metadata.name={next(iter(self._names))}"} if len(self._names) == 1 else {}
        chosen = {"labelSelector": f"app.kubernetes.io/name in ({','.join(sorted(self._names.values()))})"}
        self._follow("applications", APPLICATIONS.format(namespace=self._target.argocd.namespace), stop, one)
        self._follow("pods", PODS.format(namespace=self._target.kubernetes.namespace), stop, chosen)
        try:
            while self._waiting or self._leaving:
                self._take()
                with contextlib.suppress(TransientError):  # looked at again in a moment, as long as there is time
                    for name in list(self._waiting):
                        self._look(name)
                    self._nudge()
                if time.monotonic() > self._deadline:
                    self._give_up()  # nothing waits after this
        finally:
            stop.set()
        return Outcome(tuple(self._live), tuple(self._failed))

    def _follow(self, what: str, path: str, stop: threading.Event, query: dict[str, str]) -> None:
        def follow() -> None:
            try:
                for kind, found in self._cluster.watch(path, self._deadline, stop, **query):
                    self._events.put((what, kind, found))
            except SymphonyError as error:
                self._events.put((what, "REFUSED", error))

        threading.Thread(target=follow, name=f"watch {what}", daemon=True).start()

    def _take(self) -> None:
        """Wait a moment for news, then take in all there is."""
        try:
            news = [self._events.get(timeout=_TICK)]
            while not self._events.empty():
                news.append(self._events.get_nowait())
        except queue.Empty:
            return
        for what, kind, found in news:
            if isinstance(found, SymphonyError):
                self._give_up(str(found))
                return
            self._store(self._applications if what == "applications" else self._pods, kind, found)
            self._complete = self._complete or what == "applications"

    def _store(self, into: dict[str, Object], kind: str, found: Object) -> None:
        if kind == "SYNCED":
            into.clear()
            into.update({one["metadata"]["name"]: one for one in found["items"]})
        elif kind == "DELETED":
            into.pop(found["metadata"]["name"], None)
        else:
            into[found["metadata"]["name"]] = found

    def _look(self, name: str) -> None:
        """Judge one application by what is known now."""
        seen = self._waiting[name]
        application = self._applications.get(application_name(self._change.environment, name))
        if application is None or "deletionTimestamp" in application["metadata"]:
            self._silent(name, seen.judgement)
            return
        judgement = judge(application, lambda revision: standing(self._change, revision, self._commit, name))
        if judgement.reason != seen.judgement.reason:
            _log().info("%s: %s.", application["metadata"]["name"], judgement.reason)
        seen.judgement = judgement
        if judgement.state == "live":
            seconds = round(time.monotonic() - self._started, 3)
            self._live.append(Rollout(application=name, revision=judgement.revision, health="Healthy", seconds=seconds))
            del self._waiting[name]
        elif judgement.state == "failed":
            self._fail(name, judgement.reason)
        elif judgement.state == "silent":
            self._silent(name, judgement)
        elif judgement.state == "stale" and time.monotonic() - seen.asked > _ASK_AGAIN:
            seen.asked = time.monotonic()
            refresh(self._target, self._change.environment, [name])
        else:
            self._health(name, seen)

    def _silent(self, name: str, judgement: Judgement) -> None:
        if time.monotonic() - self._started > _SILENCE:
            self._fail(name, f"{judgement.reason} after {_SILENCE:.0f} s; are its controllers running?")

    def _health(self, name: str, seen: _Seen) -> None:
        """Fail early where waiting cannot help: a container that crashes, an image that is not there, Degraded."""
        now = time.monotonic()
        if fault := self._fault(name, seen.judgement):
            seen.faulty = seen.faulty or now
            if _for_good(fault) or now - seen.faulty > _PATIENCE:
                self._fail(name, f"pod {fault.pod} does not come up: {fault.reason}")
                return
        else:
            seen.faulty = None
        if seen.judgement.state != "degraded":
            seen.degraded = None
            return
        seen.degraded = seen.degraded or now
        if now - seen.degraded > _DEGRADED and settled(self._cluster, self._target, name):
            self._fail(name, seen.judgement.reason)

    def _fault(self, name: str, judgement: Judgement) -> Fault | None:
        """A fault of a pod that the commit brought; one of an old version's pods does not count."""
        if judgement.state not in {"applied", "degraded"} and not judgement.since:
            return None
        label, value = selector(name).split("=")
        pods = [
            pod
            for pod in self._pods.values()
            if pod["metadata"].get("labels", {}).get(label) == value
            and (judgement.state != "waiting" or pod["metadata"]["creationTimestamp"] >= judgement.since)
            and fault_of(pod)
        ]
        if not pods or not settled(self._cluster, self._target, name):
            return None
        return next(map(fault_of, newest_pods(self._cluster, self._target, name, pods)), None)

    def _fail(self, name: str, reason: str) -> None:
        try:
            self._failed.append(diagnose(self._cluster, self._target, name, reason))
        except SymphonyError as error:
            self._failed.append(Diagnosis(application=name, reason=f"{reason}; why cannot be seen: {error}"))
        del self._waiting[name]

    def _nudge(self) -> None:
        """Ask for what the ApplicationSet has not made or taken away yet."""
        if not self._complete:
            return
        for name in sorted(self._leaving):
            if application_name(self._change.environment, name) not in self._applications:
                self._leaving.discard(name)
                seconds = round(time.monotonic() - self._started, 3)
                self._live.append(Rollout(application=name, health="removed", seconds=seconds))
        known = {self._names.get(name) for name in self._applications}
        missing = [name for name in self._waiting if name not in known]
        if (missing or self._leaving) and time.monotonic() - self._nudged > _NUDGE:
            self._nudged = time.monotonic()
            refresh_set(self._target)

    def _give_up(self, why: str = "") -> None:
        limit = f"after {self._target.argocd.timeout:.0f} s"
        for name in list(self._waiting):
            self._fail(name, why or f"{self._waiting[name].judgement.reason} {limit}")
        for name in sorted(self._leaving):
            self._failed.append(Diagnosis(application=name, reason=why or f"Argo CD has not removed it {limit}"))
        self._leaving.clear()


def _for_good(fault: Fault) -> bool:
    """Whether waiting cannot help."""
    return fault.reason not in _PASSING or any(sign in fault.message.lower() for sign in _FOR_GOOD)


def _log() -> logging.Logger | logging.LoggerAdapter[logging.Logger]:
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger(__name__)
