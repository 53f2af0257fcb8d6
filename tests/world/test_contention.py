"""Deploys that others get in the way of, on the real cluster: other deploys, a lost repo server, a hand, a window."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from deployments.client import Run
from sandbox import daemon, manifest
from sandbox.lifecycle import up
from sandbox.world import World
from tests.world.seat import NUMBERS, Seat, until

DEPLOYMENT = "/apis/apps/v1/namespaces/dev/deployments/hello"
SET = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets/symphony"
APPLICATION = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/dev-hello"
PROJECT = "/apis/argoproj.io/v1alpha1/namespaces/argocd/appprojects/symphony"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def noted(application: str, note: str) -> Callable[[Path], None]:
    """Gives an application's container an environment variable, so that it rolls out without a build."""

    def edit(copy: Path) -> None:
        file = copy / f"charts/{application}/values.dev.yaml"
        kept = re.sub(r"\nenv: .*\n", "\n", file.read_text())
        file.write_text(f"{kept.rstrip()}\nenv: {{TRY: '{note}'}}\n")

    return edit


class Rush(Seat):
    """Deploys of applications as they are built already."""

    def digest(self, application: str) -> str:
        self.git("fetch", "--quiet", "origin")
        (found,) = _DIGEST.findall(self.git("show", f"origin/env/dev:applications/{application}.yaml"))
        return str(found)

    def next_commit(self, edit: Callable[[Path], None]) -> str:
        """A commit upon the last one."""
        edit(self.copy)
        self.git("commit", "--quiet", "--all", "--message", "try")
        self.git("push", "--quiet", "--force", "origin", "HEAD:refs/heads/try-rush")
        return self.git("rev-parse", "HEAD")

    def begin(self, application: str, commit: str) -> Run:
        images = {application: self.digest(application)}
        return self.api.start("deploy", "dev", {"commit": commit, "images": images})

    def environment(self, application: str) -> list[str]:
        """What the notes are that the Deployment's containers have."""
        with manifest.api(self.world) as api:
            found = manifest.read(api, DEPLOYMENT.replace("/hello", f"/{application}")) or {}
        (container,) = found["spec"]["template"]["spec"]["containers"]
        return [one["value"] for one in container.get("env", ()) if one["name"] == "TRY"]


@pytest.fixture(scope="module")
def rush(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rush]:
    """Both applications live at main; main's own is put there again in the end."""
    seat = Rush.take(world, tmp_path_factory.mktemp("rush"))
    whole: dict[str, Any] = {"commit": "main", "applications": ["hello", "greet"], "force": True}
    assert seat.start("provision", commit="main").succeeded
    ended = seat.start("deploy", **whole)
    assert ended.succeeded, ended.message
    seat.git("checkout", "--quiet", "--detach", "origin/main")
    yield seat
    ended = seat.start("deploy", **whole)
    assert ended.succeeded, ended.message


def test_of_ten_deploys_at_once_each_is_live_or_superseded_by_one_that_it_names(rush: Rush) -> None:
    notes = [str(next(NUMBERS)) for _ in range(10)]
    names = ["hello", "greet"] * 5
    commits = [rush.next_commit(noted(name, note)) for name, note in zip(names, notes, strict=True)]
    rush.git("fetch", "--quiet", "origin")
    before = rush.git("rev-parse", "origin/env/dev")
    began = [rush.begin(name, commit) for name, commit in zip(names, commits, strict=True)]
    ended = [rush.ended(run) for run in began]
    assert all(run.succeeded for run in ended), [run.message for run in ended]
    live = [commit for commit, run in zip(commits, ended, strict=True) if run.state_name == "Completed"]
    for commit, run in zip(commits, ended, strict=True):
        if run.state_name == "Completed":
            assert f"{commit[:12]} is live in dev" in run.message
        else:
            assert run.state_name == "Superseded"
            newer = commits[commits.index(commit) + 1 :]
            assert any(one[:12] in run.message for one in newer if one in live), run.message
    # The newest of each application is what there is, and nothing that went live on the way is lost from the history.
    assert set(commits[-2:]) <= set(live)
    assert [rush.environment(name) for name in ("greet", "hello")] == [[notes[-1]], [notes[-2]]]
    rush.git("fetch", "--quiet", "origin")
    written = rush.git("log", "--format=%B", f"{before}..origin/env/dev")
    assert rush.git("rev-list", "--count", f"{before}..origin/env/dev") == str(len(live))
    assert all(commit[:12] in written for commit in live)


