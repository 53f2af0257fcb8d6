"""The environments' branches, which the ApplicationSet needs to exist before the first deploy writes them."""

from __future__ import annotations

from pathlib import Path

from sandbox.world import ENVIRONMENTS, World
from symphony.tool import run

_NOBODY = "0" * 40
_AUTHOR = {
    "GIT_AUTHOR_NAME": "Symphony",
    "GIT_AUTHOR_EMAIL": "symphony@localhost",
    "GIT_COMMITTER_NAME": "Symphony",
    "GIT_COMMITTER_EMAIL": "symphony@localhost",
}


def ensure(world: World) -> None:
    """Give each ``env/<environment>`` that is missing a first, empty commit.

    A Git generator whose branch is missing fails its whole ApplicationSet, and one environment would stop all.
    Written into the bare repository itself, so that no push hook runs.

    Raises:
        ToolError: The repository is missing or broken.
    """
    repository = world.state / "git" / "platform.git"
    for name in ENVIRONMENTS:
        reference = f"refs/heads/env/{name}"
        if _git(repository, "rev-parse", "--verify", "--quiet", reference, ok=(0, 1)):
            continue
        tree = _git(repository, "hash-object", "-t", "tree", "-w", "--stdin")
        commit = _git(repository, "commit-tree", tree, "-m", f"Nothing is deployed to {name} yet")
        _git(repository, "update-ref", reference, commit, _NOBODY)


def _git(repository: Path, *arguments: str, ok: tuple[int, ...] = (0,)) -> str:
    return run(("git", "--git-dir", repository, *arguments), env=_AUTHOR, stdin="", limit=30, ok=ok).stdout.strip()
