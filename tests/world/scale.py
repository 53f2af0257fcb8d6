"""Three workers, thirty releases of ten applications at once, and one worker lost in the middle: ``make scale``.

Not among the tests that `make test` runs, as it takes many minutes; `RELEASES=6` makes it shorter.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.deploy import many
from deployments.client import Run
from sandbox import daemon, manifest
from sandbox.lifecycle import up
from sandbox.prefect import choice, worker_environment
from sandbox.prefect.part import LAUNCHER, WORKER
from sandbox.world import World
from tests.world.seat import NUMBERS, Seat, until

ENVIRONMENT = "dev"
NAMES = [f"many-{number:03}" for number in range(10)]
RELEASES, WORKERS = int(os.environ.get("RELEASES") or 30), 3
KILLED_AFTER = RELEASES // 4
"""So many have ended."""
SECONDS = 1500
MAPS = f"/api/v1/namespaces/{ENVIRONMENT}/configmaps"
REFRESH = {"metadata": {"annotations": {"argocd.argoproj.io/application-set-refresh": "true"}}}
SET = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets/symphony"
RUNNING = ["PENDING", "RUNNING"]


class Fleet:
    """Workers of this machine, each with a launcher of its own, in place of the sandbox's."""

    def __init__(self, world: World, folder: Path) -> None:
        for name in (WORKER, LAUNCHER):
            daemon.stop(world, name)
        command = [sys.executable, "-P", "-c", "from cli.main import main; main()", "worker", "--name"]
        environment = worker_environment(world) | {daemon.MARK: str(world.state)}
        self.names = [f"scale-{number}" for number in range(WORKERS)]
        self.processes = []
        for name in self.names:
            with (folder / f"{name}.log").open("wb") as log:
                started = subprocess.Popen(
                    [*command, name], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
                )
            self.processes.append(psutil.Process(started.pid))

    def of(self, run: dict[str, Any]) -> psutil.Process | None:
        """The worker that a run is with: its process is the worker's own child."""
        number = int(str(run["infrastructure_pid"] or "").rpartition(":")[2] or 0)
        for worker in self.processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                if number in {child.pid for child in worker.children()}:
                    return worker
        return None

    def end(self, *workers: psutil.Process) -> None:
        """End them with all that they started, at once, as the loss of their machine would."""
        for worker in workers:
            tree = [worker, *worker.children(recursive=True)] if worker.is_running() else []
            for process in tree:
                process.kill()
            psutil.wait_procs(tree, timeout=10)


class Place(Seat):
    """Ten applications that are a ConfigMap each."""

    def lay_out(self) -> None:
        self.git("fetch", "--quiet", "origin")
        self.git("checkout", "--quiet", "--force", "--detach", "origin/main")
        for name, text in many(NAMES, (self.copy / "symphony.yaml").read_text()).items():
            (self.copy / name).parent.mkdir(parents=True, exist_ok=True)
            (self.copy / name).write_text(text)

    def commit(self, name: str = "", note: str = "") -> str:
        """The next commit: an application has another note."""
        if name:
            chart = self.copy / f"charts/{name}/templates/map.yaml"
            told = f"data: {{digest: {{{{ .Values.image.digest | quote }}}}, note: {note}}}"
            text = re.sub(r"^data: .*$", told, chart.read_text(), flags=re.MULTILINE)
            chart.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", f"try {name} {note}")
        return self.git("rev-parse", "HEAD")

    def notes(self) -> dict[str, str]:
        """What the cluster has."""
        with manifest.api(self.world) as api:
            found = manifest.request(api, "GET", MAPS)["items"]
        return {
            one["metadata"]["name"]: one["data"].get("note", "") for one in found if one["metadata"]["name"] in NAMES
        }

    def states(self, ids: list[str]) -> Counter[str]:
        return Counter(str(one["state_name"]) for one in self.runs(ids))

    def runs(self, ids: list[str]) -> list[dict[str, Any]]:
        body = {"flow_runs": {"id": {"any_": ids}}, "limit": 200}
        return list(self.api.call("POST", "/flow_runs/filter", body))


@pytest.fixture
def place(world: World, tmp_path: Path) -> Iterator[Place]:
    """Takes the applications out again by hand in the end."""
    place = Place.take(world, tmp_path)
    yield place
    place.git("fetch", "--quiet", "origin")
    place.git("checkout", "--quiet", "--force", "--detach", f"origin/env/{ENVIRONMENT}")
    place.git("rm", "-r", "--quiet", "--ignore-unmatch", "applications/many-*", "charts/many-*")
    place.git("commit", "--quiet", "--allow-empty", "--message", "Take the many out")
    place.git("push", "--quiet", "origin", f"HEAD:env/{ENVIRONMENT}")
    with manifest.api(world) as api:
        manifest.merge(api, SET, REFRESH)


