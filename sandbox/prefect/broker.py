"""Redis between the processes of Prefect's server: events, leases of slots, and what background services do next."""

from __future__ import annotations

from sandbox import redis
from sandbox.daemon import Daemon
from sandbox.world import HOST, World

NAME = "prefect-redis"


def process(world: World) -> Daemon:
    """Its process; what it was told is on disk within a second, and nothing is ever evicted."""
    folder = world.folder("prefect", "redis")
    lines = ('save ""', "appendonly yes", "maxmemory-policy noeviction")
    text = redis.settings(world.ports.prefect_redis, world.secret(NAME), folder, *lines)
    return Daemon(NAME, (world.tool("redis-server"), world.write(folder / "redis.conf", text)))


def environment(world: World) -> dict[str, str]:
    """By what each process of Prefect's server finds it."""
    url = f"redis://:{world.secret(NAME)}@{HOST}:{world.ports.prefect_redis}"
    return {
        "PREFECT_MESSAGING_BROKER": "prefect_redis.messaging",
        "PREFECT_MESSAGING_CACHE": "prefect_redis.messaging",
        "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
        "PREFECT_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE": "prefect_redis.cleanup_queue",
        "PREFECT_REDIS_MESSAGING_URL": f"{url}/0",
        "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL": f"{url}/0",
        "PREFECT_SERVER_DOCKET_URL": f"{url}/1",
    }


def check(world: World) -> None:
    """Ask it whether it works.

    Raises:
        NotReadyError: It does not.
    """
    redis.check(NAME, world.ports.prefect_redis, world.secret(NAME))
