"""Images on real parts: built side by side, not built again, pushed over a bad line, and never over another image."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.aws.part import login_life_file
from sandbox.world import HOST, World
from tests.world.builder import BOTH, Builder, cancelled, configured, sleeping, slow
from tests.world.gateway import Gateway, before


def through(gateway: Gateway) -> Callable[[Path], None]:
    """An edit by which the registry of dev is reached through a gateway."""
    return configured("environments", "dev", "aws", "registry", f"{HOST}:{gateway.port}")


@pytest.fixture(scope="module")
def seat(world: World, tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Dev with main's image in its repository."""
    seat = Builder.take(world, tmp_path_factory.mktemp("images")).provisioned()
    ended = seat.build("main")
    assert ended.succeeded, ended.message
    return seat


@pytest.fixture
def gateway(world: World) -> Iterator[Gateway]:
    with before(world.ports.ecr) as gateway:
        yield gateway


def test_two_applications_are_built_side_by_side_and_only_once(seat: Builder) -> None:
    branch, commit = seat.changing()
    ended = seat.build(branch, BOTH)
    assert ended.succeeded, ended.message
    assert seat.built(ended) == set(BOTH)
    builds = [task for task in seat.api.tasks(ended.id) if task.name.startswith("build ")]
    assert max(task.start_time or "" for task in builds) < min(task.end_time or "" for task in builds)
    labels = seat.registry().labels("dev/hello", seat.image(commit)["imageDigest"])
    assert labels["org.opencontainers.image.revision"] == commit
    assert labels["org.opencontainers.image.version"] in seat.image(commit)["imageTags"]

    ended = seat.build(branch, BOTH)
    assert ended.succeeded, ended.message
    assert seat.built(ended) == set()
    assert (seat.api.artifact(ended.id, "images-dev") or "").count("found in ECR") == len(BOTH)


def test_a_file_outside_the_context_builds_nothing_and_the_image_gets_the_commits_alias(seat: Builder) -> None:
    branch, commit = seat.changing()
    assert seat.build(branch).succeeded
    for path in ("README.md", "apps/hello/notes.txt"):  # the second one .dockerignore leaves out
        branch, later = seat.on_top(path)
        ended = seat.build(branch)
        assert ended.succeeded, ended.message
        assert seat.built(ended) == set()
        assert seat.image(later)["imageDigest"] == seat.image(commit)["imageDigest"]


def test_a_login_that_expired_is_got_anew(seat: Builder) -> None:
    branch, commit = seat.changing()
    life = login_life_file(seat.world)
    seat.world.write(life, "0")
    try:
        run = seat.api.start("build", "dev", {"commit": branch, "applications": ["hello"]})
        for _, tasks in seat.api.follow(run.id):
            if any(task.name == "push hello" and task.state_name in {"AwaitingRetry", "Retrying"} for task in tasks):
                break
    finally:
        life.unlink()
    ended = seat.ended(run)
    assert ended.succeeded, ended.message
    assert seat.image(commit)


def test_a_registry_cut_off_half_way_through_a_layer_gets_the_whole_image(seat: Builder, gateway: Gateway) -> None:
    content = os.urandom(6_000_000)
    branch, commit = seat.changing(
        lambda copy: (copy / "apps/hello/greeting.txt").write_bytes(content), through(gateway)
    )
    gateway.cut = 3_000_000
    ended = seat.build(branch)
    assert ended.succeeded, ended.message
    assert gateway.cuts == 1
    registry, digest = seat.registry(), seat.image(commit)["imageDigest"]
    manifest = registry.client.get(
        f"/v2/dev/hello/manifests/{digest}", headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
    ).json()
    (layer,) = (layer for layer in manifest["layers"] if 6_000_000 < layer["size"] < 7_000_000)
    assert len(registry.client.get(f"/v2/dev/hello/blobs/{layer['digest']}").content) == layer["size"]


def test_a_tag_taken_by_other_content_is_an_error_that_says_so(seat: Builder, gateway: Gateway) -> None:
    other = seat.image(seat.git("rev-parse", "origin/main"))["imageDigest"]
    gateway.before_put = lambda tag: seat.registry().tag("dev/hello", other, tag)
    branch, _ = seat.changing(through(gateway))
    ended = seat.build(branch)
    assert ended.state_type == "FAILED"
    assert f"was taken by other content, {other}" in ended.message
    assert "immutable" in ended.message


def test_a_build_cancelled_in_the_ui_leaves_no_container_and_no_process(seat: Builder) -> None:
    cancelled(seat, seat.changing(slow)[0])


def test_a_build_that_takes_too_long_is_ended_and_leaves_nothing(seat: Builder) -> None:
    before = seat.containers()
    branch, _ = seat.changing(slow, configured("build", {"timeout": 3}))
    ended = seat.build(branch)
    assert ended.state_type == "FAILED"
    assert "The build of hello was ended after 3 s, its time limit." in ended.message
    assert not sleeping()
    assert seat.containers() == before
