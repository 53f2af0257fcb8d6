"""The Git remote of the sandbox, with Git itself."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.git import git_environment
from sandbox.world import World
from symphony import tool
from symphony.errors import ToolError

Run = Callable[..., str]


@pytest.fixture
def work(world: World, tmp_path: Path) -> Path:
    path = tmp_path / "work"
    tool.run(["git", "clone", "-q", world.git_remote, path], env=git_environment(world), limit=60)
    return path


@pytest.fixture
def git(world: World, work: Path) -> Run:
    def run(*arguments: str) -> str:
        lines: list[str] = []
        tool.run(["git", *arguments], cwd=work, env=git_environment(world), limit=120, on_line=lines.append)
        return "\n".join(lines)

    return run


def test_the_remote_holds_the_platform(work: Path) -> None:
    assert {"apps", "charts", "infra", "symphony.yaml"} <= {path.name for path in work.iterdir()}


def test_a_push_of_50_mb_to_a_branch_arrives_whole_and_starts_nothing(git: Run, work: Path) -> None:
    branch = f"test/{uuid.uuid4().hex[:8]}"
    (work / "big").write_bytes(os.urandom(50_000_000))
    git("add", "big")
    git("commit", "-qm", "A large file")
    try:
        assert "symphony:" not in git("push", "origin", f"HEAD:refs/heads/{branch}").replace("symphony:///", "")
        git("fetch", "-q", "origin", branch)
        assert git("rev-parse", "FETCH_HEAD") == git("rev-parse", "HEAD")
    finally:
        git("push", "-q", "origin", f":refs/heads/{branch}")


def test_main_is_neither_rewritten_nor_deleted(git: Run) -> None:
    before = git("ls-remote", "origin", "refs/heads/main")
    git("commit", "-q", "--amend", "--allow-empty", "-m", "Another history")
    with pytest.raises(ToolError, match="only moves forward"):
        git("push", "--force", "origin", "HEAD:refs/heads/main")
    with pytest.raises(ToolError, match="cannot be deleted"):
        git("push", "origin", ":refs/heads/main")
    assert git("ls-remote", "origin", "refs/heads/main") == before


def test_a_clone_without_the_password_is_refused(world: World, tmp_path: Path) -> None:
    environment = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_GLOBAL": os.devnull}
    with pytest.raises(ToolError, match=r"could not read Username|Authentication failed"):
        tool.run(["git", "clone", "-q", world.git_remote, tmp_path / "none"], env=environment, limit=30)
