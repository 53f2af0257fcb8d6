"""The demo's code change: what a developer does, from a working copy of the sandbox's remote to the push."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sandbox.git import git_environment, workflow
from sandbox.world import World
from symphony.tool import run

GREETING = Path("apps/hello/greeting.txt")


@dataclass(frozen=True)
class Push:
    """A pushed change.

    Attributes:
        commit: Full id of the commit.
        greeting: What the service will say once it is live.
    """

    commit: str
    greeting: str

    @property
    def keys(self) -> tuple[str, ...]:
        """Idempotency keys that the release may be started with: by the commit's workflow, or by the push hook."""
        return workflow.key(self.commit, "dev"), f"platform:release:dev:{self.commit}:push"


def push_change(world: World, say: Callable[[str], None] = lambda _line: None, *options: str) -> Push:
    """Change what the example service says, commit, and push to main.

    Args:
        world: A sandbox that is up.
        say: Called with what the remote's hook prints.
        options: Options of the push; ``trigger=api`` has the remote's hook start the release, not the workflow.

    Returns:
        What was pushed.

    Raises:
        ToolError: Git failed, or the remote refuses the push.
    """
    environment = git_environment(world)
    copy = world.state / "workspace"

    def git(*arguments: str, on_line: Callable[[str], None] | None = None) -> str:
        folder = copy if copy.exists() else world.state
        return run(["git", *arguments], cwd=folder, env=environment, on_line=on_line).stdout.strip()

    if not copy.exists():
        git("clone", "--quiet", "--branch", "main", world.git_remote, str(copy))
    git("fetch", "--quiet", "origin", "main")
    git("reset", "--quiet", "--hard", "origin/main")
    number = int(git("rev-list", "--count", "HEAD"))
    greeting = f"Hello from Symphony, change {number}, made at {datetime.now().astimezone():%H:%M:%S}"
    (copy / GREETING).write_text(greeting + "\n", encoding="utf-8")
    git("commit", "--quiet", "--all", "--message", f"Say it anew, for the {number}. time")
    git("push", "--quiet", *(f"--push-option={one}" for one in options), "origin", "HEAD:main", on_line=say)
    return Push(commit=git("rev-parse", "HEAD"), greeting=greeting)
