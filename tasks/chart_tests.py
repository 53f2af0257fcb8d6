"""The pods of a chart's ``helm test``: Argo CD makes no Helm release and never runs them, so they are run here."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from prefect import task

from symphony.change import Change
from symphony.config import branch_of
from symphony.errors import SmokeError, SymphonyError
from symphony.markdown import escape, fence
from symphony.models import Fact
from symphony.outside import MalformedError, read_documents
from tasks.desired import entries_at, unpack
from tasks.git import git, head, work_home
from tasks.helm import template
from tasks.kubernetes import PODS, Cluster, Object, cluster
from tasks.pods import ended_badly, fault_of
from tasks.retry import ONCE

OWNER = "symphony.dev/tests-of"
"""Label of the pods that are made here: the application they test."""
RUN = "symphony.dev/test-run"
"""Label of those of one run."""
_HOOK, _WEIGHT = "helm.sh/hook", "helm.sh/hook-weight"
_ENDED = frozenset({"Succeeded", "Failed"})
_LOG_LINES = 20
_NAME = 50
_GRACE = 60
"""Seconds after its limit at which a pod of a run that died is taken away."""


class ChartTest(Fact):
    """A test pod that was run.

    Attributes:
        application: Whose it is.
        name: What the chart calls it.
        seconds: From its making to its end.
        problem: Why it failed; empty where it succeeded.
        log: Its last lines.
    """

    application: str
    name: str
    seconds: float
    problem: str = ""
    log: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What failed, in one clause."""
        return f"test pod {self.name} of {self.application}: {self.problem.rstrip('.')}".replace("  ", " ")

    @property
    def page(self) -> str:
        """Its problem and its log, as Markdown."""
        told = [f"#### {escape(f'test pod {self.name} of {self.application}')}", "", escape(self.problem), ""]
        return "\n".join([*told, *([fence("\n".join(self.log))] if self.log else [])])


class ChartTestsError(SmokeError):
    """Test pods of an application failed, or could not be run.

    Attributes:
        tests: Those that were run, or one that says why none was.
    """

    def __init__(self, tests: Sequence[ChartTest]) -> None:
        """Tell each that failed."""
        self.tests = tuple(tests)
        super().__init__("; ".join(one.sentence for one in tests if one.problem))


@task(name="find test pods", task_run_name="find test pods in {change.environment}", **ONCE)
def with_tests(change: Change, applications: Sequence[str]) -> tuple[str, ...]:
    """Those of some applications whose charts, as the environment has them, seem to have test pods.

    Args:
        change: The commit being released.
        applications: Their names.
    """
    revision = head(change.mirror, branch_of(change.environment))
    known = change.configuration.applications
    if not revision or not any(known[name].smoke.tests for name in applications):
        return ()
    asked = ("grep", "--name-only", "--fixed-strings", _HOOK, revision, "--", "charts")
    found = git(*asked, cwd=change.mirror, ok=(0, 1))
    charts = {line.partition(":")[2].split("/")[1] for line in found.splitlines()}
    return tuple(name for name in applications if name in charts and known[name].smoke.tests)


@task(name="test pods", task_run_name="test pods of {application}", **ONCE)
def run_chart_tests(change: Change, application: str) -> tuple[ChartTest, ...]:
    """Render an application's test pods as its desired state has them, run them, read their logs, remove them.

    Those of one weight run side by side, those of a greater one after them; after one that failed, none follows.

    Args:
        change: The commit being released.
        application: Its name.

    Returns:
        What came of each; nothing where the chart has none.

    Raises:
        ChartTestsError: One failed, or they could not be run.
    """
    done: list[ChartTest] = []
    try:
        _run_all(change, application, done)
    except SymphonyError as error:
        done.append(ChartTest(application=application, name="", seconds=0, problem=f"it cannot be run: {error}"))
    if any(one.problem for one in done):
        raise ChartTestsError(done)
    return tuple(done)


def _run_all(change: Change, application: str, done: list[ChartTest]) -> None:
    limit = change.configuration.applications[application].smoke.tests or 0
    if not (found := chart_test_pods(change, application)):
        return
    here, where = cluster(change.target), PODS.format(namespace=change.target.kubernetes.namespace)
    _sweep(here, where, application, limit)
    deadline = time.monotonic() + limit
    for _, pods in groupby(found, key=_weight):
        done += _run(here, where, application, list(pods), deadline)
        if any(one.problem for one in done):
            return


