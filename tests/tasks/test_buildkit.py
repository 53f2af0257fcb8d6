from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from symphony.build import Build
from symphony.change import Change
from symphony.config import load
from symphony.errors import BadInputError, SymphonyError, TransientError
from tasks import buildkit, oci_registry
from tasks.ecr import Login
from tasks.source import Source

ROOT = Path(__file__).parents[2]
TARGET = "127.0.0.1:5010/dev/hello:tag"
DIGEST = f"sha256:{'d' * 64}"

BUILDX = """\
#!/bin/sh
printf '%s\\n' "$@" "--" >> "$NOTED"
[ "$1" = build ] || { [ "$1" != imagetools ] || echo "$DIGEST"; exit 0; }
cat "$SAID" >&2
while [ $# -gt 0 ]; do
  [ "$1" != --metadata-file ] || echo "{\\"containerimage.digest\\": \\"$DIGEST\\"}" > "$2"
  shift
done
exit "$(cat "$CODE")"
"""


class Buildx:
    """A program in buildx's place, which notes what it is asked and says what it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logged: list[str] = []
        self.says("#1 DONE 0.1s")

    def says(self, text: str, code: int = 0) -> None:
        (self.folder / "said").write_text(f"{text}\n")
        (self.folder / "code").write_text(str(code))

    @property
    def asked(self) -> list[list[str]]:
        calls = (self.folder / "noted").read_text().split("--\n")
        return [call.splitlines() for call in calls if call]


@pytest.fixture
def buildx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Buildx:
    made = Buildx(tmp_path)
    (tmp_path / "buildx").write_text(BUILDX)
    (tmp_path / "buildx").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for name in ("noted", "said", "code"):
        monkeypatch.setenv(name.upper(), str(tmp_path / name))
    monkeypatch.setenv("DIGEST", DIGEST)
    monkeypatch.setattr(
        buildkit, "get_run_logger", lambda: SimpleNamespace(info=lambda text, *said: made.logged.append(text % said))
    )
    monkeypatch.setattr(oci_registry, "login", lambda _: Login(username="AWS", password="p"))  # type: ignore[arg-type]
    return made


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "context").mkdir()
    return Source(tmp_path / "context", "https://git.example/platform.git", "a" * 40, 1_700_000_000)


def change(build: dict[str, Any] | None = None, **application: Any) -> Change:
    """Hello by BuildKit."""
    configuration = load(ROOT / "symphony.yaml")
    hello = configuration.applications["hello"].model_copy(update=application)
    by = Build.model_validate({"builder": "buildkit", "address": "unix:///run/b.sock", **(build or {})})
    configuration = configuration.model_copy(update={"applications": {"hello": hello}, "build": by})
    return Change(configuration, "dev", "a" * 40, None, ROOT, ROOT, "", None)


def test_a_push_has_the_commits_time_labels_platforms_and_the_cache(buildx: Buildx, source: Source) -> None:
    here = change({"cache": "{environment}/cache"}, platforms=("linux/amd64", "linux/arm64"))
    assert buildkit.push(here, "hello", source, TARGET) == DIGEST
    create, build = buildx.asked
    assert create[-3:] == ["--driver", "remote", "unix:///run/b.sock"]
    assert "SOURCE_DATE_EPOCH=1700000000" in build
    assert f"org.opencontainers.image.revision={'a' * 40}" in build
    assert build[build.index("--platform") + 1] == "linux/amd64,linux/arm64"
    assert build[build.index("--cache-from") + 1] == "type=registry,ref=127.0.0.1:5010/dev/cache:hello"
    assert build[build.index("--cache-to") + 1].startswith("type=registry,ref=127.0.0.1:5010/dev/cache:hello,mode=max,")
    assert f"type=image,name={TARGET},push=true" in build[build.index("--output") + 1]


def test_a_build_pushes_nothing_and_its_log_is_the_runs_with_secrets_masked(
    buildx: Buildx, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("first-line\nsecond-line\n")
    monkeypatch.setenv("NPM_TOKEN", "hidden-token")
    buildx.says("#5 using hidden-token and second-line")
    here = change(build_secrets={"npm": "env://NPM_TOKEN", "key": str(tmp_path / "key")})
    buildkit.build(here, "hello", source, TARGET)
    assert buildx.logged == ["hello │ #5 using ******** and ********"]
    (_, build) = buildx.asked
    assert build[build.index("--output") + 1] == "type=cacheonly"
    assert "--cache-to" not in build
    assert {"id=npm,env=NPM_TOKEN", f"id=key,src={tmp_path / 'key'}"} <= set(build)
    assert "hidden-token" not in "\n".join(build)


def test_a_secret_that_is_not_there_is_named(buildx: Buildx, source: Source) -> None:
    with pytest.raises(BadInputError, match="The build secret 'npm' of hello is not there: env://NO_SUCH"):
        buildkit.build(change(build_secrets={"npm": "env://NO_SUCH"}), "hello", source, TARGET)
    assert not (buildx.folder / "noted").exists()


def test_a_missing_address_is_told(buildx: Buildx, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDKIT_HOST", "tcp://builder:1234")
    buildkit.build(change({"address": None}), "hello", source, TARGET)
    assert buildx.asked[0][-1] == "tcp://builder:1234"
    monkeypatch.delenv("BUILDKIT_HOST")
    with pytest.raises(BadInputError, match=r"set build.address in symphony.yaml, or BUILDKIT_HOST"):
        buildkit.build(change({"address": None}), "hello", source, TARGET)


@pytest.mark.parametrize(
    ("said", "passing"),
    [
        ('failed to solve: process "/bin/sh -c wget x" did not complete successfully: exit code: 1: timeout', False),
        ("failed to solve: failed to push 127.0.0.1:5010/dev/hello:tag: connection reset by peer", True),
        ("failed to list workers: Unavailable: connection error: no such file or directory", True),
        ("failed to solve: failed to push: 400 Bad Request: the repository's tags are immutable", False),
    ],
)
def test_what_can_pass_is_told_from_what_cannot(said: str, buildx: Buildx, source: Source, *, passing: bool) -> None:
    buildx.says(f"#7 [2/2] RUN step\nERROR: {said}", code=1)
    with pytest.raises(SymphonyError) as caught:
        buildkit.push(change(), "hello", source, TARGET)
    assert said in str(caught.value)
    assert isinstance(caught.value, TransientError) == passing


def test_a_base_image_is_what_its_registry_calls_it(buildx: Buildx) -> None:
    assert buildkit.base_digest(change(), "python:3") == DIGEST
    assert buildx.asked == [["imagetools", "inspect", "python:3", "--format", "{{.Manifest.Digest}}"]]
