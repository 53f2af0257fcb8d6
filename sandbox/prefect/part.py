"""The part ``prefect``: server with its UI, a process worker, and the deployments of ``prefect.yaml``."""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import httpx
from ruamel.yaml import YAML

from sandbox.daemon import Daemon, recorded
from sandbox.part import NotReadyError, Part
from sandbox.prefect import database
from sandbox.prefect.environment import USER, server_environment, worker_environment
from sandbox.world import HOST, World
from symphony import tool
from symphony.errors import ToolError

SERVER, LAUNCHER, WORKER = "prefect-server", "prefect-launcher", "prefect-worker"
POOL = "symphony"
_REQUEST_SECONDS = 1.0
_DEPLOY_SECONDS = 120.0


class Prefect(Part):
    """Prefect's server on SQLite, a process worker with its launcher, and the deployments, all in the state folder."""

    name: ClassVar[str] = "prefect"
    daemons: ClassVar[tuple[str, ...]] = (SERVER, LAUNCHER, WORKER)
    limit: ClassVar[float] = 120.0
    hint: ClassVar[str] = "Deployments are put there by `symphony deploy-flows`, which can be run again by itself."

    def ports(self, world: World) -> Mapping[str, int]:
        """The server's port, for UI and API."""
        return {SERVER: world.ports.prefect}

    def start(self, world: World) -> None:
        """Start the server, then the worker, and put the deployments there.

        Raises:
            PartError: The server does not answer, or refuses the deployments.
        """
        python = [sys.executable, "-m"]
        begun = self.serve(world)
        environment = worker_environment(world)
        deploy = functools.partial(
            tool.run,
            [*python, "deployments", *(["--wait", str(_DEPLOY_SECONDS)] if begun else [])],
            cwd=world.source,
            env=environment,
            limit=2 * _DEPLOY_SECONDS,
            secrets=[world.secret("prefect-password")],
        )
        with ThreadPoolExecutor(1) as aside:
            # Loading Prefect takes as long as the server's own start, so both are done at once where all is new.
            early = aside.submit(deploy) if begun else None
            self.wait(world, lambda: answers(world, world.prefect_url))
            self.served(world)
            self.work(world)
            try:
                _ = early.result() if early else deploy()
            except ToolError as error:
                raise self.failure(world, f"the deployments could not be made ({error})", SERVER) from error

    def serve(self, world: World) -> bool:
        """Start the server; True where it answers for deployments while others still load."""
        serve = [sys.executable, "-m", "deployments.server", "--host", HOST, "--port", str(world.ports.prefect)]
        begun = database.begin(world)
        Daemon(SERVER, serve, server_environment(world)).start(world)
        return begun

    def work(self, world: World) -> None:
        """Start what takes the runs."""
        environment, python = worker_environment(world), [sys.executable, "-m"]
        # The name stands for the environment, so that a worker of another clone or toolchain is replaced.
        name = f"sandbox-{_digest(environment)}"
        launch = [*python, "deployments.launcher", str(world.folder("launcher")), name]
        work = [*python, "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", name]
        Daemon(LAUNCHER, launch, environment, cwd=world.source, grace=5.0).start(world)
        Daemon(WORKER, work, environment, cwd=world.source, grace=5.0).start(world)

    def served(self, world: World) -> None:
        """Keep what it made of an empty database."""
        database.keep(world)

    def check(self, world: World) -> None:
        """Ask the server for its health, its deployments, and whether the worker reports to it.

        Raises:
            NotReadyError: One of them is missing.
        """
        answers(world, world.prefect_url)
        wanted = _wanted((world.source / "prefect.yaml").read_text())
        found = _ask(world, "/deployments/count", {})
        if found < wanted:
            raise NotReadyError(f"the server has {found} of the {wanted} deployments of prefect.yaml")
        alive = recorded(world)
        for name in (WORKER, LAUNCHER):
            if name in self.daemons and name not in alive:
                raise NotReadyError(f"its process {name} does not run")
        workers = _ask(world, f"/work_pools/{POOL}/workers/filter", {"workers": {"status": {"any_": ["ONLINE"]}}})
        if not workers:
            raise NotReadyError("no worker reports to the work pool yet")


def _digest(environment: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(environment, sort_keys=True).encode()).hexdigest()[:8]


@functools.cache
def _client() -> httpx.Client:
    # One for all questions; the server is on loopback without TLS, and loading certificate authorities takes long.
    return httpx.Client(timeout=_REQUEST_SECONDS, trust_env=False, verify=False)  # noqa: S501


@functools.cache
def _wanted(prefect_yaml: str) -> int:
    return len(YAML(typ="safe").load(prefect_yaml)["deployments"])


def answers(world: World, url: str) -> None:
    """Ask a server for its health.

    Raises:
        NotReadyError: It has none.
    """
    if _request(world, url, "GET", "/health") is not True:
        raise NotReadyError(f"the server on {url} is not well")


def _ask(world: World, path: str, question: dict[str, Any]) -> Any:
    return _request(world, world.prefect_url, "POST", path, question)


def _request(world: World, url: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    try:
        login = (USER, world.secret("prefect-password"))
        answer = _client().request(method, f"{url}/api{path}", json=body, auth=login)
    except httpx.HTTPError as error:
        raise NotReadyError(f"the server on {url} does not answer ({error})") from error
    if answer.is_error:
        raise NotReadyError(f"the server on {url} answered {answer.status_code} to {path}")
    return answer.json()
