"""Deploys on the real cluster: what comes up is served, and what does not is told, and put back."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox import manifest
from sandbox.argocd import login, session
from sandbox.world import World
from tests.world.seat import NUMBERS, Seat


@dataclass
class Delivery(Seat):
    """The flows deploy and smoke of dev."""

    @property
    def version(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.answer("/version"))
        return found


def greeting(copy: Path) -> None:
    (copy / "apps/hello/greeting.txt").write_text(f"Hello {next(NUMBERS)}\n")


def values(text: str) -> Callable[[Path], None]:
    def edit(copy: Path) -> None:
        file = copy / "charts/hello/values.dev.yaml"
        file.write_text(file.read_text() + text)

    return edit


@pytest.fixture(scope="module")
def seat(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivery]:
    """A version that is live; main's own is put there again in the end."""
    seat = Delivery.take(world, tmp_path_factory.mktemp("deploy"))
    ended = seat.start("provision", commit="main")
    assert ended.succeeded, ended.message
    ended = seat.start("deploy", commit=seat.branch(greeting), applications=["hello"])
    assert ended.succeeded, ended.message
    yield seat
    ended = seat.start("deploy", commit="main", applications=["hello"], force=True)
    assert ended.succeeded, ended.message


@pytest.fixture
def untouched(seat: Delivery) -> Iterator[None]:
    tree, version, said = seat.desired(), seat.version, seat.answer("/")
    yield
    assert seat.desired() == tree
    assert seat.version == version
    assert seat.answer("/") == said


def test_what_is_deployed_is_what_answers(seat: Delivery) -> None:
    branch = seat.branch(greeting)
    ended = seat.start("deploy", commit=branch, applications=["hello"])
    assert ended.succeeded, ended.message
    assert seat.answer("/") == (seat.copy / "apps/hello/greeting.txt").read_text().strip()
    assert seat.version["commit"] == seat.git("rev-parse", "HEAD")
    table = seat.api.artifact(ended.id, "deploy-dev")
    assert table is not None
    assert "/applications/argocd/dev-hello" in table
    smoked = seat.start("smoke")
    assert smoked.succeeded, smoked.message
    assert seat.api.artifact(smoked.id, "smoke-dev")


@pytest.mark.usefixtures("untouched")
def test_an_image_that_is_not_there_is_told_and_put_back(seat: Delivery) -> None:
    ended = seat.start("deploy", commit=seat.branch(greeting), images={"hello": "sha256:" + "9" * 64})
    assert ended.state_type == "FAILED"
    assert "the image of container hello cannot be pulled" in ended.message
    assert "not found" in ended.message
    assert "Put back: hello is back at" in ended.message
    assert "ErrImagePull" in (seat.api.artifact(ended.id, "diagnosis-dev") or "")


@pytest.mark.usefixtures("untouched")
def test_a_crash_on_start_is_told_with_its_last_log_line_and_put_back(seat: Delivery) -> None:
    branch = seat.branch(values('env: {HELLO_CRASH: "no database today"}\n'))
    ended = seat.start("deploy", commit=branch, images={"hello": seat.version["digest"]})
    assert ended.state_type == "FAILED"
    assert "container hello ended with exit code 1" in ended.message
    assert "its last log line: hello cannot start: no database today" in ended.message
    assert "Put back: hello is back at" in ended.message
    assert [task.name for task in seat.api.tasks(ended.id) if task.state_type == "FAILED"] == ["wait until live in dev"]


@pytest.mark.usefixtures("untouched")
def test_a_version_that_never_gets_ready_is_given_up_at_its_own_deadline(seat: Delivery) -> None:
    branch = seat.branch(values("progressDeadlineSeconds: 5\nprobes: {readiness: {path: /nowhere}}\n"))
    ended = seat.start("deploy", commit=branch, images={"hello": seat.version["digest"]})
    assert ended.state_type == "FAILED"
    assert "its health is Degraded" in ended.message
    assert "404" in (seat.api.artifact(ended.id, "diagnosis-dev") or "")


