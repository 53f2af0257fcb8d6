from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from docker.errors import APIError, ImageNotFound
from hypothesis import given
from hypothesis import strategies as st

import tasks.images
from symphony.change import Change
from symphony.config import Application, load
from symphony.errors import BadInputError, SymphonyError, TransientError
from tasks.images import bases_of, build_image, content_tag, source

if TYPE_CHECKING:
    from tests.conftest import Delivery

ROOT = Path(__file__).parents[2]
HELLO = Application(
    source="apps/hello", chart="charts/hello", repository="{environment}/hello", build_args={"BASE": "base:1"}
)


class Engine:
    """As much of a Docker engine as the hash and the build ask for."""

    def __init__(self, bases: dict[str, str], events: list[dict[str, Any]] | None = None) -> None:
        self.bases = bases
        self.images = SimpleNamespace(get=self._get, get_registry_data=self._registry)
        self.api = SimpleNamespace(build=self._build)
        self.events = events or []

    def _get(self, name: str) -> SimpleNamespace:
        if name not in self.bases:
            raise ImageNotFound(name)
        return SimpleNamespace(id=self.bases[name])

    def _registry(self, name: str) -> SimpleNamespace:
        raise APIError(f"no {name}", explanation="not found")

    def _build(self, **options: Any) -> Iterator[dict[str, Any]]:
        self.options = options
        yield from self.events


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine({"base:1": "sha256:one"})

    @contextlib.contextmanager
    def client() -> Iterator[Engine]:
        yield engine

    monkeypatch.setattr(tasks.images, "docker_client", client)
    return engine


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nCOPY . .\n")
    (tmp_path / "main.py").write_text("print(1)\n")
    (tmp_path / ".dockerignore").write_text("# notes\n*.md\n")
    return tmp_path


def tag(context: Path, application: Application = HELLO) -> str:
    return content_tag.fn("hello", context, application)


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


def change(tree: Path) -> Change:
    configuration = load(ROOT / "symphony.yaml")
    return Change(configuration, "dev", "a" * 40, None, tree, tree, "", None)


@pytest.mark.usefixtures("engine")
def test_a_failing_build_tells_the_step_that_failed(
    context: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.images, "get_run_logger", lambda: SimpleNamespace(info=lambda *_: None))
    engine.events = [{"stream": "Step 3/3 : RUN false\n"}, {"error": "The command '/bin/sh -c false' returned 1"}]
    with pytest.raises(
        SymphonyError, match=r"The image of hello does not build: .*returned 1.*\n.*Step 3/3 : RUN false"
    ) as caught:
        build_image.fn(change(context), "hello", context, "t")
    assert not isinstance(caught.value, TransientError)
    assert engine.options["tag"] == "127.0.0.1:5010/dev/hello:t"
    assert engine.options["labels"]["org.opencontainers.image.revision"] == "a" * 40


def test_a_source_that_is_missing_or_leads_out_is_refused(tmp_path: Path) -> None:
    here = change(tmp_path)
    with pytest.raises(BadInputError, match="'hello' has no folder 'apps/hello'"), source(here, "hello"):
        pass
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / "hello").symlink_to("/etc")
    with pytest.raises(BadInputError, match="has no folder"), source(here, "hello"):
        pass
    (tmp_path / "apps" / "hello").unlink()
    (tmp_path / "apps" / "hello").mkdir()
    with pytest.raises(BadInputError, match="has no 'Dockerfile'"), source(here, "hello"):
        pass
    (tmp_path / "apps" / "hello" / "Dockerfile").write_text("FROM scratch")
    with source(replace(here, base="b" * 40), "hello") as folder:
        assert folder == tmp_path / "apps" / "hello"


def test_a_source_in_another_repository_is_its_own_refs_folder(delivery: Delivery) -> None:
    delivery.commit("services/one/Dockerfile", "FROM scratch\n")
    application = delivery.change().configuration.applications["one"]
    elsewhere = application.model_copy(update={"git": f"file://{delivery.remote}", "source": "services/one"})
    here = delivery.change()
    configuration = here.configuration.model_copy(update={"applications": {"one": elsewhere}})
    with source(replace(here, configuration=configuration), "one") as folder:
        assert (folder / "Dockerfile").read_text() == "FROM scratch\n"
        assert not folder.is_relative_to(here.tree)
    assert not folder.exists()
    gone = configuration.model_copy(
        update={"applications": {"one": elsewhere.model_copy(update={"ref": "no-such-branch"})}}
    )
    with pytest.raises(BadInputError, match="'no-such-branch'"), source(replace(here, configuration=gone), "one"):
        pass
