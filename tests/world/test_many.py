"""A hundred applications at once, a ConfigMap each, on the real cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.deploy import many
from sandbox import manifest
from sandbox.world import World
from tests.world.seat import NUMBERS, Seat, until

NAMES = [f"many-{number:03}" for number in range(100)]
MAPS = "/api/v1/namespaces/dev/configmaps"
SET = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets/symphony"
REFRESH = {"metadata": {"annotations": {"argocd.argoproj.io/application-set-refresh": "true"}}}


def lay_out(copy: Path) -> None:
    for name, text in many(NAMES, (copy / "symphony.yaml").read_text()).items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(text)


def digests(world: World) -> dict[str, str]:
    """What the ConfigMaps say, by name."""
    with manifest.api(world) as api:
        found = manifest.request(api, "GET", MAPS)["items"]
    return {one["metadata"]["name"]: one["data"]["digest"] for one in found if one["metadata"]["name"] in NAMES}


def seconds(span: dict[str, Any]) -> float:
    return (datetime.fromisoformat(span["end_time"]) - datetime.fromisoformat(span["start_time"])).total_seconds()


@pytest.fixture
def seat(world: World, tmp_path: Path) -> Iterator[Seat]:
    """Takes all of them out again by hand in the end."""
    seat = Seat.take(world, tmp_path)
    yield seat
    seat.git("fetch", "--quiet", "origin")
    seat.git("checkout", "--quiet", "--force", "--detach", "origin/env/dev")
    seat.git("rm", "-r", "--quiet", "--ignore-unmatch", "applications/many-*", "charts/many-*")
    seat.git("commit", "--quiet", "--allow-empty", "--message", "Take the many out")
    seat.git("push", "--quiet", "origin", "HEAD:env/dev")
    with manifest.api(world) as api:
        manifest.merge(api, SET, REFRESH)
    until(lambda: not digests(world), "the end of them all", 120)


def test_a_hundred_applications_go_live_by_one_commit(seat: Seat, capsys: pytest.CaptureFixture[str]) -> None:
    seat.git("fetch", "--quiet", "origin")
    before = seat.git("rev-parse", "origin/env/dev")
    digest = f"sha256:{next(NUMBERS):064}"
    ended = seat.start("deploy", commit=seat.branch(lay_out), images=dict.fromkeys(NAMES, digest))
    assert ended.succeeded, ended.message
    assert digests(seat.world) == dict.fromkeys(NAMES, digest)
    seat.git("fetch", "--quiet", "origin")
    assert seat.git("rev-list", "--count", f"{before}..origin/env/dev") == "1"
    table = seat.api.artifact(ended.id, "deploy-dev") or ""
    assert all(f"applications/argocd/dev-{name}" in table for name in NAMES)
    whole = seconds(seat.api.call("GET", f"/flow_runs/{ended.id}"))
    body = {"flow_runs": {"id": {"any_": [ended.id]}}, "task_runs": {"name": {"any_": ["wait until live in dev"]}}}
    (wait,) = seat.api.call("POST", "/task_runs/filter", body)
    own = whole - seconds(wait)
    with capsys.disabled():
        sys.stdout.write(f"\n{len(NAMES)} applications: {whole:.1f} s, {own:.1f} s of it beside the wait for Argo CD\n")
    assert own < 30
