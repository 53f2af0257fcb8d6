from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

import tasks.images
from symphony.change import Change
from symphony.config import load
from symphony.errors import SymphonyError, TransientError
from tasks import docker_engine
from tasks.ecr import Login
from tasks.images import build_image, check_repositories, push_image, tag_commit
from tasks.source import VERSION, Source

ROOT = Path(__file__).parents[2]
TAG = "0" * 32
TARGET = f"127.0.0.1:5010/dev/hello:{TAG}"
DIGEST = f"sha256:{'d' * 64}"
OTHER = f"sha256:{'e' * 64}"


class World:
    """As much of a Docker engine, ECR and its registry as a build and a push ask for."""

    def __init__(self) -> None:
        self.api = SimpleNamespace(build=self._build, push=self._push, hooks={"response": []})
        self.events: list[dict[str, Any]] = []
        self.status = 200
        self.tags: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        self.mutable = False
        self.logged: list[str] = []

    def _build(self, **options: Any) -> Iterator[dict[str, Any]]:
        self.options = options
        answer = requests.Response()
        answer.status_code = self.status
        refused = io.BytesIO(b'{"message": "no space left on device"}')
        answer.raw = SimpleNamespace(closed=True, read=refused.read)
        for told in self.api.hooks["response"]:
            told(answer)
        return iter(self.events)

    def _push(self, **options: Any) -> Iterator[dict[str, Any]]:
        self.tags.setdefault(options["tag"], DIGEST)
        return self._build(**options)

    def describe_images(self, **asked: Any) -> dict[str, Any]:
        tagged = {tag: digest for tag, digest in self.tags.items() if digest == asked["imageIds"][0]["imageDigest"]}
        return {"imageDetails": [{"imageTags": list(tagged)}]}

    def describe_repositories(self, **asked: Any) -> dict[str, Any]:
        mutability = "MUTABLE" if self.mutable else "IMMUTABLE"
        return {
            "repositories": [
                {"repositoryName": name, "imageTagMutability": mutability} for name in asked["repositoryNames"]
            ]
        }

    def get_lifecycle_policy(self, **_: Any) -> dict[str, Any]:
        return {}

    def tag(self, _repository: str, digest: str, tag: str) -> None:
        self.tags[tag] = digest


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()

    @contextlib.contextmanager
    def given(*_: object) -> Iterator[World]:
        yield world

    @contextlib.contextmanager
    def registry(*_: object) -> Iterator[Any]:
        yield SimpleNamespace(labels=lambda *_: world.labels, tag=world.tag)

    def log(text: str, *values: object) -> None:
        world.logged.append(text % values)

    monkeypatch.setattr(docker_engine, "docker_client", given)
    monkeypatch.setattr(tasks.images, "oci_registry", registry)
    for module in (docker_engine, tasks.images):
        monkeypatch.setattr(module, "get_run_logger", lambda: SimpleNamespace(info=log, warning=log))
    monkeypatch.setattr(docker_engine, "login", lambda _: Login(username="AWS", password="p"))  # type: ignore[arg-type]
    monkeypatch.setattr(tasks.images, "find_image", lambda _target, _repository, tag: world.tags.get(tag))
    monkeypatch.setattr(tasks.images, "confirm", lambda *_: None)
    monkeypatch.setattr("tasks.ecr.client", lambda *_: world)
    return world


@pytest.fixture
def change(tmp_path: Path) -> Change:
    return Change(load(ROOT / "symphony.yaml"), "dev", "a" * 40, None, tmp_path, tmp_path, "", None)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return Source(tmp_path, "https://git.example/platform.git", "a" * 40, 1_700_000_000)


def test_a_failing_build_tells_the_step_that_failed(world: World, change: Change, source: Source) -> None:
    world.events = [{"stream": "Step 3/3 : RUN false\n"}, {"error": "The command '/bin/sh -c false' returned 1"}]
    with pytest.raises(
        SymphonyError, match=r"The image of hello does not build: .*returned 1.*\n.*Step 3/3 : RUN false"
    ) as caught:
        build_image.fn(change, "hello", source, TAG)
    assert not isinstance(caught.value, TransientError)
    assert world.options["tag"] == TARGET
    assert world.options["labels"]["org.opencontainers.image.revision"] == "a" * 40
    assert world.logged == ["hello │ Step 3/3 : RUN false"]


