"""How the sandbox's processes log in to its Git remote: a credential store and a configuration that uses it."""

from __future__ import annotations

from pathlib import Path

from sandbox.world import HOST, World

USER = "symphony"
PASSWORD = "git-password"  # noqa: S105 - the secret's name
"""Name of the secret that holds the password."""


def configuration_file(world: World) -> Path:
    """The Git configuration of the sandbox's processes."""
    return world.state / "git" / "gitconfig"


def write(world: World) -> None:
    """Write both files, mode 0600."""
    folder = world.folder("git")
    store = world.write(folder / "credentials", f"http://{USER}:{world.secret(PASSWORD)}@{HOST}:{world.ports.git}\n")
    text = (
        "[user]\n\tname = Symphony\n\temail = symphony@sandbox.localhost\n"
        "[init]\n\tdefaultBranch = main\n"
        "[advice]\n\tdetachedHead = false\n"
        f'[credential "http://{HOST}:{world.ports.git}"]\n\thelper = "store --file=\'{store}\'"\n'
    )
    world.write(configuration_file(world), text)


def git_environment(world: World) -> dict[str, str]:
    """Variables by which Git finds the login of the sandbox's remote, and never asks at a terminal."""
    return {"GIT_CONFIG_GLOBAL": str(configuration_file(world)), "GIT_TERMINAL_PROMPT": "0"}
