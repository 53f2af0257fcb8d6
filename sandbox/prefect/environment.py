"""Variables of the server's, the worker's and a client's process."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

from sandbox.aws import aws_environment
from sandbox.docker.engine import choose
from sandbox.git import git_environment
from sandbox.prefect import database
from sandbox.registry.signing import signing_environment
from sandbox.tofu import tofu_environment
from sandbox.world import World

USER = "admin"
ROLES = ("ci", "approver")
"""Each has a login of its name, beside the server's own."""
POLL_SECONDS = "0.2"
"""Between two questions of a worker for runs."""


def auth_string(world: World) -> str:
    """User and password of the server, as Prefect's settings take them."""
    return f"{USER}:{world.secret('prefect-password')}"


def login(world: World, role: str) -> str:
    """Login and credential of a role, as Prefect's settings take them."""
    return f"{role}:{world.secret(f'prefect-{role}')}"


def give_logins(world: World) -> Path:
    """The file of logins, which `symphony login` changes; one that is there stays as it is."""
    path = world.folder("prefect") / "logins.json"
    if not path.exists():
        made = {role: hashlib.sha256(world.secret(f"prefect-{role}").encode()).hexdigest() for role in ROLES}
        content = {role: {"role": role, "sha256": digest} for role, digest in made.items()}
        world.write(path, json.dumps(content, indent=2))
    return path


def client_environment(world: World) -> dict[str, str]:
    """Variables by which Prefect's client finds the sandbox's server and nothing else."""
    return {
        "PREFECT_HOME": str(world.folder("prefect")),
        "PREFECT_PROFILES_PATH": str(world.state / "prefect" / "profiles.toml"),
        "PREFECT_API_URL": f"{world.prefect_url}/api",
        "PREFECT_API_AUTH_STRING": auth_string(world),
        "PREFECT_API_KEY": "",
        "PREFECT_UI_URL": world.prefect_url,
        # Where SQLite's one writer keeps a request out six times over, as under ten runs at once, it is tried on: a
        # worker that gives up leaves a run that never starts.
        "PREFECT_CLIENT_MAX_RETRIES": "8",
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
        "SYMPHONY_CREDENTIALS": str(give_logins(world)),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database.path(world)}",
        # SQLite has one writer at a time; on a busy machine a request waits for it rather than fail.
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
        "PREFECT_SERVER_MEMO_STORE_PATH": str(home / "memo_store.toml"),
        # Leases in memory would outlive neither a crash of the server nor be freed after one.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": origins,
        "PREFECT_SERVER_UI_API_URL": f"{world.prefect_url}/api",
        # Where the links of Symphony's pages lead; its newer UI hides in a menu how to answer what a run asks.
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
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
        | signing_environment(world)
        | client_environment(world)
        | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), world.path]),
            "PYTHONPATH": str(world.source),
            "SYMPHONY_CONFIG": str(world.source / "symphony.yaml"),
            "SYMPHONY_STATE": str(world.state),
            "SYMPHONY_CACHE": str(world.cache),
            "SYMPHONY_LAUNCHER": str(world.folder("launcher")),
            "SYMPHONY_WORK": str(world.folder("work")),
            "KUBECONFIG": str(world.kubeconfig),
            "DOCKER_HOST": choose(world).host,
            "PREFECT_WORKER_QUERY_SECONDS": POLL_SECONDS,
            "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
        }
    )
