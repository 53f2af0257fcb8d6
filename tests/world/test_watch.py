"""Images pushed from outside, found and deployed by the watch: by event, by the clock, and not where it is held."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from deployments.apply import ROOT, deploy_flows
from deployments.client import Run
from sandbox.aws import aws_environment
from sandbox.docker.base_image import NAME
from sandbox.git.workflow import Event
from sandbox.world import HOST, World
from symphony import tool
from tests.world.job import Job
from tests.world.operations import Operator
from tests.world.seat import NUMBERS, until

_POLICY = "    watch: {dev: {policy: semver, constraint: ^1, platform: linux/amd64}}\n"
_PLACE = '    repository: "{environment}/hello"\n'


@dataclass
class Outside(Operator):
    """Another CI: it builds the service by its own means, and knows a login of ECR and nothing else."""

    def image(self, greeting: str, tag: str = "1.{}.0") -> str:
        """Build an image with a tag of its own, a version by default."""
        folder = self.copy.parent / "outside"
        (folder / "docker").mkdir(parents=True, exist_ok=True)
        shutil.copy(self.world.source / "apps/hello/hello.py", folder)
        (folder / "greeting.txt").write_text(greeting)
        (folder / "Dockerfile").write_text(
            f'FROM {NAME}\nCOPY hello.py greeting.txt /app/\nENTRYPOINT ["python3", "-u", "-B", "/app/hello.py"]\n'
        )
        name = f"{HOST}:{self.world.ports.ecr}/dev/hello:{tag.format(next(NUMBERS))}"
        self.docker("build", "--quiet", "--tag", name, str(folder))
        return name

    def push_image(self, name: str) -> float:
        """Push it as anybody does, and tell when that was done."""
        self.docker("push", "--quiet", name)
        return time.time()

    def enter(self) -> None:
        user, password = self.login()
        self.docker("login", "--username", user, "--password-stdin", f"{HOST}:{self.world.ports.ecr}", stdin=password)

    def docker(self, *arguments: str, stdin: str | None = None) -> None:
        folder = self.copy.parent / "outside" / "docker"
        environment = {"DOCKER_HOST": self.world.docker_host, "DOCKER_CONFIG": str(folder)}
        tool.run(["docker", *arguments], env=environment, stdin=stdin, limit=120)

    def watches(self, since: float) -> list[Run]:
        """Runs of the watch of dev that began since a moment and have ended."""
        body = {
            "flows": {"name": {"any_": ["watch"]}},
            "flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED"]}}},
            "sort": "END_TIME_DESC",
            "limit": 20,
        }
        found = self.api.call("POST", "/flow_runs/filter", body)
        return [
            Run.model_validate(one) for one in found if datetime.fromisoformat(one["start_time"]).timestamp() >= since
        ]

    def policy(self, *, there: bool) -> None:
        """Have hello watched in dev, or no more, and its release done."""

        def edit(copy: Path) -> None:
            file = copy / "symphony.yaml"
            text = file.read_text().replace(_POLICY, "")
            file.write_text(text.replace(_PLACE, _PLACE + _POLICY) if there else text)

        ended = self.released(self.push("watch hello" if there else "watch no more", edit))
        assert ended.succeeded, ended.message
        root = self.copy.parent / "root"
        root.mkdir(exist_ok=True)
        shutil.copy(ROOT / "prefect.yaml", root)
        shutil.copy(self.copy / "symphony.yaml", root)
        deploy_flows(self.api, root / "symphony.yaml", ["dev"], force=True)

    def watched(self, run: Run) -> dict[str, str]:
        """What a run's table says of hello."""
        body = {"artifacts": {"flow_run_id": {"any_": [run.id]}, "key": {"any_": ["watched-dev"]}}}
        [row] = json.loads(self.api.call("POST", "/artifacts/filter", body)[0]["data"])
        return dict(row)

    def head(self) -> str:
        self.git("fetch", "--quiet", "origin")
        return self.git("rev-parse", "origin/env/dev")

    def moves(self, since: str) -> list[str]:
        """Subjects of the commits of dev's desired state since one."""
        return self.git("log", "--format=%s", f"{since}..{self.head()}").splitlines()


