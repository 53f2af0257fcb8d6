"""What Prefect's server runs on, chosen as the sandbox begins."""

from __future__ import annotations

from typing import Literal

from sandbox.part import PartError
from sandbox.world import World

Server = Literal["sqlite", "postgres"]
"""One process on SQLite, or two API servers and a process of background services on PostgreSQL and Redis."""
_CHOICE = "prefect-server"
_HOLDS: dict[Server, str] = {"sqlite": "prefect.db", "postgres": "postgres"}


def choose(world: World, server: Server) -> None:
    """Remember what it runs on.

    Raises:
        PartError: The sandbox has a server of the other kind, whose runs would be lost.
    """
    for other, database in _HOLDS.items():
        if other != server and (world.state / "prefect" / database).exists():
            raise PartError(
                f"The sandbox has Prefect's server on {other} already; run `symphony down` first, "
                f"then `up --server {server}` again."
            )
    world.write(world.state / _CHOICE, server)


def chosen(world: World) -> Server:
    """What it runs on; SQLite where nothing was chosen."""
    path = world.state / _CHOICE
    return "postgres" if path.exists() and path.read_text() == "postgres" else "sqlite"


Workers = Literal["process", "kubernetes"]
"""Runs are processes of this machine, or Jobs of the sandbox's cluster."""
_WORKERS = "prefect-workers"


def choose_workers(world: World, workers: Workers) -> None:
    """Remember what runs are.

    Raises:
        PartError: The sandbox has runs of the other kind already.
    """
    if (world.state / "prefect").exists() and chosen_workers(world) != workers:
        raise PartError(f"The sandbox has other workers already; run `symphony down`, then `up --workers {workers}`.")
    world.write(world.state / _WORKERS, workers)


def chosen_workers(world: World) -> Workers:
    """What runs are; processes where nothing was chosen."""
    path = world.state / _WORKERS
    return "kubernetes" if path.exists() and path.read_text() == "kubernetes" else "process"
