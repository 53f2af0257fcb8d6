"""The main job on real parts: a push becomes a served page, and whatever is wrong with it leaves all as it was."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from deployments.client import Run
from sandbox.aws.client import client
from sandbox.daemon import recorded
from sandbox.lifecycle import up
from sandbox.registry import Registry
from sandbox.world import HOST, World
from tests.world.seat import NUMBERS, Seat

_LIMIT_SECONDS = 240


@dataclass
class Platform(Seat):
    """Releases that pushes to main start, and what fails in them."""

    def failing_tasks(self, run: Run) -> list[str]:
        return [task.name for task in self.api.tasks(run.id) if task.state_type == "FAILED"]


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def replace(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


@pytest.fixture(scope="module")
def platform(world: World, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """A platform that has been released once, so that there is something to keep."""
    seat = Platform.take(world, tmp_path_factory.mktemp("platform"))
    commit = seat.say(f"Hello, number {next(NUMBERS)}")
    ended = seat.released(commit)
    assert ended.succeeded, ended.message
    return seat


@pytest.fixture
def untouched(platform: Platform) -> Iterator[None]:
    """Whatever the test breaks, the environment ends as it was, and main is mended for the next test."""
    tree, said, version = platform.desired(), platform.answer(), platform.answer("/version")
    good = platform.git("rev-parse", f"{json.loads(version)['commit']}^{{tree}}")
    yield
    assert platform.desired() == tree
    assert platform.answer() == said
    assert json.loads(platform.answer("/version"))["digest"] == json.loads(version)["digest"]

    def mend(copy: Path) -> None:
        del copy
        platform.git("read-tree", "--reset", "-u", good)

    commit = platform.push("mend", mend)
    assert platform.released(commit).succeeded


def test_a_push_is_served_and_its_run_tells_the_story(platform: Platform) -> None:
    greeting = f"Hello, number {next(NUMBERS)}"
    commit = platform.say(greeting)
    ended = platform.released(commit)
    assert ended.succeeded, ended.message
    assert platform.answer() == greeting
    version = json.loads(platform.answer("/version"))
    assert version["commit"] == commit
    story = platform.api.artifact(ended.id, "release-dev")
    assert story is not None
    for part in (commit[:12], version["digest"][:19], "dev-hello", "hello.dev.localhost"):
        assert part in story
    for key in ("images-dev", "deploy-dev", "smoke-dev"):
        assert platform.api.artifact(ended.id, key), f"no artifact {key}"


def test_the_same_commit_again_changes_nothing(platform: Platform) -> None:
    before = platform.git("rev-parse", "origin/env/dev")
    platform.git("fetch", "--quiet", "origin")
    before = platform.git("rev-parse", "origin/env/dev")
    ended = platform.start("release", commit="main")
    assert ended.succeeded
    assert "Nothing that dev has differs" in ended.message
    platform.git("fetch", "--quiet", "origin")
    assert platform.git("rev-parse", "origin/env/dev") == before


def test_a_change_of_documentation_affects_nothing_and_says_so(platform: Platform) -> None:
    commit = platform.push("docs", lambda copy: write(copy / "NOTES.md", f"{next(NUMBERS)}\n"))
    ended = platform.released(commit)
    assert ended.succeeded
    assert "Nothing that dev has differs" in ended.message


def test_a_push_to_the_desired_state_starts_nothing(platform: Platform) -> None:
    platform.git("fetch", "--quiet", "origin")
    platform.git("checkout", "--quiet", "--detach", "origin/env/dev")
    platform.git("commit", "--quiet", "--allow-empty", "--message", "by hand")
    platform.git("push", "--quiet", "origin", "HEAD:env/dev")
    commit = platform.git("rev-parse", "HEAD")
    platform.git("checkout", "--quiet", "--detach", "origin/main")
    assert platform.api.find(f"platform:release:dev:{commit}:push") is None


@pytest.mark.usefixtures("untouched")
def test_a_dockerfile_that_does_not_build(platform: Platform) -> None:
    def edit(copy: Path) -> None:
        with (copy / "apps/hello/Dockerfile").open("a") as file:
            file.write("RUN echo the-reason-why >&2 && false\n")

    ended = platform.released(platform.push("broken build", edit))
    assert ended.state_type == "FAILED"
    assert "The image of hello does not build" in ended.message
    assert "the-reason-why" in ended.message
    assert platform.failing_tasks(ended) == ["build hello"]


@pytest.mark.usefixtures("untouched")
def test_a_chart_that_does_not_render(platform: Platform) -> None:
    ended = platform.released(
        platform.push(
            "broken chart", lambda copy: write(copy / "charts/hello/templates/x.yaml", "{{ .Values.no.such }}\n")
        )
    )
    assert ended.state_type == "FAILED"
    assert "charts/hello" in ended.message
    assert "x.yaml" in ended.message
    assert len(platform.failing_tasks(ended)) == 1


@pytest.mark.usefixtures("untouched")
def test_a_unit_whose_plan_fails(platform: Platform) -> None:
    def edit(copy: Path) -> None:
        with (copy / "infra/modules/access/main.tf").open("a") as file:
            file.write('\nresource "aws_iam_role" "broken" {\n  assume_role_policy = aws_iam_role.nowhere.arn\n}\n')

    ended = platform.released(platform.push("broken unit", edit))
    assert ended.state_type == "FAILED"
    assert "access" in ended.message
    assert "nowhere" in ended.message
    assert platform.failing_tasks(ended) == ["plan access"]


@pytest.mark.usefixtures("untouched")
def test_an_image_that_crashes_on_start_is_told_and_put_back(platform: Platform) -> None:
    def edit(copy: Path) -> None:
        replace(
            copy / "apps/hello/hello.py",
            "def main() -> None:",
            'raise SystemExit("no database today")\n\n\ndef main() -> None:',
        )

    ended = platform.released(platform.push("crash", edit))
    assert ended.state_type == "FAILED"
    assert "hello" in ended.message
    assert "no database today" in ended.message


@pytest.mark.usefixtures("untouched")
def test_an_unreadable_configuration_names_line_and_key(platform: Platform) -> None:
    def edit(copy: Path) -> None:
        replace(copy / "symphony.yaml", "    chart: charts/hello", "    chrt: charts/hello")

    ended = platform.released(platform.push("typo", edit))
    assert ended.state_type == "FAILED"
    assert "applications.hello.chrt is not known" in ended.message


def test_a_failed_release_is_not_lost_by_the_next_push(platform: Platform) -> None:
    greeting = f"Hello, number {next(NUMBERS)}"

    def broken(copy: Path) -> None:
        write(copy / "apps/hello/greeting.txt", greeting)
        write(copy / "charts/hello/templates/x.yaml", "{{ .Values.no.such }}\n")

    assert not platform.released(platform.push("broken chart", broken)).succeeded
    # The next push mends the chart alone; the greeting of the failed one must come along.
    mended = platform.push("mended chart", lambda copy: (copy / "charts/hello/templates/x.yaml").unlink())
    assert platform.released(mended).succeeded
    assert platform.answer() == greeting


@pytest.mark.parametrize(
    ("flow", "parameters", "said"),
    [
        ("release", {"commit": "no-such-branch"}, "'no-such-branch' is not in the Git remote"),
        ("deploy", {"images": {"nothing": "sha256:" + "0" * 64}}, "nothing"),
        ("provision", {"commit": "f" * 40}, "is not in the Git remote"),
    ],
)
def test_what_is_unknown_is_named_before_anything_happens(
    platform: Platform, flow: str, parameters: dict[str, object], said: str
) -> None:
    tree = platform.desired()
    ended = platform.start(flow, **parameters)
    assert ended.state_type == "FAILED"
    assert said in ended.message
    assert platform.desired() == tree


def test_a_registry_that_is_down_fails_the_release_and_up_mends_it(platform: Platform) -> None:
    tree = platform.desired()
    greeting = f"Hello, number {next(NUMBERS)}"
    part = Registry()
    part.stop(platform.world)
    try:
        ended = platform.released(platform.say(greeting))
        assert ended.state_type == "FAILED"
        assert "registry" in ended.message
        assert platform.failing_tasks(ended) == ["push hello"]
        assert platform.desired() == tree
    finally:
        part.bring_up(platform.world)
    again = platform.start("release", commit="main")
    assert again.succeeded, again.message
    assert platform.answer() == greeting


def test_an_aws_api_that_lost_its_memory_is_filled_again_by_up(platform: Platform) -> None:
    world = platform.world
    images = client(world, "ecr").describe_images(repositoryName="dev/hello")["imageDetails"]
    killed = psutil.Process(recorded(world)["aws"])
    killed.kill()
    killed.wait(10)
    platform.git("fetch", "--quiet", "origin")
    released = platform.git("ls-tree", "-d", "--name-only", "origin/symphony/records").split()
    assert "dev" in released
    notes: list[str] = []
    up(world, lambda event: notes.append(event.text) if event.state == "note" else None)
    assert any(f"{', '.join(released)} is provisioned again" in note for note in notes)
    vpcs = client(world, "ec2").describe_vpcs(Filters=[{"Name": "is-default", "Values": ["false"]}])["Vpcs"]
    assert len(vpcs) == len(released)
    again = client(world, "ecr").describe_images(repositoryName="dev/hello")["imageDetails"]
    assert {one["imageDigest"] for one in again} == {one["imageDigest"] for one in images}
    greeting = f"Hello, number {next(NUMBERS)}"
    assert platform.released(platform.say(greeting)).succeeded
    assert platform.answer() == greeting


def test_an_application_taken_out_of_the_list_is_pruned_and_comes_back(platform: Platform) -> None:
    other = '  second:\n    source: apps/second\n    chart: charts/second\n    repository: "{environment}/hello"\n'
    other += "    build_args:\n      BASE: symphony-base/python:3.11\n"

    def add(copy: Path) -> None:
        for folder in ("apps", "charts"):
            shutil.copytree(copy / folder / "hello", copy / folder / "second", dirs_exist_ok=True)
        replace(copy / "charts/second/Chart.yaml", "name: hello", "name: second")
        for values in (copy / "charts/second").glob("values*.yaml"):
            values.write_text(values.read_text().replace("hello.", "second."))
        replace(copy / "symphony.yaml", "applications:\n", f"applications:\n{other}")

    added = platform.released(platform.push("a second service", add))
    assert added.succeeded, added.message
    url = f"http://{HOST}:{platform.world.ports.ingress}/"
    assert httpx.get(url, headers={"Host": "second.dev.localhost"}, timeout=5).status_code == httpx.codes.OK

    removed = platform.released(platform.push("without it", lambda copy: replace(copy / "symphony.yaml", other, "")))
    assert removed.succeeded, removed.message
    story = platform.api.artifact(removed.id, "release-dev")
    shown = platform.api.artifact(removed.id, "removed-dev")
    assert story is not None
    assert shown is not None
    assert "second" in story
    for kind in ("Deployment", "Service", "Ingress"):
        assert kind in shown
    deadline = time.monotonic() + 30
    while httpx.get(url, headers={"Host": "second.dev.localhost"}, timeout=5).status_code == httpx.codes.OK:
        assert time.monotonic() < deadline, "the removed application still answers"
        time.sleep(0.2)
    assert httpx.get(url, headers={"Host": "hello.dev.localhost"}, timeout=5).status_code == httpx.codes.OK
