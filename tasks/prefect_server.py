"""Prefect's server as a run sees it: one that is away for a while is waited for."""

from __future__ import annotations

from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient


def wait_where_away() -> None:
    """Have this process's clients of Prefect's API wait for a server that is away, as they do for one that is busy.

    By itself a client tries a refused connection again only once it has connected, so that a wrong address fails at
    once. A run's address is right, since the run was read from there, but much of what it asks has a client of its
    own: a server that was restarted while an apply went on made its release fail as it gave the unit's lock back.
    """
    for client in (PrefectHttpxAsyncClient, PrefectHttpxSyncClient):
        client._has_connected = property(lambda _: True, lambda _, __: None)  # type: ignore[assignment] # noqa: SLF001
