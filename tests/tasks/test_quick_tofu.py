"""Terragrunt is told tofu's version without starting tofu, where it is tofu that would answer."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tasks.quick_tofu import quick_tofu


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SYMPHONY_WORK", str(tmp_path / "work"))
    return tmp_path


def _said(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.mark.usefixtures("tools")
def test_it_tells_the_version_once_asked_and_hands_on_all_else(home: Path) -> None:
    real = str(shutil.which("tofu"))
    quick = quick_tofu()
    assert quick == quick_tofu() != real
    assert Path(quick).is_relative_to(home)
    assert _said(quick, "-version") == _said(real, "-version")
    for asked in (("version", "-json"), ("-version", "-json"), ("-chdir=/", "fmt", "-help")):
        assert _said(quick, *asked) == _said(real, *asked)
    # The version is from the script: it is told also where there is no tofu to start.
    text = Path(quick).read_text(encoding="utf-8").replace(str(Path(real).resolve()), "/nowhere/tofu")
    (home / "alone").write_text(text, encoding="utf-8")
    assert _said("sh", str(home / "alone"), "-version").startswith("OpenTofu v")


@pytest.mark.usefixtures("home", "tools")
def test_where_no_file_of_its_own_may_be_started_terragrunt_asks_tofu() -> None:
    Path(quick_tofu()).chmod(0o600)
    assert quick_tofu() == "tofu"


@pytest.mark.parametrize("there", [True, False])
def test_a_version_manager_that_goes_by_the_name_is_asked_each_time(
    home: Path, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    folder = home / "bin"
    folder.mkdir()
    if there:
        program = folder / "tofu"
        program.write_text("#!/bin/sh\ncat .opentofu-version\n", encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", os.fspath(folder))
    assert quick_tofu() == "tofu"


def test_another_tofu_is_asked_anew(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / "bin"
    folder.mkdir()
    program = folder / "tofu"
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    told = []
    for version in ("one", "another"):
        program.write_text(f"#!/bin/sh\n# github.com/opentofu/opentofu/cmd/tofu\necho {version}\n", encoding="utf-8")
        program.chmod(0o755)
        told.append(_said(quick_tofu(), "-version"))
    assert told == ["one\n", "another\n"]
