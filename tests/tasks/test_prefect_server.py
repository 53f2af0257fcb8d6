"""A run waits for Prefect's server where that is away, also where what it asks has a client of its own."""

from __future__ import annotations

import httpx
import pytest
from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, PREFECT_CLIENT_RETRY_JITTER_FACTOR, temporary_settings

from tasks.prefect_server import wait_where_away


def test_a_new_client_waits_for_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    for client in (PrefectHttpxAsyncClient, PrefectHttpxSyncClient):
        monkeypatch.setattr(client, "_has_connected", False, raising=False)
    asked = 0

    def answer(_: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise httpx.ConnectError("Connection refused")
        return httpx.Response(200, json=True)

    wait_where_away()
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1, PREFECT_CLIENT_RETRY_JITTER_FACTOR: 0}),
        PrefectHttpxSyncClient(transport=httpx.MockTransport(answer), base_url="http://prefect/api") as new,
    ):
        assert new.get("/health").json() is True
    assert asked > 1
