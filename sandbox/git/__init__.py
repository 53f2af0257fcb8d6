"""The Git remote of the sandbox, whose pushes to main start releases."""

from sandbox.git.credentials import git_environment
from sandbox.git.part import Git

__all__ = ["Git", "git_environment"]