@pytest.fixture(scope="module")
def outside(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    made = Outside.take(world, tmp_path_factory.mktemp("watch"))
    made.image("to have the folder")
    made.enter()
    made.policy(there=True)
    yield made
    made.symphony("lift", "hello", "--env", "dev")
    made.policy(there=False)


def test_an_image_pushed_from_outside_is_live_within_seconds(outside: Outside) -> None:
    there, greeting = outside.head(), f"Hello from outside, {next(NUMBERS)}"
    name = outside.image(greeting)
    began = time.time()
    pushed = outside.push_image(name)
    until(lambda: outside.answer() == greeting, "the greeting")
    assert outside.moves(there) == [f"dev: watch brings hello:{name.rpartition(':')[2]}"]
    run = until(lambda: outside.watches(began), "the end of a watch")[-1]
    assert run.succeeded, run.message
    record = json.loads(outside.symphony("show", run.id, "--json"))
    started = datetime.fromisoformat(record["began"]["deploy"]).timestamp()
    assert started - pushed < 10, "that is no event but the clock"
    assert [one["tag"] for one in record["images"]] == [name.rpartition(":")[2]]
    row = outside.watched(run)
    assert row["what becomes of it"] == "moves"
    assert "no versions" in row["not taken"]


def test_a_workflow_of_github_actions_brings_an_image_live(outside: Outside) -> None:
    greeting, tag = f"Hello from GitHub Actions, {next(NUMBERS)}", f"1.{next(NUMBERS)}.0"
    outside.branch(lambda copy: (copy / "apps/hello/greeting.txt").write_text(f"{greeting}\n"))
    payload = {"ref": "refs/heads/main", "inputs": {"application": "hello", "tag": tag, "environment": "dev"}}
    env = {**aws_environment(outside.world), "DOCKER_HOST": outside.world.docker_host}
    job = Job(outside, Event("workflow_dispatch", outside.git("rev-parse", "HEAD"), "image.yml", payload, env))
    assert job.run() == 0, job.log()
    until(lambda: outside.answer() == greeting, "the greeting")
    assert f"dev/hello:{tag}" in job.log()


def test_event_and_clock_at_once_deploy_once(outside: Outside) -> None:
    there, greeting = outside.head(), f"Hello from outside, {next(NUMBERS)}"
    name = outside.image(greeting)
    began = time.time()
    outside.push_image(name)
    runs = [outside.api.start("watch", "dev", {"environment": "dev"}) for _ in range(2)]
    until(lambda: outside.answer() == greeting, "the greeting")
    ended = [outside.ended(run) for run in runs]
    assert all(run.state_type in {"COMPLETED", "CANCELLED"} for run in ended), [run.message for run in ended]
    until(lambda: any("hello moved" in run.message for run in outside.watches(began)), "the deploy's end")
    assert len(outside.moves(there)) == 1


def test_what_is_held_is_left_and_it_is_said(outside: Outside) -> None:
    outside.symphony("hold", "hello", "--env", "dev", "--why", "It is too loud.")
    there, greeting = outside.head(), f"Hello from outside, {next(NUMBERS)}"
    name = outside.image(greeting)
    began = time.time()
    outside.push_image(name)
    until(
        lambda: any(
            "Left as it is in dev: hello" in run.message and "too loud" in run.message for run in outside.watches(began)
        ),
        "a watch that says so",
    )
    assert outside.moves(there) == []
    outside.symphony("lift", "hello", "--env", "dev")
    ended = outside.start("watch")
    # The clock's run may have been the one that moved it.
    assert ended.state_type == "CANCELLED" or "hello moved in dev" in ended.message or "No image" in ended.message
    until(lambda: outside.answer() == greeting, "the greeting")
    assert len(outside.moves(there)) == 1


def test_a_protected_environment_is_asked_and_what_was_refused_is_not_asked_again(outside: Outside) -> None:
    policy = _POLICY.replace("semver, constraint: ^1", "newest-build, allow: ['asked-*']")

    def protect(copy: Path) -> None:
        file = copy / "symphony.yaml"
        text = file.read_text().replace(_POLICY, policy)
        file.write_text(text.replace("    kind: sandbox\n", "    kind: sandbox\n    protected: true\n", 1))

    branch, there, greeting = outside.branch(protect), outside.head(), f"Hello if you please, {next(NUMBERS)}"
    name = outside.image(greeting, "asked-{}")
    outside.push_image(name)
    waiting = outside.api.start("watch", "dev", {"commit": branch})
    outside.suspended(waiting)
    assert name.rpartition(":")[2] in str(outside.watched(waiting))
    assert "waits for an answer" in outside.start("watch", commit=branch).message
    outside.answer_question(waiting, approver="Ada", decision="refuse", reason="Too polite.")
    assert "Ada refused" in outside.ended(waiting).message
    again = outside.start("watch", commit=branch)
    assert "No image moves in dev" in again.message
    assert "Ada refused it" in outside.watched(again)["what becomes of it"]
    assert outside.head() == there

    greeting = f"Hello, {next(NUMBERS)}"
    outside.push_image(outside.image(greeting, "asked-{}"))
    waiting = outside.api.start("watch", "dev", {"commit": branch})
    outside.suspended(waiting)
    outside.answer_question(waiting, approver="Ada", decision="approve", reason="")
    ended = outside.ended(waiting)
    assert ended.succeeded, ended.message
    assert outside.answer() == greeting
    assert "Symphony-Approved-By: Ada" in outside.git("log", "-1", "--format=%B", outside.head())
