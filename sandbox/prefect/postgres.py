"""PostgreSQL for Prefect's server."""

from __future__ import annotations

import os
import sys

from sandbox.daemon import Daemon
from sandbox.part import NotReadyError
from sandbox.postgres import APART, LOGIN
from sandbox.world import HOST, World
from symphony import tool
from symphony.errors import ToolError

NAME = "prefect-postgres"


def process(world: World) -> Daemon:
    """Its process, which makes its files where there are none."""
    world.secret(NAME)
    serve = [sys.executable, "-m", "sandbox.postgres", str(world.folder("prefect", "postgres"))]
    programs = [world.state / "secrets" / NAME, world.tool("initdb"), world.tool("postgres")]
    apart = APART if os.geteuid() == 0 else ()
    return Daemon(NAME, [*apart, *serve, *map(str, programs), str(world.ports.prefect_database)])


def environment(world: World) -> dict[str, str]:
    """By what Prefect's server finds it."""
    login = f"{LOGIN}:{world.secret(NAME)}"
    url = f"postgresql+asyncpg://{login}@{HOST}:{world.ports.prefect_database}/postgres"
    return {"PREFECT_SERVER_DATABASE_CONNECTION_URL": url}


def check(world: World) -> None:
    """Ask it whether it takes connections.

    Raises:
        NotReadyError: It does not.
    """
    try:
        tool.run([world.tool("pg_isready"), "--host", HOST, "--port", str(world.ports.prefect_database)], limit=5)
    except ToolError as error:
        raise NotReadyError(f"{NAME} takes no connections yet") from error