def test_a_build_that_the_engine_broke_off_is_tried_again(world: World, change: Change, source: Source) -> None:
    world.events = [{"stream": "Step 1/3 : FROM scratch\n"}]
    with pytest.raises(TransientError, match="broke the build of hello off"):
        build_image.fn(change, "hello", source, TAG)


def test_a_build_that_the_engine_refuses_tells_why_and_is_not_tried_again(
    world: World, change: Change, source: Source
) -> None:
    # docker-py gives the refusal as an event of the build.
    world.status, world.events = 500, [{"message": "no space left on device"}]
    with pytest.raises(SymphonyError, match="engine refuses to build hello: no space left on device") as caught:
        build_image.fn(change, "hello", source, TAG)
    assert not isinstance(caught.value, TransientError)


def test_a_dockerfile_that_asks_for_it_gets_the_commits_time(world: World, change: Change, source: Source) -> None:
    world.events = [{"aux": {"ID": DIGEST}}]
    build_image.fn(change, "hello", source, TAG)
    assert "SOURCE_DATE_EPOCH" not in world.options["buildargs"]
    (source.folder / "Dockerfile").write_text("FROM scratch\nARG SOURCE_DATE_EPOCH\n")
    build_image.fn(change, "hello", source, TAG)
    assert world.options["buildargs"]["SOURCE_DATE_EPOCH"] == "1700000000"


def test_a_pushed_image_is_what_the_registry_calls_it(world: World, change: Change, source: Source) -> None:
    world.events = [{"status": "Pushed"}, {"aux": {"Digest": DIGEST}}]
    image = push_image.fn(change, "hello", source, TARGET)
    assert (image.digest, image.tag, image.built, image.commit) == (DIGEST, TAG, True, "a" * 40)
    assert world.options["auth_config"] == {"username": "AWS", "password": "p"}


@pytest.mark.parametrize(
    ("said", "passing"),
    [
        ("received unexpected HTTP status: 503 Service Unavailable", True),
        ("toomanyrequests: Rate exceeded", True),
        ("denied: Your authorization token has expired. Reauthenticate and try again.", True),
        ("write tcp 10.0.0.1:443: write: broken pipe", True),
        ("denied: User is not authorized to perform ecr:PutImage", False),
    ],
)
def test_a_push_is_tried_again_for_what_can_pass(
    said: str, world: World, change: Change, source: Source, *, passing: bool
) -> None:
    world.events = [{"error": said}]
    with pytest.raises(SymphonyError, match="The registry does not take the image of hello") as caught:
        push_image.fn(change, "hello", source, TARGET)
    assert isinstance(caught.value, TransientError) == passing


def test_a_tag_taken_by_other_content_is_an_error_that_says_so(world: World, change: Change, source: Source) -> None:
    world.events = [{"error": "tag invalid: the tag exists already and the repository is immutable"}]
    world.tags = {TAG: OTHER}
    with pytest.raises(SymphonyError, match=f"dev/hello:{TAG}.* was taken by other content, {OTHER}") as caught:
        push_image.fn(change, "hello", source, TARGET)
    assert not isinstance(caught.value, TransientError)


def test_a_tag_taken_meanwhile_by_a_build_of_the_same_content_is_as_good(
    world: World, change: Change, source: Source
) -> None:
    world.events = [{"error": "tag invalid: the tag exists already and the repository is immutable"}]
    world.tags, world.labels = {TAG: OTHER}, {VERSION: TAG}
    image = push_image.fn(change, "hello", source, TARGET)
    assert (image.digest, image.built) == (OTHER, False)


def test_a_commit_is_an_alias_tag_given_once(world: World, change: Change, source: Source) -> None:
    world.events = [{"aux": {"Digest": DIGEST}}]
    image = push_image.fn(change, "hello", source, TARGET)
    tag_commit.fn(change, image)
    assert world.tags == {TAG: DIGEST, f"commit-{'a' * 40}": DIGEST}
    world.tag = lambda *_: pytest.fail("it was tagged again")  # type: ignore[method-assign, assignment, misc]
    tag_commit.fn(change, image)


def test_a_repository_whose_tags_move_is_told(world: World, change: Change) -> None:
    check_repositories.fn(change, ["hello"])
    assert world.logged == []
    world.mutable = True
    check_repositories.fn(change, ["hello"])
    assert world.logged == ["The tags of dev/hello can be moved (imageTagMutability MUTABLE); set it to IMMUTABLE."]
