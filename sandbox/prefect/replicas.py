"""The part ``prefect`` where its server is several processes: how it runs beyond one machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import ClassVar

from sandbox.daemon import Daemon, recorded
from sandbox.part import NotReadyError
from sandbox.prefect import balancer, broker, postgres
from sandbox.prefect.environment import server_environment
from sandbox.prefect.part import LAUNCHER, SERVER, WORKER, Prefect, answers
from sandbox.world import HOST, World

SECOND, SERVICES = "prefect-server-2", "prefect-services"
_MADE = {"PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false", "PREFECT_API_BLOCKS_REGISTER_ON_START": "false"}
"""The first server does both; two at once would get in each other's way."""


class Replicas(Prefect):
    """Two API servers behind a balancer and one process of background services, on PostgreSQL and Redis."""

    daemons: ClassVar[tuple[str, ...]] = (
        *(postgres.NAME, broker.NAME, SERVER, SECOND, SERVICES, balancer.NAME),
        *(LAUNCHER, WORKER),
    )
    limit: ClassVar[float] = 240.0

    def ports(self, world: World) -> Mapping[str, int]:
        """The balancer's port, for UI and API, and those of what is behind it."""
        return {
            balancer.NAME: world.ports.prefect,
            SERVER: world.ports.prefect_server,
            SECOND: world.ports.prefect_second,
            postgres.NAME: world.ports.prefect_database,
            broker.NAME: world.ports.prefect_redis,
        }

    def serve(self, world: World) -> bool:
        """Start all that answers for Prefect, the first API server before the others."""
        for one in (postgres, broker):
            one.process(world).start(world)
        self.wait(world, lambda: postgres.check(world))
        self.wait(world, lambda: broker.check(world))
        environment = server_environment(world) | postgres.environment(world) | broker.environment(world)
        python = [sys.executable, "-m"]
        serve = [*python, "deployments.server", "--no-services", "--host", HOST, "--port"]
        ports = world.ports.prefect_server, world.ports.prefect_second
        Daemon(SERVER, [*serve, str(ports[0])], environment).start(world)
        self.wait(world, lambda: answers(world, _url(ports[0])))
        made = environment | _MADE
        Daemon(SECOND, [*serve, str(ports[1])], made).start(world)
        Daemon(SERVICES, [*python, "prefect", "server", "services", "start"], made).start(world)
        balancer.process(world, ports).start(world)
        return False

    def served(self, world: World) -> None:
        """Nothing of it is kept."""

    def check(self, world: World) -> None:
        """Ask each of them, and then as where there is one server.

        Raises:
            NotReadyError: One of them is missing.
        """
        postgres.check(world)
        broker.check(world)
        for port in (world.ports.prefect_server, world.ports.prefect_second):
            answers(world, _url(port))
        if SERVICES not in recorded(world):
            raise NotReadyError(f"its process {SERVICES} does not run")
        super().check(world)


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"
