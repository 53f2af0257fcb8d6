"""The Git remote of the sandbox, whose pushes to main start releases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.git.credentials import git_environment
    from sandbox.git.part import Git

__all__ = ["Git", "git_environment"]


def __getattr__(name: str) -> Any:
    """Import the part only where it is asked for: the hooks import this package at each push, and people wait."""
    if name == "Git":
        from sandbox.git.part import Git  # noqa: PLC0415 - see above

        return Git
    if name == "git_environment":
        from sandbox.git.credentials import git_environment  # noqa: PLC0415 - see above

        return git_environment
    raise AttributeError(name)
