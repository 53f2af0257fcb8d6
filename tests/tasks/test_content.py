from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from docker.errors import APIError, ImageNotFound
from hypothesis import given
from hypothesis import strategies as st

import tasks.content
from symphony.build import Build
from symphony.change import Change
from symphony.config import Application, load
from symphony.errors import SymphonyError
from tasks.content import bases_of, content_tag

ROOT = Path(__file__).parents[2]
HELLO = Application(
    source="apps/hello", chart="charts/hello", repository="{environment}/hello", build_args={"BASE": "base:1"}
)


class Engine:
    """As much of a Docker engine as the hash asks for."""

    def __init__(self) -> None:
        self.bases = {"base:1": "sha256:one"}
        self.pulled: dict[str, list[str]] = {}
        self.remote: dict[str, str] = {}
        self.images = SimpleNamespace(get=self._get, get_registry_data=self._registry)

    def _get(self, name: str) -> SimpleNamespace:
        if name not in self.bases:
            raise ImageNotFound(name)
        return SimpleNamespace(id=self.bases[name], attrs={"RepoDigests": self.pulled.get(name)})

    def _registry(self, name: str) -> SimpleNamespace:
        if name not in self.remote:
            raise APIError(f"no {name}", explanation="not found")
        return SimpleNamespace(id=self.remote[name])


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()

    @contextlib.contextmanager
    def client() -> Iterator[Engine]:
        yield engine

    monkeypatch.setattr(tasks.content, "docker_client", client)
    return engine


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nCOPY . .\n")
    (tmp_path / "main.py").write_text("print(1)\n")
    (tmp_path / ".dockerignore").write_text("# notes\n*.md\n")
    return tmp_path


def tag(context: Path, application: Application = HELLO) -> str:
    configuration = load(ROOT / "symphony.yaml")
    configuration = configuration.model_copy(update={"applications": {"hello": application}})
    change = Change(configuration, "dev", "a" * 40, None, context, context, "", None)
    return content_tag.fn(change, "hello", context)


@pytest.mark.usefixtures("engine")
def test_the_same_content_has_the_same_tag_whatever_its_times_and_what_is_ignored(context: Path) -> None:
    before = tag(context)
    (context / "main.py").touch()
    (context / "notes.md").write_text("not in the image")
    assert tag(context) == before
    assert len(before) == 32


def test_whatever_goes_into_the_image_changes_the_tag(context: Path, engine: Engine) -> None:
    seen = [tag(context)]
    (context / "main.py").write_text("print(2)\n")
    seen.append(tag(context))
    (context / "main.py").chmod(0o755)
    seen.append(tag(context))
    (context / "main.py").rename(context / "other.py")
    seen.append(tag(context))
    seen.append(tag(context, HELLO.model_copy(update={"build_args": {"BASE": "base:1", "X": "1"}})))
    engine.bases["base:1"] = "sha256:two"
    seen.append(tag(context))
    (context / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
    seen.append(tag(context))
    assert len(set(seen)) == len(seen)


@pytest.mark.usefixtures("engine")
def test_a_base_image_that_is_nowhere_is_named(context: Path) -> None:
    with pytest.raises(SymphonyError, match="'base:2' is neither in the engine nor in its registry"):
        tag(context, HELLO.model_copy(update={"build_args": {"BASE": "base:2"}}))


def test_bases_are_filled_in_from_arguments_and_own_stages_are_none() -> None:
    text = "ARG BASE=a:1\nARG TOOL\nFROM --platform=linux/amd64 $BASE AS build\n"
    text += "FROM ${TOOL} as tool\nFROM build\nFROM scratch\n"
    assert bases_of(text, {"TOOL": "t:2"}) == ["a:1", "t:2"]


@given(st.text(max_size=200))
def test_no_dockerfile_breaks_the_reader(text: str) -> None:
    assert isinstance(bases_of(text, {}), list)


def test_a_base_image_is_the_same_before_and_after_a_build_has_pulled_it(context: Path, engine: Engine) -> None:
    application = HELLO.model_copy(update={"build_args": {"BASE": "docker.io/library/python:3"}})
    engine.remote["docker.io/library/python:3"] = "sha256:d"
    before = tag(context, application)
    engine.bases["docker.io/library/python:3"] = "sha256:id"
    engine.pulled["docker.io/library/python:3"] = ["mirror.example/python@sha256:e", "python@sha256:d"]
    assert tag(context, application) == before


def test_images_that_are_copied_or_mounted_from_count_as_bases() -> None:
    text = "FROM golang:1 AS golang\nCOPY --chown=1:1 --from=busybox:1 /bin/sh /sh\n"
    text += (
        "FROM scratch\nCOPY --from=golang /a /a\nCOPY --from=0 /b /b\nRUN --mount=type=bind,from=tool:2,target=/t t\n"
    )
    text += "RUN --mount=type=bind,from=tool:2,target=/t t\nRUN tool --from=nowhere\nCOPY a --from=b\n"
    assert bases_of(text, {}) == ["golang:1", "busybox:1", "tool:2"]


def test_quotes_and_defaults_of_arguments_are_read() -> None:
    assert bases_of('ARG BASE="a:1"\nFROM $BASE\nFROM ${TOOL:-b:2}\n', {}) == ["a:1", "b:2"]


@pytest.mark.usefixtures("engine")
def test_buildkits_tag_has_platforms_and_names_of_secrets_and_its_own_ignore_file(
    context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.content, "base_digest", lambda _change, base: f"sha256:{base}")

    def by_buildkit(**update: object) -> str:
        configuration = load(ROOT / "symphony.yaml")
        application = HELLO.model_copy(update=update)
        configuration = configuration.model_copy(
            update={"applications": {"hello": application}, "build": Build(builder="buildkit")}
        )
        change = Change(configuration, "dev", "a" * 40, None, context, context, "", None)
        return content_tag.fn(change, "hello", context)

    seen = [tag(context), by_buildkit(), by_buildkit(platforms=("linux/arm64",))]
    seen.append(by_buildkit(build_secrets={"npm": "env://A"}))
    assert by_buildkit(build_secrets={"npm": "env://B"}) == seen[-1]
    (context / "Dockerfile.dockerignore").write_text("main.py\n")
    seen.append(by_buildkit())
    assert len(set(seen)) == len(seen)