@pytest.fixture
def fleet(place: Place, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(place.world, tmp_path)
    yield fleet
    fleet.end(*fleet.processes)
    up(place.world)


def moment(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


@pytest.mark.timeout(SECONDS + 600)
def test_thirty_releases_on_three_workers_of_which_one_is_lost(
    place: Place, fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    place.lay_out()
    base = place.commit()
    branch = f"try-scale-{next(NUMBERS)}"
    place.git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")

    def online() -> bool:
        body = {"workers": {"status": {"any_": ["ONLINE"]}}}
        found = {one["name"] for one in place.api.call("POST", "/work_pools/symphony/workers/filter", body)}
        return set(fleet.names) <= found

    until(online, "the workers", 120)
    first = place.start("release", ENVIRONMENT, commit=base)
    assert first.succeeded, first.message
    place.git("fetch", "--quiet", "origin")
    before = place.git("rev-parse", f"origin/env/{ENVIRONMENT}")
    wanted = [(NAMES[number % len(NAMES)], f"n{number}") for number in range(RELEASES)]
    commits = [place.commit(name, note) for name, note in wanted]
    place.git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
    began = time.monotonic()
    queued = [place.api.start("release", ENVIRONMENT, {"commit": commit}) for commit in commits]
    ids = [run.id for run in queued]
    final = {"Completed", "Superseded", "Failed", "Crashed", "Cancelled"}

    def ended() -> int:
        return sum(count for name, count in place.states(ids).items() if name in final)

    until(lambda: ended() >= KILLED_AFTER, "the first releases", SECONDS)

    def busy() -> psutil.Process | None:
        running = [one for one in place.runs(ids) if one["state_name"] == "Running"]
        return next((worker for one in running if (worker := fleet.of(one))), None)

    fleet.end(until(busy, "a worker with a run under way", 120))
    killed = time.monotonic()
    until(lambda: ended() == RELEASES, "the end of all releases", SECONDS)
    seconds = time.monotonic() - began
    found = {one["id"]: one for one in place.runs(ids)}
    crashed = [commit for commit, one in zip(commits, ids, strict=True) if found[one]["state_name"] == "Crashed"]
    again = [place.start("release", ENVIRONMENT, commit=commit) for commit in crashed]
    with capsys.disabled():
        sys.stdout.write(
            f"\n{RELEASES} releases of {len(NAMES)} applications queued at once, {WORKERS} workers of which one was "
            f"killed after {killed - began:.0f} s, Prefect on {choice.chosen(place.world)}: all ended within "
            f"{seconds:.0f} s; {told(list(found.values()))}; started again: {[run.state_name for run in again]}\n"
        )
    check(place, commits, [Run.model_validate(found[one]) for one in ids], again, before)
    assert place.notes() == dict.fromkeys(NAMES, "") | dict(wanted)
    spans = sorted((moment(one["start_time"]), moment(one["end_time"])) for one in found.values() if one["start_time"])
    assert all(start >= end for (_, end), (start, _) in itertools.pairwise(spans)), "two at once"


def check(place: Place, commits: list[str], runs: list[Run], again: list[Run], before: str) -> None:
    """Each is live or superseded, what was lost with its worker once it is started again, and nothing is doubled."""
    states = [run.state_name for run in runs]
    assert set(states) <= {"Completed", "Superseded", "Crashed"}, [run.message for run in runs if not run.succeeded]
    assert states.count("Crashed") <= 1
    assert all(run.succeeded for run in again), [run.message for run in again]
    place.git("fetch", "--quiet", "origin")
    written = place.git("log", "--format=%B", f"{before}..origin/env/{ENVIRONMENT}")
    live = [commit for commit, state in zip(commits, states, strict=True) if state == "Completed"]
    assert all(commit[:12] in written for commit in live)
    count = int(place.git("rev-list", "--count", f"{before}..origin/env/{ENVIRONMENT}"))
    assert len(live) <= count <= len(live) + states.count("Crashed")


def told(found: list[dict[str, Any]]) -> str:
    states = Counter(str(one["state_name"]) for one in found)
    took = [moment(one["end_time"]) - moment(one["start_time"]) for one in found if one["state_name"] == "Completed"]
    return f"ended as {dict(states)}; one that went live took {statistics.median(took or [0]):.1f} s (median)"
