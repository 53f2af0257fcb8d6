"""A workflow of a pushed commit, run as GitHub Actions would: a fresh checkout, secrets and variables, act, and a log.

Started at each push, so it stands on the standard library alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.git.settings import GitSettings

FOLDER = Path(".github/workflows")
"""Where a repository has its workflows."""
RELEASE = "release.yml"
REPOSITORY = "sandbox/platform"
"""What GitHub would call the remote."""
MARK = "SYMPHONY_SANDBOX"
"""As `sandbox.daemon` has it: by this variable `down` finds what is still running."""


@dataclass(frozen=True)
class Event:
    """What happened on GitHub.

    Attributes:
        name: Name of the event, such as ``push``.
        commit: Commit whose workflow runs.
        workflow: File name of the workflow.
        payload: What a workflow reads as ``github.event``.
        env: Variables that the steps find, beside GitHub's own.
    """

    name: str
    commit: str
    workflow: str
    payload: Mapping[str, Any]
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def run(self) -> str:
        """Number of the run: the same for the same commit, so that a run that was cut off is found again."""
        return str(int(self.commit[:12], 16))


def pushed(commit: str, main: str) -> Event:
    """The push of a commit to main."""
    return Event("push", commit, RELEASE, {"ref": f"refs/heads/{main}", "after": commit, "deleted": False})


def key(commit: str, environment: str) -> str:
    """Idempotency key of the release that the workflow of a pushed commit starts."""
    return f"{REPOSITORY}:release:{environment}:{commit}:{pushed(commit, '').run}:1:release"


def start(settings: Path, commit: str) -> None:
    """Run the workflow of a pushed commit in a process of its own, which outlives the push."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); "
        "from sandbox.git.workflow import main; sys.exit(main(*sys.argv[1:]))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    subprocess.Popen(
        [sys.executable, "-IS", "-c", code, str(settings), commit],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**environment, MARK: GitSettings.read(settings).state},
        start_new_session=True,
    )


def log_of(settings: GitSettings, event: Event) -> Path:
    """Log of a workflow's run; its end is the job's summary."""
    return Path(settings.state) / "logs" / f"{Path(event.workflow).stem}-{event.commit[:12]}.log"


def run(settings: GitSettings, event: Event) -> int:
    """Run a workflow to its end.

    Args:
        settings: Where the repository and the programs are.
        event: What happened.

    Returns:
        act's exit code: 0 where every job succeeded.
    """
    log = log_of(settings, event)
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with log.open("ab") as stream, tempfile.TemporaryDirectory(dir=settings.root, prefix="workflow-") as folder:
        home = Path(folder)
        copy = home / "platform"
        environment = _environment(settings, home) | dict(event.env)
        bare = Path(settings.root) / "platform.git"
        for command in (
            ["clone", "--quiet", "--shared", "--no-checkout", str(bare), str(copy)],
            ["-C", str(copy), "checkout", "--quiet", "--detach", event.commit],
            # By its address act tells the repository's name.
            ["-C", str(copy), "remote", "set-url", "origin", f"https://github.com/{REPOSITORY}.git"],
        ):
            subprocess.run(["git", *command], env=environment, stdout=stream, stderr=stream, check=True)  # noqa: S607
        command = _command(settings, event, home)
        return subprocess.run(
            command, cwd=copy, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, check=False
        ).returncode


def _environment(settings: GitSettings, home: Path) -> dict[str, str]:
    return {
        # The command `symphony` of this clone first.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "LANG": "C.UTF-8",
        MARK: settings.state,
    }


def _command(settings: GitSettings, event: Event, home: Path) -> list[str]:
    files = {
        "event": json.dumps(event.payload),
        "secrets": f"PREFECT_API_AUTH_STRING={settings.prefect_login}\nGITHUB_TOKEN=sandbox\n",
        "variables": f"PREFECT_API_URL={settings.prefect}/api\nBASE_IMAGE={settings.base_image}\n",
        "env": "",
    }
    for name, text in files.items():
        place = os.open(home / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(place, "w") as file:
            file.write(text)
    return [
        "act",
        event.name,
        f"--workflows={FOLDER / event.workflow}",
        "--platform=ubuntu-latest=-self-hosted",
        # Neither caches, artifacts nor containers: for these act looks for a network and an engine.
        "--no-cache-server",
        "--artifact-server-addr=127.0.0.1",
        "--container-daemon-socket=-",
        f"--eventpath={home / 'event'}",
        f"--secret-file={home / 'secrets'}",
        f"--var-file={home / 'variables'}",
        f"--env-file={home / 'env'}",
        f"--env=GITHUB_RUN_ID={event.run}",
        "--env=GITHUB_RUN_ATTEMPT=1",
        *(f"--env={name}={value}" for name, value in event.env.items() if name.startswith("GITHUB_")),
    ]


def main(settings: str, commit: str) -> int:
    """Run the workflow of a push; its log tells how it went."""
    read = GitSettings.read(Path(settings))
    return run(read, pushed(commit, read.main))
