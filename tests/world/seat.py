"""A developer's seat before the sandbox: a working copy of its remote, Prefect's API, and what the service answers."""

from __future__ import annotations

import base64
import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from deployments.client import PrefectApi, Run
from sandbox.aws.client import client
from sandbox.git import git_environment
from sandbox.prefect import worker_environment
from sandbox.world import HOST, World
from symphony import tool

NUMBERS = itertools.count(int(time.time()))
"""One sequence for all tests, so that what they name by it never collides."""
_LIMIT_SECONDS = 240
_RUN_ID = "PREFECT__FLOW_RUN_ID"


def until(found: Callable[[], Any], what: str, limit: float = 60) -> Any:
    """What is found in the end; an assertion fails where that takes more than so many seconds."""
    deadline = time.monotonic() + limit
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what} did not come about"
        time.sleep(0.1)
    return answer


@dataclass
class Seat:
    """A working copy of the remote, the flows of dev, and the service hello there."""

    world: World
    copy: Path
    api: PrefectApi

    @classmethod
    def take(cls, world: World, folder: Path) -> Self:
        """A seat with a working copy of its own."""
        copy = folder / "copy"
        tool.run(["git", "clone", "--quiet", world.git_remote, str(copy)], env=git_environment(world))
        return cls(world, copy, PrefectApi(f"{world.prefect_url}/api", f"admin:{world.secret('prefect-password')}"))

    def git(self, *arguments: str) -> str:
        return tool.run(["git", *arguments], cwd=self.copy, env=git_environment(self.world)).stdout.strip()

    def branch(self, edit: Callable[[Path], None], name: str = "") -> str:
        """A branch beside main's head with one change; it starts no release."""
        self.git("fetch", "--quiet", "origin")
        self.git("checkout", "--quiet", "--force", "--detach", "origin/main")
        edit(self.copy)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "try")
        name = name or f"try-{next(NUMBERS)}"
        self.git("push", "--quiet", "origin", f"HEAD:refs/heads/{name}")
        return name

    def push(self, message: str, edit: Callable[[Path], None], trigger: str = "api") -> str:
        """Change something on main; the hook starts the release, which is faster than the workflow of a plain push."""
        self.git("fetch", "--quiet", "origin")
        self.git("reset", "--quiet", "--hard", "origin/main")
        edit(self.copy)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        options = [f"--push-option=trigger={trigger}"] if trigger else []
        self.git("push", "--quiet", *options, "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def say(self, greeting: str) -> str:
        """Push another greeting."""
        return self.push(greeting, lambda copy: (copy / "apps/hello/greeting.txt").write_text(f"{greeting}\n"))

    def released(self, commit: str) -> Run:
        """The release that the push of a commit started, as it ends."""
        run = self.api.find(f"platform:release:dev:{commit}:push")
        assert run is not None, "the push started no release"
        return self.ended(run)

    def ended(self, run: Run) -> Run:
        """The run as it ends, within four minutes."""
        deadline = time.monotonic() + _LIMIT_SECONDS
        for now, _ in self.api.follow(run.id):
            assert time.monotonic() < deadline, f"{now.name} is still {now.state_name}"
            run = now
        return run

    def start(self, flow: str, deployment: str = "dev", **parameters: object) -> Run:
        """A run of a flow, as it ends."""
        return self.ended(self.api.start(flow, deployment, parameters))

    def answer(self, path: str = "/", environment: str = "dev") -> str:
        """What the service says through the ingress."""
        url = f"http://{HOST}:{self.world.ports.ingress}{path}"
        return httpx.get(url, headers={"Host": f"hello.{environment}.localhost"}, timeout=5).text.strip()

    def symphony(self, *arguments: str, ok: tuple[int, ...] = (0,)) -> str:
        """What the command prints."""
        command = [sys.executable, "-c", "from cli.main import main; main()", *arguments]
        environment = worker_environment(self.world)
        return tool.run(command, cwd=self.world.source, env=environment, ok=ok, limit=120).stdout

    def login(self) -> tuple[str, str]:
        """A fresh login of ECR: user and password."""
        entry = client(self.world, "ecr").get_authorization_token()["authorizationData"][0]
        user, _, password = base64.b64decode(entry["authorizationToken"]).decode().partition(":")
        return user, password

    def desired(self) -> str:
        """The tree of dev's desired state."""
        self.git("fetch", "--quiet", "origin")
        return self.git("rev-parse", "origin/env/dev^{tree}")

    def processes(self, run: Run) -> list[psutil.Process]:
        """The run's own process, and all that it started."""
        mine = run.id.replace("-", "")
        every = psutil.process_iter(["environ"])
        return [one for one in every if mine == str((one.info["environ"] or {}).get(_RUN_ID)).replace("-", "")]