@pytest.mark.usefixtures("untouched")
def test_values_that_the_chart_refuses_are_told_before_anything_is_written(seat: Delivery) -> None:
    seat.git("fetch", "--quiet", "origin")
    before = seat.git("rev-parse", "origin/env/dev")
    branch = seat.branch(values("replica: 3\n"))
    ended = seat.start("deploy", commit=branch, images={"hello": seat.version["digest"]})
    assert ended.state_type == "FAILED"
    assert "charts/hello does not render for dev in hello/values.dev.yaml" in ended.message
    assert "'replica'" in ended.message
    seat.git("fetch", "--quiet", "origin")
    assert seat.git("rev-parse", "origin/env/dev") == before


@pytest.mark.usefixtures("untouched")
def test_an_older_commit_ends_as_superseded_and_says_by_what(seat: Delivery) -> None:
    ended = seat.start("deploy", commit="main", images={"hello": seat.version["digest"]})
    assert ended.state_name == "Superseded"
    assert seat.version["commit"][:12] in ended.message


CHART = """\
apiVersion: v2
name: {name}
version: 0.1.0
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, labels: {{app.kubernetes.io/name: {name}}}}}
spec:
  progressDeadlineSeconds: 600
  selector: {{matchLabels: {{app.kubernetes.io/name: {name}}}}}
  template:
    metadata: {{labels: {{app.kubernetes.io/name: {name}}}}}
    spec:
      automountServiceAccountToken: false
      containers:
        - name: main
          image: "{{{{ .Values.image.repository }}}}@{{{{ .Values.image.digest }}}}"
          {container}
"""
HOOK = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}-migrate
  annotations: {{argocd.argoproj.io/hook: PreSync}}
spec:
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 0
      containers:
        - name: main
          image: "{{{{ .Values.image.repository }}}}@{{{{ .Values.image.digest }}}}"
          command: [python3, -c, "import time; time.sleep(3600)"]
          resources: {{requests: {{cpu: 1m}}}}
