"""A deploy against the raw commands, a hundred applications in one commit, and the time to a crash's verdict.

Run ``make bench NAME=deploy``; the sandbox must be up and have released once (``make demo`` does both).
"""

from __future__ import annotations

import argparse
import itertools
import re
import statistics
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.kept import conclude, positive_number
from cli.world import world as find_world
from deployments.client import PrefectApi, Run
from sandbox import manifest
from sandbox.demo import Push
from sandbox.git import git_environment
from sandbox.world import HOST, World
from symphony.errors import SymphonyError
from symphony.tool import run

_LIMIT_SECONDS = 600
_POLL_SECONDS = 0.05
_LIVE_AFTER = re.compile(r"is live in dev after ([\d.]+) s")
_WAIT = "wait until live in "
_CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Values.application }}, labels: {app.kubernetes.io/name: {{ .Values.application }}}}
data: {digest: {{ .Values.image.digest | quote }}}
"""
_NUMBERS = itertools.count(int(time.time()))


class Bench:
    """A working copy whose branches start no release, the flow ``deploy`` of dev, and the raw commands."""

    def __init__(self, world: World, folder: Path) -> None:
        """Clone what both sides need, which is not measured."""
        self._world = world
        self._copy, self._state = folder / "copy", folder / "state"
        self._env = {
            **git_environment(world),
            "KUBECONFIG": str(world.kubeconfig),
            "PATH": world.path,
            **{f"GIT_{who}_{what}": "raw@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        self.api = PrefectApi(f"{world.prefect_url}/api", f"admin:{world.secret('prefect-password')}")
        self._run("git", "clone", "--quiet", world.git_remote, str(self._copy), cwd=folder)
        self._run("git", "clone", "--quiet", "--branch", "env/dev", world.git_remote, str(self._state), cwd=folder)

    def branch(self, files: Mapping[str, str | None]) -> str:
        """A branch beside main's head with files written, taken away, or added to where a text begins with a plus."""
        self._git("fetch", "--quiet", "origin")
        self._git("checkout", "--quiet", "--force", "--detach", "origin/main")
        for name, text in files.items():
            path = self._copy / name
            if text is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(path.read_text() + text[1:] if text.startswith("+") else text, encoding="utf-8")
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message", "bench")
        name = f"bench-{next(_NUMBERS)}"
        self._git("push", "--quiet", "origin", f"HEAD:refs/heads/{name}")
        return name

    def publish(self, files: Mapping[str, str | None]) -> Run:
        """The same on main itself: the release that follows, as it ends."""
        self.branch(files)
        self._git("push", "--quiet", "--push-option=trigger=api", "origin", "HEAD:main")
        keys = Push(self._git("rev-parse", "HEAD"), "").keys
        released = next(run for key in keys if (run := self.api.find(key)))
        return self._succeeded(self._followed(released))

    def ended(self, flow: str, environment: str = "dev", limit: float = _LIMIT_SECONDS, **parameters: object) -> Run:
        """A run of a flow that went well, as it ends.

        Raises:
            SymphonyError: It ended otherwise, or not within so many seconds.
        """
        return self._succeeded(self._followed(self.api.start(flow, environment, parameters), limit))

    def text(self, name: str) -> str:
        """A file of main's head."""
        self._git("fetch", "--quiet", "origin")
        return self._git("show", f"origin/main:{name}") + "\n"

    def deploy(self, branch: str, images: dict[str, str]) -> Run:
        """A run of ``deploy``, as it ends."""
        parameters: dict[str, Any] = {"environment": "dev", "commit": branch, "images": images, "force": True}
        return self._followed(self.api.start("deploy", "dev", parameters))

    def spans(self, ended: Run) -> tuple[float, float, float]:
        """Seconds a run took, those of its first wait for Argo CD, and when that wait ended (seconds since 1970)."""
        whole = self.api.call("GET", f"/flow_runs/{ended.id}")
        body = {"flow_runs": {"id": {"any_": [ended.id]}}, "sort": "EXPECTED_START_TIME_ASC", "limit": 200}
        wait = next(one for one in self.api.call("POST", "/task_runs/filter", body) if one["name"].startswith(_WAIT))
        run_seconds = moment(whole["end_time"]) - moment(whole["start_time"])
        return run_seconds, moment(wait["end_time"]) - moment(wait["start_time"]), moment(wait["end_time"])

    def raw(self, greeting: str) -> float:
        """Seconds that commit, push, refresh and watch take by hand."""
        self._git("pull", "--quiet", "--rebase", copy=self._state)
        file = self._state / "charts/hello/values.dev.yaml"
        text = "\n".join(line for line in file.read_text().splitlines() if not line.startswith("env: {BENCH"))
        started = time.monotonic()
        file.write_text(f"{text}\nenv: {{BENCH: {greeting!r}}}\n")
        self._git("commit", "--quiet", "--all", "--message", greeting, copy=self._state)
        self._git("push", "--quiet", copy=self._state)
        commit = self._git("rev-parse", "HEAD", copy=self._state)
        refresh = "argocd.argoproj.io/refresh=normal"
        self._run("kubectl", "annotate", "--overwrite", "--namespace", "argocd", "applications", "dev-hello", refresh)
        for path, value in (("sync.revision", commit), ("operationState.syncResult.revision", commit),
                            ("operationState.phase", "Succeeded"), ("health.status", "Healthy")):  # fmt: skip
            condition = f"--for=jsonpath={{.status.{path}}}={value}"
            self._run("kubectl", "wait", "--namespace", "argocd", "applications/dev-hello", condition, "--timeout=300s")
        return time.monotonic() - started

    def remove(self, names: list[str]) -> None:
        """Take applications out of the desired state by hand; Argo CD does the rest in its own time."""
        self._git("fetch", "--quiet", "origin")
        self._git("checkout", "--quiet", "--force", "--detach", "origin/env/dev")
        for name in names:
            self._git("rm", "-r", "--quiet", f"applications/{name}.yaml", f"charts/{name}")
        self._git("commit", "--quiet", "--message", "bench is over")
        self._git("push", "--quiet", "origin", "HEAD:env/dev")

    def first_crash(self) -> float:
        """When a container of hello ended badly first (seconds since 1970), among the events of its newest pods."""
        with manifest.api(self._world) as connection:
            found = manifest.read(connection, "/api/v1/namespaces/dev/pods") or {"items": []}
        ends = [
            moment(ended["finishedAt"])
            for pod in found["items"]
            for container in pod["status"].get("containerStatuses", [])
            for state in (container.get("state", {}), container.get("lastState", {}))
            if (ended := state.get("terminated")) and ended.get("exitCode")
        ]
        return min(ends, default=0.0)

    def digest(self) -> str:
        """The digest that hello answers with now."""
        url = f"http://{HOST}:{self._world.ports.ingress}/version"
        return str(httpx.get(url, headers={"Host": "hello.dev.localhost"}, timeout=5).json()["digest"])

    def _followed(self, run: Run, limit: float = _LIMIT_SECONDS) -> Run:
        deadline = time.monotonic() + limit
        for now, _ in self.api.follow(run.id):
            if time.monotonic() > deadline:
                raise SymphonyError(f"{now.name} has not ended after {limit:g} s.")
            run = now
        return run

    @staticmethod
    def _succeeded(run: Run) -> Run:
        if not run.succeeded:
            raise SymphonyError(f"{run.name} ended as {run.state_name}: {run.message}")
        return run

    def _git(self, *arguments: str, copy: Path | None = None) -> str:
        return self._run("git", *arguments, cwd=copy or self._copy)

    def _run(self, *argv: str, cwd: Path | None = None) -> str:
        return run(argv, cwd=cwd, env=self._env).stdout.strip()


