"""Both ways of reaching Argo CD, each tried on an application whose auto-sync is off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import manifest
from sandbox.argocd import applications, login, session
from sandbox.git import git_environment
from sandbox.world import World
from symphony.application_set import objects
from symphony.config import load
from symphony.tool import run
from tasks.argocd import Access, access, end_operation
from tests.world.seat import NUMBERS

LIMIT_SECONDS = 60
BRANCH = "env/staging"
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: argocd-by-hand}\ndata: {number: '%d'}\n"
HOOK = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: argocd-by-hand
  annotations: {argocd.argoproj.io/hook: PreSync, argocd.argoproj.io/hook-delete-policy: BeforeHookCreation}
spec:
  template:
    spec:
      restartPolicy: Never
      nodeSelector: {nowhere: "true"}
      containers: [{name: main, image: absent}]
"""


def until(found: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what} did not come about"
        time.sleep(0.1)
    return answer


@pytest.fixture(params=["by Kubernetes", "by its API"])
def way(request: pytest.FixtureRequest, world: World, monkeypatch: pytest.MonkeyPatch) -> Access:
    monkeypatch.setenv("KUBECONFIG", str(world.kubeconfig))
    monkeypatch.setenv("ARGOCD_AUTH_TOKEN", login(world))
    target = load(world.source / "symphony.yaml").environments["staging"]
    if request.param == "by its API":
        api = {"address": session.url(world), "token": "env://ARGOCD_AUTH_TOKEN"}
        argocd = type(target.argocd).model_validate({**target.argocd.model_dump(exclude={"api"}), "api": api})
        target = target.model_copy(update={"argocd": argocd})
    return access(target)


@pytest.fixture
def write(world: World, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Commits files of a folder of plain manifests onto the branch."""
    copy = tmp_path / "copy"
    run(["git", "clone", "--quiet", "--branch", BRANCH, world.git_remote, str(copy)], env=git_environment(world))

    def git(*arguments: str) -> str:
        return run(["git", *arguments], cwd=copy, env=git_environment(world)).stdout.strip()

    def commit(**files: str) -> str:
        git("rm", "-rq", "--ignore-unmatch", "by-hand")
        for name, text in files.items():
            (copy / "by-hand").mkdir(exist_ok=True)
            (copy / "by-hand" / f"{name}.yaml").write_text(text)
        git("add", "--all")
        git("commit", "--quiet", "--allow-empty", "--message", "by hand")
        git("push", "--quiet", "origin", f"HEAD:{BRANCH}")
        return git("rev-parse", "HEAD")

    yield commit
    commit()


@pytest.fixture
def name(world: World, write: Callable[..., str]) -> Iterator[str]:
    """An Application of that folder, whose auto-sync is off."""
    write(map=CONFIG_MAP % next(NUMBERS))
    made = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": "by-hand",
            "namespace": applications.NAMESPACE,
            "finalizers": ["resources-finalizer.argocd.argoproj.io"],
        },
        "spec": {
            "project": applications.PROJECT,
            "source": {"repoURL": world.git_remote, "targetRevision": BRANCH, "path": "by-hand"},
            "destination": {"server": applications.CLUSTER, "namespace": "staging"},
        },
    }
    with manifest.api(world) as api:
        where = manifest.path(made)
        manifest.apply(api, made)
        yield "by-hand"
        if ((manifest.read(api, where) or {}).get("status", {}).get("operationState") or {}).get("phase") == "Running":
            manifest.merge(api, where, {"status": {"operationState": {"phase": "Terminating"}}})
        manifest.request(api, "DELETE", where)
        until(lambda: manifest.read(api, where) is None, "the end of the application")


def test_it_is_refreshed_watched_synced_and_ended(way: Access, name: str, write: Callable[..., str]) -> None:
    seen: dict[str, Any] = {}
    stop = threading.Event()

    def watch() -> None:
        for kind, found in way.watch(time.monotonic() + 120, stop, name):
            for one in found["items"] if kind == "SYNCED" else [found]:
                seen["last"] = one

    threading.Thread(target=watch, daemon=True).start()

    def status() -> dict[str, Any]:
        found: dict[str, Any] = seen.get("last", {}).get("status", {})
        return found

    assert way.set()
    assert way.get("absent") is None
    first = write(map=CONFIG_MAP % next(NUMBERS))
    way.refresh(name)
    until(lambda: status().get("sync", {}).get("revision") == first, "the comparison with the new commit")
    assert status()["sync"]["status"] == "OutOfSync"
    assert (way.project(seen["last"]) or {})["metadata"]["name"] == applications.PROJECT

    assert way.sync(seen["last"], first)
    until(lambda: status().get("operationState", {}).get("phase") == "Succeeded", "the sync")
    assert status()["operationState"]["syncResult"]["revision"] == first

    second = write(map=CONFIG_MAP % next(NUMBERS), hook=HOOK)
    way.refresh(name)
    until(lambda: status().get("sync", {}).get("revision") == second, "the comparison with the hook's commit")
    assert way.sync(way.get(name) or {}, second)
    until(lambda: "argocd-by-hand" in status().get("operationState", {}).get("message", ""), "the hook that hangs")
    assert end_operation(way, name)
    until(lambda: status().get("operationState", {}).get("phase") == "Failed", "the end of the sync")
    stop.set()


def test_project_and_application_set_are_made_from_the_configuration(way: Access, world: World) -> None:
    made = objects(load(world.source / "symphony.yaml"), "staging")
    for one in made:
        one["metadata"]["name"] = "try"
    made[1]["spec"]["generators"][0]["matrix"]["generators"][0]["list"]["elements"] = []
    with manifest.api(world) as api:
        try:
            for number in ("1", "2"):
                made[0]["spec"]["description"] = number
                made[1]["metadata"]["annotations"]["symphony/made-from"] = number
                way.make(*made)
                project, found = (manifest.read(api, manifest.path(one)) or {} for one in made)
                assert project["spec"]["description"] == number
                assert found["metadata"]["annotations"]["symphony/made-from"] == number
        finally:
            for one in made:
                manifest.request(api, "DELETE", manifest.path(one))