"""
SMALL = "resources: {requests: {cpu: 1m}}\n          readinessProbe: {initialDelaySeconds: 2, exec: {command: [env]}}"
CRASHES = "command: [python3, -c, \"raise SystemExit('no table today')\"]\n          " + SMALL
CONFIG = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n"
FAILING = {
    "try-crash": (DEPLOYMENT, CRASHES, "container main ended with exit code 1"),
    "try-missing": (DEPLOYMENT, SMALL, "the image of container main cannot be pulled"),
    "try-quota": (DEPLOYMENT, "", "its pods are refused: .*exceeded quota: try"),
    "try-hook": (HOOK + CONFIG, "", "its PreSync hook Job try-hook-migrate has not ended after 30 s, its time limit"),
}
QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "try", "namespace": "dev"},
    "spec": {"hard": {"pods": "0"}, "scopes": ["BestEffort"]},
}


def by_api(world: World, folder: Path, timeout: int) -> Callable[[Path], None]:
    """Reaches Argo CD by its API, with a token in a file."""
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(login(world))
    api = f"      timeout: {timeout}\n      api: {{address: {session.url(world)}, token: {token}}}\n"

    def edit(copy: Path) -> None:
        file = copy / "symphony.yaml"
        file.write_text(file.read_text().replace("    argocd:\n", f"    argocd:\n{api}", 1))

    return edit


def failing(copy: Path) -> None:
    """Applications that fail each in a way of its own, and hooks that may take less than the deploy."""
    configuration = copy / "symphony.yaml"
    told = "".join(
        f"  {name}:\n    source: apps/hello\n    chart: charts/{name}\n    repository: '{{environment}}/hello'\n"
        for name in FAILING
    )
    text = configuration.read_text().replace("\nenvironments:", f"{told}\nenvironments:", 1)
    configuration.write_text(text.replace("    argocd:\n", "    argocd:\n      hook_timeout: 30\n", 1))
    for name, (template, container, _) in FAILING.items():
        (copy / f"charts/{name}/templates").mkdir(parents=True)
        (copy / f"charts/{name}/Chart.yaml").write_text(CHART.format(name=name))
        (copy / f"charts/{name}/templates/all.yaml").write_text(template.format(name=name, container=container))


@pytest.fixture
def quota(world: World) -> Iterator[None]:
    with manifest.api(world) as api:
        manifest.apply(api, QUOTA)
        yield
        manifest.request(api, "DELETE", manifest.path(QUOTA))


@pytest.mark.usefixtures("untouched", "quota")
def test_many_that_fail_are_each_told_why_and_put_back_by_one_deploy(seat: Delivery) -> None:
    good = seat.version["digest"]
    images = {name: "sha256:" + "9" * 64 if name == "try-missing" else good for name in FAILING}
    ended = seat.start("deploy", commit=seat.branch(failing), images=images)
    assert ended.state_type == "FAILED", ended.message
    for name, (_, _, why) in FAILING.items():
        assert re.search(f"{name} did not come up in dev: [^;]*{why}", ended.message), ended.message
        assert f"{name} was taken out again" in ended.message
    progress = seat.api.artifact(ended.id, "rollout-dev")
    assert progress is not None


def test_argo_cd_is_reached_by_its_api_where_that_is_configured(seat: Delivery, world: World, tmp_path: Path) -> None:
    def edit(copy: Path) -> None:
        by_api(world, tmp_path, 120)(copy)
        greeting(copy)

    ended = seat.start("deploy", commit=seat.branch(edit), applications=["hello"])
    assert ended.succeeded, ended.message
    assert seat.version["commit"] == seat.git("rev-parse", "HEAD")

    def unready(copy: Path) -> None:
        edit(copy)
        values("progressDeadlineSeconds: 5\nprobes: {readiness: {path: /nowhere}}\n")(copy)

    good, said = seat.version["digest"], seat.answer("/")
    ended = seat.start("deploy", commit=seat.branch(unready), images={"hello": good}, force=True)
    assert ended.state_type == "FAILED"
    assert "Put back: hello is back at" in ended.message
    assert re.search(r"Deployment hello is Degraded", seat.api.artifact(ended.id, "diagnosis-dev") or "")
    assert seat.answer("/") == said


def test_a_wrong_token_is_told_before_anything_is_written(seat: Delivery, world: World, tmp_path: Path) -> None:
    def edit(copy: Path) -> None:
        by_api(world, tmp_path, 120)(copy)
        (tmp_path / "token").write_text("wrong")

    tree = seat.desired()
    ended = seat.start("deploy", commit=seat.branch(edit), images={"hello": seat.version["digest"]}, force=True)
    assert ended.state_type == "FAILED"
    assert "(401)" in ended.message
    assert "renew the token" in ended.message
    assert seat.desired() == tree


def test_where_the_branch_is_protected_a_deploy_waits_for_its_proposal_to_be_merged(seat: Delivery) -> None:
    def edit(copy: Path) -> None:
        file = copy / "symphony.yaml"
        file.write_text(file.read_text().replace("    kind: sandbox\n", "    kind: sandbox\n    proposals: true\n", 1))
        greeting(copy)

    tree = seat.desired()
    begun = seat.api.start("deploy", "dev", {"commit": seat.branch(edit), "applications": ["hello"]})
    greeted = (seat.copy / "apps/hello/greeting.txt").read_text().strip()
    proposal = f"origin/symphony/proposals/dev/{begun.id}"
    deadline = time.monotonic() + 120
    while proposal not in seat.git("branch", "--remotes", "--format=%(refname:short)").split():
        assert time.monotonic() < deadline, seat.api.run(begun.id).state_name
        time.sleep(0.5)
        seat.git("fetch", "--quiet", "origin")
    assert seat.desired() == tree
    seat.git("checkout", "--quiet", "--force", "--detach", "origin/env/dev")
    seat.git("merge", "--quiet", "--squash", proposal)
    seat.git("commit", "--quiet", "--message", "Take the proposal")
    seat.git("push", "--quiet", "origin", "HEAD:env/dev")
    ended = seat.ended(begun)
    assert ended.succeeded, ended.message
    assert seat.answer("/") == greeted
    seat.git("fetch", "--quiet", "--prune", "origin")
    assert proposal not in seat.git("branch", "--remotes", "--format=%(refname:short)").split()
