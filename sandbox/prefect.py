"""The part ``prefect``: server with its UI, a process worker, and the deployments of ``prefect.yaml``."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import httpx
from ruamel.yaml import YAML

from sandbox.aws import aws_environment
from sandbox.daemon import Daemon, recorded
from sandbox.docker.engine import choose
from sandbox.git import git_environment
from sandbox.part import NotReadyError, Part
from sandbox.tofu import tofu_environment
from sandbox.world import HOST, World
from symphony import tool
from symphony.errors import ToolError

SERVER, WORKER = "prefect-server", "prefect-worker"
POOL = "symphony"
USER = "admin"
_POLL_SECONDS = "0.5"
_REQUEST_SECONDS = 1.0
_DEPLOY_SECONDS = 120.0


def auth_string(world: World) -> str:
    """User and password of the server, as Prefect's settings take them."""
    return f"{USER}:{world.secret('prefect-password')}"


def client_environment(world: World) -> dict[str, str]:
    """Variables by which Prefect's client finds the sandbox's server and nothing else."""
    return {
        "PREFECT_HOME": str(world.folder("prefect")),
        "PREFECT_PROFILES_PATH": str(world.state / "prefect" / "profiles.toml"),
        "PREFECT_API_URL": f"{world.prefect_url}/api",
        "PREFECT_API_AUTH_STRING": auth_string(world),
        "PREFECT_API_KEY": "",
        "PREFECT_UI_URL": world.prefect_url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "PREFECT_CLI_COLORS": "false",
        "DO_NOT_TRACK": "1",
    }


def server_environment(world: World) -> dict[str, str]:
    """Variables of the server's process."""
    home = world.folder("prefect")
    origins = f"{world.prefect_url},http://localhost:{world.ports.prefect}"
    return client_environment(world) | {
        "PREFECT_SERVER_API_AUTH_STRING": auth_string(world),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
        # Leases in memory would outlive neither a crash of the server nor be freed after one.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": origins,
        "PREFECT_SERVER_UI_API_URL": f"{world.prefect_url}/api",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # What a run did is seen within a second, not five.
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        # A run that waits for another one's slot looks again soon.
        "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
    }


def worker_environment(world: World) -> dict[str, str]:
    """Everything that flows find in their process's environment; the tests and the command line use the same.

    Secrets travel by it or by files it names, so hand it to a process, never to a list of arguments.
    """
    return (
        aws_environment(world)
        | git_environment(world)
        | tofu_environment(world)
        | client_environment(world)
        | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), world.path]),
            "PYTHONPATH": str(world.source),
            "SYMPHONY_CONFIG": str(world.source / "symphony.yaml"),
            "SYMPHONY_STATE": str(world.state),
            "SYMPHONY_CACHE": str(world.cache),
            "SYMPHONY_WORK": str(world.folder("work")),
            "KUBECONFIG": str(world.kubeconfig),
            "DOCKER_HOST": choose(world).host,
            "PREFECT_WORKER_QUERY_SECONDS": _POLL_SECONDS,
            "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
        }
    )


class Prefect(Part):
    """Prefect's server on SQLite, one process worker, and the deployments, all in the state folder."""

    name: ClassVar[str] = "prefect"
    daemons: ClassVar[tuple[str, ...]] = (SERVER, WORKER)
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
        serve = [*python, "prefect", "server", "start", "--host", HOST, "--port", str(world.ports.prefect)]
        Daemon(SERVER, serve, server_environment(world)).start(world)
        environment = worker_environment(world)
        # The name stands for the environment, so that a worker of another clone or toolchain is replaced.
        name = f"sandbox-{_digest(environment)}"
        work = [*python, "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", name]
        self.wait(world, lambda: _healthy(world))
        Daemon(WORKER, work, environment, cwd=world.source, grace=5.0).start(world)
        try:
            tool.run(
                [*python, "deployments"],
                cwd=world.source,
                env=environment,
                limit=_DEPLOY_SECONDS,
                secrets=[world.secret("prefect-password")],
            )
        except ToolError as error:
            raise self.failure(world, f"the deployments could not be made ({error})", SERVER) from error

    def check(self, world: World) -> None:
        """Ask the server for its health, its deployments, and whether the worker reports to it.

        Raises:
            NotReadyError: One of them is missing.
        """
        _healthy(world)
        wanted = _wanted((world.source / "prefect.yaml").read_text())
        found = _ask(world, "/deployments/count", {})
        if found < wanted:
            raise NotReadyError(f"the server has {found} of the {wanted} deployments of prefect.yaml")
        pid = recorded(world).get(WORKER)
        if pid is None:
            raise NotReadyError("the worker does not run")
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


def _healthy(world: World) -> None:
    if _request(world, "GET", "/health") is not True:
        raise NotReadyError(f"the server on {world.prefect_url} is not well")


def _ask(world: World, path: str, question: dict[str, Any]) -> Any:
    return _request(world, "POST", path, question)


def _request(world: World, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    try:
        login = (USER, world.secret("prefect-password"))
        answer = _client().request(method, f"{world.prefect_url}/api{path}", json=body, auth=login)
    except httpx.HTTPError as error:
        raise NotReadyError(f"the server on {world.prefect_url} does not answer ({error})") from error
    if answer.is_error:
        raise NotReadyError(f"the server on {world.prefect_url} answered {answer.status_code} to {path}")
    return answer.json()