def chart_test_pods(change: Change, application: str) -> list[Object]:
    """The test pods of an application's chart with the values that it is live with, in the order they are run.

    Raises:
        SmokeError: A test is no pod.
        ToolError: The chart does not render.
    """
    revision = head(change.mirror, branch_of(change.environment))
    entry = entries_at(change.mirror, revision, [application]).get(application) if revision else None
    if entry is None or revision is None:
        return []
    with tempfile.TemporaryDirectory(dir=work_home()) as folder:
        unpack(change.mirror, revision, [entry], Path(folder))
        text = template(entry, Path(folder), change.target.kubernetes.namespace)
    try:
        found = [one for one in read_documents(text) if one and _is_test(one)]
    except (AttributeError, MalformedError) as error:
        raise SmokeError(f"What {application}'s chart gives cannot be read: {error}") from error
    if other := [one for one in found if one["kind"] != "Pod"]:
        raise SmokeError(
            f"The test {other[0]['metadata']['name']} of {application}'s chart is a {other[0]['kind']}; only pods "
            "are run. Make it a Pod."
        )
    return sorted(found, key=lambda one: (_weight(one), one["metadata"]["name"]))


def _is_test(one: Object) -> bool:
    hooks = str((one["metadata"].get("annotations") or {}).get(_HOOK, "")).split(",")
    return any(hook.strip() in {"test", "test-success"} for hook in hooks)


def _weight(one: Object) -> int:
    return int((one["metadata"].get("annotations") or {}).get(_WEIGHT, 0))


def _run(here: Cluster, where: str, application: str, pods: Sequence[Object], deadline: float) -> list[ChartTest]:
    """Run pods side by side until all have ended."""
    run = secrets.token_hex(3)
    names = {f"{pod['metadata']['name'][:_NAME]}-{run}": pod["metadata"]["name"] for pod in pods}
    started = time.monotonic()
    try:
        for name, pod in zip(names, pods, strict=True):
            here.create(where, _made(pod, name, application, run, deadline - started))
        ended = dict(_ends(here, where, run, len(pods), deadline))
        return [_told(here, application, names[name], ended.get(name), started) for name in names]
    finally:
        for name in names:
            with contextlib.suppress(SymphonyError):  # the next run takes away what stays
                here.delete(f"{where}/{name}")


def _made(pod: Object, name: str, application: str, run: str, seconds: float) -> Object:
    """A pod as the chart has it, by a name of this run's own, and with an end also where this run dies."""
    meta = pod["metadata"]
    labels = {**(meta.get("labels") or {}), OWNER: application, RUN: run}
    spec = {"activeDeadlineSeconds": max(1, round(seconds)), **pod["spec"], "restartPolicy": "Never"}
    return {**pod, "metadata": {**meta, "name": name, "labels": labels}, "spec": spec}


def _ends(here: Cluster, where: str, run: str, count: int, deadline: float) -> Iterator[tuple[str, Any]]:
    """Each pod as it ends, and in the end those that have not, as they are."""
    stop = threading.Event()
    seen: dict[str, Object] = {}
    for kind, found in here.watch(where, deadline, stop, labelSelector=f"{RUN}={run}"):
        for pod in found["items"] if kind == "SYNCED" else [found]:
            seen[pod["metadata"]["name"]] = pod
        if sum(pod["status"].get("phase") in _ENDED for pod in seen.values()) == count:
            break
    yield from seen.items()


def _told(here: Cluster, application: str, name: str, pod: Object | None, started: float) -> ChartTest:
    made = {"application": application, "name": name, "seconds": round(time.monotonic() - started, 3)}
    if pod is None:
        return ChartTest.model_validate({**made, "problem": "the cluster never showed it"})
    log = tuple(here.log(pod, pod["spec"]["containers"][0]["name"], previous=False, lines=_LOG_LINES))
    phase = pod["status"].get("phase", "Unknown")
    if phase == "Succeeded":
        return ChartTest.model_validate({**made, "log": log})
    fault = ended_badly(pod) or fault_of(pod)
    if fault:
        problem = fault.model_copy(update={"log": log}).sentence
    elif phase == "Failed":
        problem = f"it failed ({pod['status'].get('reason', 'no reason told')})"
    else:
        problem = f"it has not ended in time, and is {phase}"
    return ChartTest.model_validate({**made, "problem": problem, "log": log})


def _sweep(here: Cluster, where: str, application: str, limit: float) -> None:
    """Take away what a run that died has left."""
    for pod in here.objects(where, labelSelector=f"{OWNER}={application}"):
        made = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
        if (datetime.now(UTC) - made).total_seconds() > limit + _GRACE:
            here.delete(f"{where}/{pod['metadata']['name']}")
