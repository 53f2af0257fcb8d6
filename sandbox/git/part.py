"""The part ``git``: the platform's remote over HTTP, with its hooks."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping
from typing import ClassVar

import httpx

from sandbox.aws.part import SOURCE_ROOT
from sandbox.daemon import Daemon
from sandbox.docker import base_image
from sandbox.git import credentials
from sandbox.git.repository import configure, seed
from sandbox.git.settings import TRIGGERS, GitSettings
from sandbox.part import NotReadyError, Part
from sandbox.prefect import choice
from sandbox.world import ENVIRONMENTS, HOST, World
from symphony.errors import BadInputError


class Git(Part):
    """A bare repository served on loopback to those who know the password."""

    name: ClassVar[str] = "git"
    daemons: ClassVar[tuple[str, ...]] = ("git",)
    limit: ClassVar[float] = 30.0

    def ports(self, world: World) -> Mapping[str, int]:
        """The remote's port."""
        return {"git": world.ports.git}

    def start(self, world: World) -> None:
        """Seed the repository at the first start, and serve it.

        Raises:
            BadInputError: SYMPHONY_TRIGGER names nobody who could start a push's release.
        """
        credentials.write(world)
        trigger = os.environ.get("SYMPHONY_TRIGGER") or TRIGGERS[0]
        if trigger not in TRIGGERS:
            raise BadInputError(f"SYMPHONY_TRIGGER is {trigger!r}; it may be {' or '.join(TRIGGERS)}.")
        in_jobs = choice.chosen_workers(world) == "kubernetes"
        settings = GitSettings(
            host=HOST,
            port=world.ports.git,
            root=str(world.folder("git")),
            user=credentials.USER,
            password=world.secret(credentials.PASSWORD),
            prefect=world.prefect_url,
            prefect_login=f"ci:{world.secret('prefect-ci')}",
            environment=ENVIRONMENTS[0],
            state=str(world.state),
            trigger=trigger,
            base_image=base_image.in_registry(world) if in_jobs else base_image.NAME,
        )
        path = world.write(world.folder("git") / "server.json", settings.text())
        seed(world, functools.partial(for_jobs, world) if in_jobs else str)
        configure(world, path, SOURCE_ROOT)
        environment = {"PYTHONPATH": str(SOURCE_ROOT), "PYTHONUNBUFFERED": "1"}
        Daemon("git", [sys.executable, "-m", "sandbox.git.server", path, settings.mark], environment).start(world)

    def check(self, world: World) -> None:
        """Ask for the refs, as a clone does.

        Raises:
            NotReadyError: The remote does not answer, or not to our login.
        """
        login = (credentials.USER, world.secret(credentials.PASSWORD))
        address = f"{world.git_remote}/info/refs?service=git-upload-pack"
        try:
            answer = httpx.get(address, auth=login, timeout=1, trust_env=False)
        except httpx.HTTPError as error:
            raise NotReadyError(f"the Git remote does not answer on {world.git_remote} ({error})") from error
        if answer.status_code != httpx.codes.OK or b"refs/heads/main" not in answer.content:
            raise NotReadyError(
                f"the Git remote on {world.git_remote} answers {answer.status_code} without its branch main"
            )


def for_jobs(world: World, configuration: str) -> str:
    """A symphony.yaml for runs that have no Docker engine: BuildKit builds, and takes its bases from the registry."""
    return configuration.replace(base_image.NAME, base_image.in_registry(world)) + "\nbuild: {builder: buildkit}\n"
