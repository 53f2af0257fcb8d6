"""Traefik before the API servers: where people, workers and flows find one address, whichever of them is up."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.daemon import Daemon
from sandbox.world import HOST, World

NAME = "prefect-balancer"


def process(world: World, servers: Sequence[int]) -> Daemon:
    """Its process, before servers on these ports."""
    folder = world.folder("prefect", "balancer")
    routes = world.write(folder / "routes.yaml", json.dumps(_routes(servers), indent=2))
    settings = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "entryPoints": {"web": {"address": f"{HOST}:{world.ports.prefect}"}},
        # The servers close what is idle for five seconds; a request on such a connection would be lost.
        "serversTransport": {"forwardingTimeouts": {"idleConnTimeout": "2s"}},
        "log": {"level": "WARN", "noColor": True},
        "providers": {"file": {"filename": str(routes)}},
    }
    path = world.write(folder / "traefik.yaml", json.dumps(settings, indent=2))
    program = Path(sys.executable).parent / "traefik"
    return Daemon(NAME, (program, f"--configfile={path}"), env={"GOGC": "50", "GOMEMLIMIT": "64MiB"})


def _routes(servers: Sequence[int]) -> dict[str, Any]:
    balanced = {
        "servers": [{"url": f"http://{HOST}:{port}"} for port in servers],
        # On a busy machine a server may take its time; one that was killed refuses at once.
        "healthCheck": {"path": "/api/health", "interval": "1s", "timeout": "5s"},
    }
    return {
        "http": {
            "routers": {"prefect": {"entryPoints": ["web"], "rule": "PathPrefix(`/`)", "service": "prefect"}},
            "services": {"prefect": {"loadBalancer": balanced}},
        }
    }
