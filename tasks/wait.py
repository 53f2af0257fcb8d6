"""One wait for several applications: their Application resources, Deployments and pods, watched side by side."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass, field, replace

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from symphony.change import Change
from symphony.errors import SymphonyError, TransientError
from symphony.models import Commit, Rollout
from tasks.argocd import Judgement, access, application_name, end_operation, judge
from tasks.kubernetes import Cluster, Object, cluster
from tasks.pods import Diagnosis, Fault, diagnose, fault_of, newest_pods, refusal, settled
from tasks.progress import Progress, Step, step
from tasks.standing import standing
from tasks.sync_windows import holding
from tasks.watches import Watches

_ASK_AGAIN = 1.5
"""Seconds after which Argo CD is asked to look again where it has not seen the commit yet."""
_NUDGE = 3.0
_DEGRADED = 5.0
"""Seconds that an application must stay degraded: it can be so for a moment while a rollout begins."""
_SILENCE = 60.0
"""Seconds in which Argo CD must say anything about an application that it was asked to look at."""
_PATIENCE = 15.0
"""Seconds given to a fault that may pass: a registry that hiccups, a Secret that another controller makes."""
_REFUSED = 8.0
"""Seconds given to a quota that refuses pods: those of the old version may be about to go."""
_HELD = 5.0
"""Seconds out of sync with no operation, after which a sync window is looked for."""


@dataclass(frozen=True)
class Outcome:
    """What became of a wait.

    Attributes:
        live: Applications that are live, or gone where they were removed.
        failed: Why the others are not.
    """

    live: tuple[Rollout, ...]
    failed: tuple[Diagnosis, ...]


@dataclass
class _Seen:
    """What a wait knows about one application."""

    judgement: Judgement = field(
        default_factory=lambda: Judgement("silent", "Argo CD has no application of that name yet")
    )
    asked: float = field(default_factory=time.monotonic)
    degraded: float | None = None
    faulty: float | None = None
    refused: float | None = None
    unsynced: float | None = None
    hook: str = ""
    hooked: float = 0.0
    by_hand: bool = False


class Wait:
    """One wait: a judgement of each application after all that the watches tell."""

    def __init__(
        self,
        change: Change,
        commit: Commit,
        applications: tuple[str, ...],
        gone: tuple[str, ...],
        progress: Progress,
    ) -> None:
        """Begin to count the time; `run` does the rest."""
        self._progress = progress
        self._change = change
        self._commit = commit
        self._target = change.target
        self._cluster: Cluster = cluster(change.target)
        self._argocd = access(change.target)
        self._started = time.monotonic()
        self._deadline = self._started + change.target.argocd.timeout
        self._names = {application_name(change.environment, name): name for name in (*applications, *gone)}
        self._waiting = {name: _Seen() for name in applications}
        self._leaving = set(gone)
        self._watches = Watches(change.target, self._cluster, self._argocd, self._names)
        self._nudged = self._started
        self._live: list[Rollout] = []
        self._failed: list[Diagnosis] = []

    def run(self) -> Outcome:
        """Watch until every application is live, or cannot be, or the time is over."""
        self._watches.begin(self._deadline)
        try:
            while self._waiting or self._leaving:
                try:
                    self._watches.take()
                except SymphonyError as error:
                    self._give_up(str(error))
                with contextlib.suppress(TransientError):  # looked at again in a moment, as long as there is time
                    for name in list(self._waiting):
                        self._look(name)
                    self._nudge()
                self._progress.show(self._steps())
                if time.monotonic() > self._deadline:
                    self._give_up()  # nothing waits after this
        finally:
            self._watches.end()
            self._progress.show(self._steps(), last=True)
        return Outcome(tuple(self._live), tuple(self._failed))

    def _look(self, name: str) -> None:
        """Judge one application by what is known now."""
        seen = self._waiting[name]
        application = self._watches.applications.get(application_name(self._change.environment, name))
        if application is None or "deletionTimestamp" in application["metadata"]:
            self._silent(name, seen.judgement)
            return
        judgement = self._judged(name, seen, application)
        if judgement.reason != seen.judgement.reason:
            _log().info("%s: %s.", application["metadata"]["name"], judgement.reason)
        seen.judgement = judgement
        if judgement.state == "live":
            seconds = round(time.monotonic() - self._started, 3)
            found = Rollout(application=name, revision=judgement.revision, health="Healthy", seconds=seconds)
            self._live.append(found.model_copy(update={"by_hand": seen.by_hand}))
            del self._waiting[name]
        elif judgement.state == "failed":
            self._fail(name, judgement.reason)
        elif judgement.state == "silent":
            self._silent(name, judgement)
        elif judgement.state == "stale" and time.monotonic() - seen.asked > _ASK_AGAIN:
            seen.asked = time.monotonic()
            self._argocd.refresh(application["metadata"]["name"])
        elif judgement.state == "manual":
            self._sync(name, application)
        elif judgement.state == "unsynced":
            self._held(name, seen, application)
        elif not self._hangs(name, seen):
            self._health(name, seen)

    def _judged(self, name: str, seen: _Seen, application: Object) -> Judgement:
        found = judge(application, lambda revision: standing(self._change, revision, self._commit, name))
        # What does not stay in sync is not synced over and over.
        return replace(found, state="waiting") if found.state == "manual" and seen.by_hand else found

    def _hangs(self, name: str, seen: _Seen) -> bool:
        """Fail where one hook takes longer than it may, however long the deploy itself may take."""
        now, limit = time.monotonic(), self._target.argocd.hook_timeout
        if seen.hook != seen.judgement.hook:
            seen.hook, seen.hooked = seen.judgement.hook, now
        if not seen.hook or now - seen.hooked < limit:
            return False
        self._fail(name, f"{seen.hook} has not ended after {limit:.0f} s, its time limit (argocd.hook_timeout)")
        return True

    def _sync(self, name: str, application: Object) -> None:
        """Sync by hand what Argo CD does not by itself, unless a window forbids that too."""
        if why := holding(self._argocd.project(application), application, by_hand=True):
            self._fail(name, why)
        elif self._argocd.sync(application, self._commit):
            self._waiting[name].by_hand = True
            _log().info("%s: auto-sync is off; synced to %s.", application["metadata"]["name"], self._commit[:12])

    def _held(self, name: str, seen: _Seen, application: Object) -> None:
        """Tell a sync window from an Argo CD that has just not begun yet."""
        seen.unsynced = seen.unsynced or time.monotonic()
        if time.monotonic() - seen.unsynced > _HELD and (
            why := holding(self._argocd.project(application), application)
        ):
            self._fail(name, why)

    def _silent(self, name: str, judgement: Judgement) -> None:
        if time.monotonic() - self._started > _SILENCE:
            self._fail(name, f"{judgement.reason} after {_SILENCE:.0f} s; are its controllers running?")

    def _health(self, name: str, seen: _Seen) -> None:
        """Fail early where waiting cannot help: a container that crashes, an image that is not there, Degraded."""
        now = time.monotonic()
        if fault := self._fault(name, seen.judgement):
            seen.faulty = seen.faulty or now
            if fault.for_good or now - seen.faulty > _PATIENCE:
                self._fail(name, f"pod {fault.pod} does not come up: {fault.reason}")
                return
        else:
            seen.faulty = None
        if why := self._refusal(name, seen.judgement):
            seen.refused = seen.refused or now
            if now - seen.refused > _REFUSED:
                self._fail(name, why)
                return
        else:
            seen.refused = None
        if seen.judgement.state != "degraded":
            seen.degraded = None
            return
        seen.degraded = seen.degraded or now
        if now - seen.degraded > _DEGRADED and settled(self._cluster, self._target, name):
            self._fail(name, seen.judgement.reason)

    def _refusal(self, name: str, judgement: Judgement) -> str:
        """Why the cluster makes no pod of what the commit brought, such as a quota; empty where it does."""
        if judgement.state not in {"applied", "degraded"} and not judgement.since:
            return ""
        return next((why for one in self._watches.deployments(name) if (why := refusal(one))), "")

    def _fault(self, name: str, judgement: Judgement) -> Fault | None:
        """A fault of a pod that the commit brought; one of an old version's pods does not count."""
        if judgement.state not in {"applied", "degraded"} and not judgement.since:
            return None
        pods = [
            pod
            for pod in self._watches.pods(name)
            if (judgement.state != "waiting" or pod["metadata"]["creationTimestamp"] >= judgement.since)
            and fault_of(pod)
        ]
        if not pods or not settled(self._cluster, self._target, name):
            return None
        newest = newest_pods(self._cluster, self._target, name, pods, judgement.since)
        return next(map(fault_of, newest), None)

    def _fail(self, name: str, reason: str) -> None:
        full = application_name(self._change.environment, name)
        try:
            found = diagnose(self._cluster, self._target, name, reason, self._waiting[name].judgement.since)
            more = {"resources": self._argocd.unwell(full), "seconds": time.monotonic() - self._started}
            self._failed.append(found.model_copy(update=more))
        except SymphonyError as error:
            self._failed.append(Diagnosis(application=name, reason=f"{reason}; why cannot be seen: {error}"))
        del self._waiting[name]
        self._end(name)

    def _end(self, name: str) -> None:
        """End what Argo CD still does for one that failed, such as a hook that hangs, so that the undo can sync."""
        application = self._watches.applications.get(application_name(self._change.environment, name))
        if application is None:
            return
        try:
            if end_operation(access(self._target), application["metadata"]["name"]):
                _log().warning("%s: its sync was ended.", application["metadata"]["name"])
        except SymphonyError as error:
            _log().warning("%s: its sync could not be ended: %s", application["metadata"]["name"], error)

    def _steps(self) -> list[Step]:
        """How far each application is."""
        ended = {one.application: "live" for one in self._live} | {one.application: "failed" for one in self._failed}
        steps = []
        for full, name in self._names.items():
            now = ended.get(name) or (self._waiting[name].judgement.reason if name in self._waiting else "leaving")
            steps.append(step(name, self._watches.applications.get(full), tuple(self._watches.deployments(name)), now))
        return steps

    def _nudge(self) -> None:
        """Ask for what the ApplicationSet has not made or taken away yet."""
        if not self._watches.complete:
            return
        for name in sorted(self._leaving):
            if application_name(self._change.environment, name) not in self._watches.applications:
                self._leaving.discard(name)
                seconds = round(time.monotonic() - self._started, 3)
                self._live.append(Rollout(application=name, health="removed", seconds=seconds))
        known = {self._names.get(name) for name in self._watches.applications}
        missing = [name for name in self._waiting if name not in known]
        if (missing or self._leaving) and time.monotonic() - self._nudged > _NUDGE:
            self._nudged = time.monotonic()
            self._argocd.refresh_set()

    def _give_up(self, why: str = "") -> None:
        limit = f"after {self._target.argocd.timeout:.0f} s"
        for name in list(self._waiting):
            self._fail(name, why or f"{self._waiting[name].judgement.reason} {limit}")
        for name in sorted(self._leaving):
            self._failed.append(Diagnosis(application=name, reason=why or f"Argo CD has not removed it {limit}"))
        self._leaving.clear()


def _log() -> logging.Logger | logging.LoggerAdapter[logging.Logger]:
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger(__name__)
