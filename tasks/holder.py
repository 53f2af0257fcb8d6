"""Who holds a lock: Prefect has no question for it, but its events tell which run took a slot last."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound


@dataclass(frozen=True)
class Holder:
    """A lock that is taken, and by whom.

    Attributes:
        lock: Name of the concurrency limit.
        run: Flow run id; empty where Prefect no longer knows.
        name: Name of that run.
        state: Name of that run's state.
        alive: Whether that run has not ended, as far as Prefect knows.
    """

    lock: str
    run: str = ""
    name: str = ""
    state: str = ""
    alive: bool = False

    def __str__(self) -> str:
        """The holder as a part of a sentence."""
        if not self.run:
            return f"{self.lock}, held by a run that Prefect does not know"
        return f"{self.lock}, held by the run {self.name!r} ({self.state}, {self.run})"


def holder_of(client: SyncPrefectClient, lock: str) -> Holder | None:
    """Who holds a lock; None where nobody does.

    Args:
        client: A client of the Prefect server.
        lock: Name of the concurrency limit.
    """
    try:
        limit = client.read_global_concurrency_limit_by_name(lock)
    except ObjectNotFound:
        return None
    if not limit.active_slots:
        return None
    run = _last_taker(client, str(limit.id))
    if run is None:
        return Holder(lock)
    try:
        found = client.read_flow_run(UUID(run))
    except ObjectNotFound:
        return Holder(lock, run, "removed", "unknown")
    ended = found.state is None or found.state.is_final()
    return Holder(lock, run, found.name, found.state.name if found.state and found.state.name else "?", not ended)


def free(client: SyncPrefectClient, lock: str) -> None:
    """Free a lock whose holder is dead.

    The limit is made anew: a slot given back to the old one would be given back again when the dead holder's lease
    ends, and then free somebody else's.
    """
    client.delete_global_concurrency_limit_by_name(lock)
    client.upsert_global_concurrency_limit_by_name(lock, limit=1)


def _last_taker(client: SyncPrefectClient, limit: str) -> str | None:
    taken = {"event": {"name": ["prefect.concurrency-limit.acquired"]}, "order": "DESC"}
    body = {"filter": {**taken, "resource": {"id": [f"prefect.concurrency-limit.{limit}"]}}, "limit": 1}
    events = client.request("POST", "/events/filter", json=body).json()["events"]
    for event in events:
        for related in event["related"]:
            if related.get("prefect.resource.role") == "flow-run":
                return str(related["prefect.resource.id"]).removeprefix("prefect.flow-run.")
    return None
