"""The environments' branches."""

from pathlib import Path

import pytest

from sandbox.argocd import branches
from sandbox.world import World
from symphony.errors import ToolError
from symphony.tool import run


@pytest.fixture
def world(tmp_path: Path) -> World:
    run(("git", "init", "--quiet", "--bare", tmp_path / "git" / "platform.git"))
    return World(source=tmp_path, state=tmp_path)


def git(world: World, *arguments: str) -> str:
    return run(("git", "--git-dir", world.state / "git" / "platform.git", *arguments)).stdout.strip()


def test_missing_branches_are_made_with_an_empty_commit(world: World) -> None:
    branches.ensure(world)
    names = git(world, "for-each-ref", "--format=%(refname)").splitlines()
    assert names == ["refs/heads/env/dev", "refs/heads/env/prod", "refs/heads/env/staging"]
    assert git(world, "ls-tree", "env/dev") == ""
    assert git(world, "rev-list", "--count", "env/dev") == "1"


def test_a_branch_that_is_there_is_left_as_it_is(world: World) -> None:
    branches.ensure(world)
    before = git(world, "for-each-ref")
    branches.ensure(world)
    assert git(world, "for-each-ref") == before


def test_a_missing_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="platform"):
        branches.ensure(World(source=tmp_path, state=tmp_path))
