"""The gate's process: ``python -m sandbox.registry.server <settings file>``."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import boto3
import httpx
import uvicorn
from botocore.config import Config

from sandbox.registry.ecr import Books
from sandbox.registry.event import PrefectEvents
from sandbox.registry.gate import Gate
from sandbox.registry.notification import Intake
from sandbox.registry.referrers import Referrers
from sandbox.registry.repair import repair
from sandbox.registry.settings import REGISTRY_USER, GateSettings
from sandbox.registry.upstream import Upstream

_CONNECTIONS = 64


async def serve(settings: GateSettings) -> None:
    """Serve until ended."""
    # A profile named outright wins over access keys that this process inherited.
    ecr = boto3.Session(profile_name="default").client(
        "ecr", config=Config(connect_timeout=1, read_timeout=10, max_pool_connections=_CONNECTIONS)
    )
    books = Books(ecr, Path(settings.ledger))
    limits = httpx.Limits(max_connections=_CONNECTIONS)
    # A blob may take as long as it takes; only reaching the registry has a limit.
    patience = httpx.Timeout(None, connect=5)
    async with (
        httpx.AsyncClient(
            base_url=settings.registry,
            auth=(REGISTRY_USER, settings.registry_password),
            timeout=patience,
            limits=limits,
            trust_env=False,
        ) as registry,
        httpx.AsyncClient(auth=("admin", settings.prefect_password), trust_env=False) as prefect,
    ):
        upstream = Upstream(registry)
        host = f"{settings.host}:{settings.port}"
        intake = Intake(books, upstream, PrefectEvents(prefect, settings.prefect), host)
        referrers = Referrers(Path(settings.ledger).with_name("referrers"))
        gate = Gate(settings, books, upstream, intake, referrers)
        application = gate.application(lambda: repair(books, upstream, referrers, Path(settings.storage)))
        config = uvicorn.Config(
            application, settings.host, settings.port, log_level="error", access_log=False, server_header=False
        )
        await uvicorn.Server(config).serve()


def main() -> None:
    """Read the settings and serve."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(serve(GateSettings.read(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
