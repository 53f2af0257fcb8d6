"""The workflows of GitHub Actions, run for real by act against the sandbox."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sandbox import daemon
from sandbox.git import workflow
from sandbox.git.workflow import Event
from sandbox.world import World
from tests.world.job import Job, github
from tests.world.seat import NUMBERS, Seat, until

_PLAIN = ""
"""A push that says nothing of who starts its release."""


@pytest.fixture(scope="module")
def seat(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seat]:
    yield Seat.take(world, tmp_path_factory.mktemp("workflows"))
    assert not acts(world), "a workflow was left running"


def acts(world: World) -> list[psutil.Process]:
    """What runs of workflows: act, its steps, and who waits for it."""
    words = {"act", "trigger", "sandbox.git.workflow"}
    found = []
    for process in daemon.marked(world):
        with contextlib.suppress(psutil.Error):
            if any(word in " ".join(process.cmdline()).replace("/", " ").split() for word in words):
                found.append(process)
    return found


def released(seat: Seat, commit: str) -> Job:
    """The job that a push started, once its release has begun."""
    until(lambda: seat.api.find(workflow.key(commit, "dev")), "the workflow's release", 30)
    return Job(seat, workflow.pushed(commit, "main"))


def say(copy: Path, greeting: str) -> None:
    (copy / "apps/hello/greeting.txt").write_text(f"{greeting}\n")


def test_a_push_goes_live_by_its_workflow_also_where_that_is_killed(seat: Seat) -> None:
    seat.branch(lambda _: None)
    aside = seat.git("rev-parse", "HEAD")
    greeting = f"Hello by GitHub Actions, {next(NUMBERS)}"
    job = released(seat, commit := seat.push("by a workflow", lambda copy: say(copy, greeting), _PLAIN))
    for process in acts(seat.world):
        with contextlib.suppress(psutil.Error):
            process.kill()
    until(lambda: not acts(seat.world), "the end of what was killed")
    assert job.run() == 0, job.log()
    assert seat.answer() == greeting
    run = seat.api.find(workflow.key(commit, "dev"))
    assert run is not None
    assert f"[{run.name.split()[0]}" in job.log()
    assert seat.api.link(run.id) in job.log()
    assert "| step | what | result |" in job.log()
    # Neither another branch nor what the release itself pushes is released.
    seat.desired()
    others = (aside, seat.git("rev-parse", "origin/env/dev"), seat.git("rev-parse", "origin/symphony/records"))
    assert not any(Job(seat, workflow.pushed(other, "main")).log() for other in others)


def test_a_release_that_fails_fails_its_job_beside_one_that_runs(seat: Seat) -> None:
    dockerfile = Path("apps/hello/Dockerfile")
    text = (seat.copy / dockerfile).read_text()
    broken = seat.push("broken", lambda copy: (copy / dockerfile).write_text(f"{text}RUN false\n"), _PLAIN)
    greeting = f"Hello after it, {next(NUMBERS)}"

    def mend(copy: Path) -> None:
        (copy / dockerfile).write_text(text)
        say(copy, greeting)

    mended = seat.push("mended", mend, _PLAIN)
    jobs = [released(seat, commit) for commit in (broken, mended)]
    until(lambda: not acts(seat.world), "the end of both jobs", 120)
    failed, succeeded = (job.log() for job in jobs)
    assert "Job failed" in failed
    assert "Failed" in failed
    assert "Job succeeded" in succeeded
    assert seat.answer() == greeting


def pull_request(seat: Seat, api: str, repository: str) -> Job:
    """A pull request whose branch has one more change of dev's infrastructure."""

    def edit(copy: Path) -> None:
        file = copy / "infra/live/dev/registry/terragrunt.hcl"
        file.write_text(file.read_text() + f"\n# {next(NUMBERS)}\n")

    seat.branch(edit)
    commit = seat.git("rev-parse", "HEAD")
    head = {"sha": commit, "ref": "try", "repo": {"full_name": repository}}
    payload = {"number": 7, "pull_request": {"number": 7, "head": head, "base": {"ref": "main"}}}
    return Job(seat, Event("pull_request", commit, "plan.yml", payload, {"GITHUB_API_URL": api}))


def test_a_pull_request_has_one_comment_that_is_kept_up_to_date(seat: Seat) -> None:
    with github() as (api, comments):
        fork = pull_request(seat, api, "stranger/platform")
        assert fork.run() == 0, fork.log()
        assert comments == []
        seen = []
        for _ in range(2):
            job = pull_request(seat, api, workflow.REPOSITORY)
            assert job.run() == 0, job.log()
            seen.append(comments[0]["body"])
    assert len(comments) == 1
    assert seen[0] != seen[1]
    assert all(body.startswith("<!-- symphony: provision dev -->\n### [") for body in seen)
    assert all("registry" in body for body in seen)