def test_a_repo_server_that_is_away_is_waited_for(rush: Rush) -> None:
    note = str(next(NUMBERS))
    commit = rush.next_commit(noted("hello", note))
    process = psutil.Process(daemon.recorded(rush.world)["argocd-repo-server"])
    process.kill()
    psutil.wait_procs([process], timeout=10)
    run = rush.begin("hello", commit)
    before = rush.desired()
    until(lambda: rush.desired() != before, "the commit of the desired state")
    assert not rush.api.run(run.id).final
    up(rush.world)
    ended = rush.ended(run)
    assert ended.succeeded, ended.message
    assert rush.environment("hello") == [note]


def test_what_a_hand_changes_during_a_deploy_is_healed(rush: Rush) -> None:
    note = str(next(NUMBERS))
    run = rush.begin("hello", rush.next_commit(noted("hello", note)))
    until(lambda: rush.environment("hello") == [note], "the new version's Deployment")
    with manifest.api(rush.world) as api:
        manifest.merge(api, DEPLOYMENT, {"spec": {"template": {"metadata": {"annotations": {"by": "hand"}}}}})
        manifest.merge(api, DEPLOYMENT, {"spec": {"revisionHistoryLimit": 7}})

        def healed() -> bool:
            spec = (manifest.read(api, DEPLOYMENT) or {})["spec"]
            return bool(spec["revisionHistoryLimit"] != 7)

        ended = rush.ended(run)
        assert ended.succeeded, ended.message
        until(healed, "the Deployment as the commit has it")
    assert rush.environment("hello") == [note]


def test_a_window_that_forbids_syncs_holds_a_deploy_and_says_which(rush: Rush) -> None:
    window = {"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["dev-hello"]}
    tree, note = rush.desired(), rush.environment("hello")
    commit = rush.next_commit(noted("hello", str(next(NUMBERS))))
    with manifest.api(rush.world) as api:
        manifest.merge(api, PROJECT, {"spec": {"syncWindows": [window]}})
        try:
            # Also what was there cannot be put back by a sync, but nothing of it was replaced.
            ended = rush.ended(rush.begin("hello", commit))
        finally:
            manifest.merge(api, PROJECT, {"spec": {"syncWindows": None}})
    assert ended.state_type == "FAILED"
    assert "a sync window of its project holds it: deny '* * * * *' for 1h" in ended.message
    assert rush.desired() == tree
    assert rush.environment("hello") == note


def test_where_auto_sync_is_off_a_deploy_syncs_to_its_very_commit_and_says_so(rush: Rush) -> None:
    note = str(next(NUMBERS))
    commit = rush.next_commit(noted("hello", note))
    with manifest.api(rush.world) as api:

        def automated(*, enabled: bool | None) -> None:
            policy = {"syncPolicy": {"automated": {"enabled": enabled}}}
            manifest.merge(api, SET, {"spec": {"template": {"spec": policy}}})
            until(lambda: present()["spec"]["syncPolicy"]["automated"].get("enabled") is enabled, "the other policy")

        def present() -> dict[str, Any]:
            return manifest.read(api, APPLICATION) or {}

        automated(enabled=False)
        try:
            ended = rush.ended(rush.begin("hello", commit))
            operation = present()["status"]["operationState"]["operation"]
        finally:
            automated(enabled=None)
    assert ended.succeeded, ended.message
    rush.git("fetch", "--quiet", "origin")
    assert operation["sync"]["revision"] == rush.git("rev-parse", "origin/env/dev")
    assert operation["initiatedBy"] == {"username": "symphony"}
    assert rush.environment("hello") == [note]
    assert "asked for, since its auto-sync is off" in (rush.api.artifact(ended.id, "deploy-dev") or "")
