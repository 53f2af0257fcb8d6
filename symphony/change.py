"""What a flow works on: a commit on its way into an environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from symphony.config import Configuration, Environment
from symphony.models import Commit


@dataclass(frozen=True)
class Change:
    """A commit, checked out, and the environment it goes to.

    Attributes:
        configuration: ``symphony.yaml`` of that commit.
        environment: Name of the environment.
        commit: Full id of the commit.
        base: Commit of the environment's last release that succeeded; None before the first.
        tree: Worktree of the commit, removed when the run ends.
        mirror: Bare mirror of the remote, shared by the runs of this machine.
        run: Flow run id; empty outside a run.
        changed: POSIX paths changed between base and commit; None where there is no base, so that everything counts.
    """

    configuration: Configuration
    environment: str
    commit: Commit
    base: Commit | None
    tree: Path
    mirror: Path
    run: str
    changed: tuple[str, ...] | None

    @property
    def target(self) -> Environment:
        """The environment's configuration."""
        return self.configuration.environments[self.environment]

    def touches(self, *folders: str) -> bool:
        """Whether anything at or below one of these repository paths changed since the base."""
        if self.changed is None:
            return True
        return any(path == folder or path.startswith(f"{folder}/") for path in self.changed for folder in folders)