def moment(stamp: str) -> float:
    """A time as Prefect and Kubernetes tell it, in seconds since 1970."""
    return datetime.fromisoformat(stamp).timestamp()


def _ours(bench: Bench, number: int) -> float:
    branch = bench.branch({"charts/hello/values.dev.yaml": f"+env: {{BENCH: 'ours {number}'}}\n"})
    ended = bench.deploy(branch, {"hello": bench.digest()})
    if not (found := _LIVE_AFTER.search(ended.message)):
        raise SymphonyError(f"The deploy ended as {ended.state_name}: {ended.message}")
    return float(found[1])


def many(names: list[str], configuration: str) -> dict[str, str]:
    """Files of applications that are a ConfigMap each, beside those that a ``symphony.yaml`` has."""
    base = "    build_args: *base\n" if "&base" in configuration else ""
    told = "".join(
        f"  {name}:\n    source: apps/hello\n    chart: charts/{name}\n    repository: '{{environment}}/hello'\n{base}"
        for name in names
    )
    files = {"symphony.yaml": configuration.replace("\nenvironments:", f"{told}\nenvironments:", 1)}
    for name in names:
        files[f"charts/{name}/Chart.yaml"] = f"apiVersion: v2\nname: {name}\nversion: 0.1.0\n"
        files[f"charts/{name}/templates/map.yaml"] = _CONFIG_MAP
    return files


