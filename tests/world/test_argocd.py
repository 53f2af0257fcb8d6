"""Argo CD on the real cluster, following real branches of the real Git remote."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from kubernetes.client import ApiClient

from sandbox import daemon, manifest
from sandbox.argocd import ArgoCD, applications, fence, login, processes, session
from sandbox.git import git_environment
from sandbox.world import World
from symphony.tool import run

ENVIRONMENT, APPLICATION = "staging", "argocd-probe"
LIMIT_SECONDS = 90
CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-probe}
data: {digest: {{ .Values.image.digest | quote }}, host: {{ .Values.host | quote }}}
"""
CLUSTER_ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: argocd-probe}
rules: []
"""


def until(found: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what} did not come about"
        time.sleep(0.1)
    return answer


class Branch:
    """The environment's branch, and Argo CD's application made from it."""

    def __init__(self, world: World, copy: Path, connection: ApiClient) -> None:
        self._world = world
        self._copy = copy
        self._connection = connection

    def git(self, *arguments: str) -> str:
        return run(["git", *arguments], cwd=self._copy, env=git_environment(self._world)).stdout.strip()

    def write(self, digest: str, template: str = CONFIG_MAP) -> str:
        """Commit the application with a digest, and push."""
        entry = {
            "application": APPLICATION,
            "environment": ENVIRONMENT,
            "chart": f"charts/{APPLICATION}",
            "values": [f"values.{ENVIRONMENT}.yaml", "values.absent.yaml"],
            "commit": "0" * 40,
            "image": {"repository": "127.0.0.1:5010/staging/probe", "digest": digest},
        }
        files = {
            f"applications/{APPLICATION}.yaml": json.dumps(entry),
            f"charts/{APPLICATION}/Chart.yaml": f"apiVersion: v2\nname: {APPLICATION}\nversion: 0.1.0\n",
            f"charts/{APPLICATION}/values.{ENVIRONMENT}.yaml": "host: probe.localhost\nimage: {digest: overridden}\n",
            f"charts/{APPLICATION}/templates/all.yaml": template,
        }
        for name, text in files.items():
            path = self._copy / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return self._push(digest)

    def remove(self) -> None:
        """Commit the application's end, and let Argo CD see it."""
        (self._copy / f"applications/{APPLICATION}.yaml").unlink(missing_ok=True)
        shutil.rmtree(self._copy / f"charts/{APPLICATION}", ignore_errors=True)
        if self.git("status", "--porcelain"):
            self._push("gone")
        self.refresh_set()

    def _push(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        self.git("push", "--quiet", "origin", f"HEAD:env/{ENVIRONMENT}")
        return self.git("rev-parse", "HEAD")

    def refresh_set(self) -> None:
        where = manifest.path(applications.application_set(self._world))
        manifest.merge(self._connection, where, {"metadata": {"annotations": {applications.REFRESH: "true"}}})

    def refresh(self) -> None:
        change = {"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}}
        manifest.merge(self._connection, self._path, change)

    @property
    def _path(self) -> str:
        return f"/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/{ENVIRONMENT}-{APPLICATION}"

    @property
    def application(self) -> dict[str, Any]:
        return manifest.read(self._connection, self._path) or {}

    @property
    def config_map(self) -> dict[str, Any]:
        where = f"/api/v1/namespaces/{ENVIRONMENT}/configmaps/{APPLICATION}"
        return manifest.read(self._connection, where) or {}

    def live(self, commit: str) -> bool:
        status = self.application.get("status", {})
        operation = status.get("operationState", {})
        return (
            status.get("sync") == {**status.get("sync", {}), "status": "Synced", "revision": commit}
            and operation.get("phase") == "Succeeded"
            and status.get("health", {}).get("status") == "Healthy"
        )


@pytest.fixture
def connection(world: World) -> Iterator[ApiClient]:
    with manifest.api(world) as api:
        yield api


@pytest.fixture
def branch(world: World, connection: ApiClient, tmp_path: Path) -> Iterator[Branch]:
    copy = tmp_path / "copy"
    address = ["--branch", f"env/{ENVIRONMENT}", world.git_remote, str(copy)]
    run(["git", "clone", "--quiet", *address], env=git_environment(world))
    made = Branch(world, copy, connection)
    yield made
    made.remove()
    until(lambda: not made.application, "the end of the application")


def test_an_application_comes_changes_and_goes_with_its_file(branch: Branch) -> None:
    first = branch.write("sha256:" + "1" * 64)
    branch.refresh_set()
    until(lambda: branch.live(first), "the first version")
    assert branch.config_map["data"] == {"digest": "sha256:" + "1" * 64, "host": "probe.localhost"}
    labels = branch.application["metadata"]["labels"]
    assert labels == {"symphony/environment": ENVIRONMENT, "symphony/application": APPLICATION}

    second = branch.write("sha256:" + "2" * 64)
    branch.refresh()
    until(lambda: branch.live(second), "the second version, by a refresh of the application alone")
    assert branch.config_map["data"]["digest"] == "sha256:" + "2" * 64

    branch.remove()
    until(lambda: not branch.application and not branch.config_map, "the end of the application and its objects")


def test_what_is_changed_by_hand_is_put_back(branch: Branch, connection: ApiClient) -> None:
    commit = branch.write("sha256:" + "3" * 64)
    branch.refresh_set()
    until(lambda: branch.live(commit), "the application")
    where = f"/api/v1/namespaces/{ENVIRONMENT}/configmaps/{APPLICATION}"
    manifest.merge(connection, where, {"data": {"digest": "by hand"}})
    until(lambda: branch.config_map["data"]["digest"] == "sha256:" + "3" * 64, "the digest of the branch")


def test_a_chart_may_not_make_cluster_wide_objects(branch: Branch, connection: ApiClient) -> None:
    branch.write("sha256:" + "4" * 64, CLUSTER_ROLE)
    branch.refresh_set()
    refused = lambda: json.dumps(branch.application.get("status", {}))  # noqa: E731 - read again and again
    until(lambda: "not permitted" in refused() or "can not be managed" in refused(), "the refusal")
    where = "/apis/rbac.authorization.k8s.io/v1/clusterroles/argocd-probe"
    assert manifest.read(connection, where) is None


def test_the_api_takes_the_generated_password_and_nobody_else(world: World) -> None:
    address = session.url(world)
    header = {"Authorization": f"Bearer {login(world)}"}
    assert httpx.get(f"{address}/api/v1/applications", headers=header).status_code == 200
    assert httpx.get(f"{address}/api/v1/applications").status_code == 401
    wrong = {"username": "admin", "password": "admin"}
    assert httpx.post(f"{address}/api/v1/session", json=wrong).status_code == 401


def test_it_listens_on_loopback_alone_but_for_the_port_that_is_fenced_off(world: World) -> None:
    pids = daemon.recorded(world)
    fenced = processes.Listeners.of(world).controller_metrics
    for name in processes.NAMES:
        sockets = [item for item in psutil.Process(pids[name]).net_connections("tcp") if item.status == "LISTEN"]
        assert sockets, name
        assert {item.laddr.port for item in sockets if item.laddr.ip != "127.0.0.1"} <= {fenced}, name
    for program in fence.programs(world):
        run(fence.rule(world, program, "--check"))


@pytest.mark.parametrize("name", processes.NAMES)
def test_a_killed_process_is_started_again(world: World, name: str) -> None:
    before = daemon.recorded(world)
    os.kill(before[name], signal.SIGKILL)
    until(lambda: name not in daemon.recorded(world), "its end")
    ArgoCD().bring_up(world)
    after = daemon.recorded(world)
    assert after[name] != before[name]
    assert [after[other] for other in processes.NAMES if other != name] == [
        before[other] for other in processes.NAMES if other != name
    ]
    assert login(world)


def test_a_page_shows_the_applications_to_a_browser(world: World) -> None:
    answer = httpx.get(f"{session.url(world)}/{processes.PAGE}", headers={"Accept": "text/html"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "Applications" in answer.text