def _hundred(bench: Bench, count: int) -> tuple[float, float]:
    """Seconds of the whole run and of its wait, for many applications that are a ConfigMap each."""
    names = [f"many-{number:03}" for number in range(count)]
    branch = bench.branch(many(names, bench.text("symphony.yaml")))
    ended = bench.deploy(branch, dict.fromkeys(names, bench.digest()))
    if not ended.succeeded:
        raise SymphonyError(f"The deploy of {count} applications ended as {ended.state_name}: {ended.message}")
    whole, wait, _ = bench.spans(ended)
    bench.remove(names)
    return whole, wait


def _crash(bench: Bench) -> float:
    """Seconds from the first crash to the verdict; the pods are asked until the undo takes them away."""
    branch = bench.branch({"charts/hello/values.dev.yaml": "+env: {HELLO_CRASH: 'bench'}\n"})
    parameters: dict[str, Any] = {
        "environment": "dev", "commit": branch, "images": {"hello": bench.digest()}, "force": True
    }  # fmt: skip
    started = bench.api.start("deploy", "dev", parameters)
    first, deadline = 0.0, time.monotonic() + _LIMIT_SECONDS
    while not (now := bench.api.run(started.id)).final:
        first = first or bench.first_crash()
        if time.monotonic() > deadline:
            raise SymphonyError(f"{now.name} has not ended after {_LIMIT_SECONDS} s.")
        time.sleep(_POLL_SECONDS)
    if not first or now.succeeded:
        raise SymphonyError(f"No crash was seen; the run ended as {now.state_name}: {now.message}")
    return bench.spans(now)[2] - first


def main() -> None:
    """Measure and print a table, and as the last line one JSON object of the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deploys", type=positive_number, default=3, help="Deploys of each kind.")
    parser.add_argument("--applications", type=positive_number, default=100, help="Applications in the one commit.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(find_world(), Path(folder))
        ours, theirs = list[float](), list[float]()
        for number in range(arguments.deploys):
            ours.append(_ours(bench, number))
            theirs.append(bench.raw(f"raw {number}"))
        crash = _crash(bench)
        whole, wait = _hundred(bench, arguments.applications)
    median, floor = statistics.median(ours), statistics.median(theirs)
    table = Table("figure", "measured", "target", title="deploy")
    table.add_row("commit to Healthy, Symphony / raw, s", f"{median:.2f} / {floor:.2f}", "")
    table.add_row("its ratio", f"{median / floor:.2f}", "1.3")
    table.add_row("first crash to verdict, s", f"{crash:.1f}", "15")
    table.add_row(f"{arguments.applications} applications, whole run, s", f"{whole:.1f}", "")
    table.add_row("of it Symphony's own, s", f"{whole - wait:.1f}", "5")
    Console().print(table)
    figures = {
        "commit_to_healthy_ratio": round(median / floor, 2),
        "crash_to_verdict_seconds": round(crash, 1),
        "applications": arguments.applications,
        "own_seconds_for_all_applications": round(whole - wait, 1),
    }
    conclude("deploy", figures, {"symphony": ours, "raw": theirs, "whole_run": whole, "wait": wait})


if __name__ == "__main__":
    main()
