"""Prefect's server, and before it what knows roles, and what lets a request wait for SQLite's one writer.

Prefect begins SQLite's transactions as readers. One that comes to write after another has written cannot go on
(SQLITE_BUSY_SNAPSHOT): it is rolled back, and answered with 503 at once. Prefect's client then waits two seconds and
more, though the database is free again after some milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import time
from collections.abc import MutableMapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import uvicorn
from prefect.server.api.server import create_app
from prefect.settings import PREFECT_SERVER_API_AUTH_STRING
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.gate import Gate
from deployments.roles import FILE, Credentials

_SECONDS = 10.0
"""How long a request is tried again; then its caller has the 503."""
_PAUSE_SECONDS = (0.005, 0.05)


class Patient:
    """ASGI middleware that puts a request to the server again where it answers 503: it has done nothing then."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before a server."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked, deadline = [await receive()], time.monotonic() + _SECONDS
        while asked[-1].get("more_body"):
            asked.append(await receive())
        while not await self._answered(scope, asked, receive, send, last=time.monotonic() > deadline):  # noqa: ASYNC110
            # Nothing tells when the database is free; at random, so that those who wait do not meet again.
            await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))  # noqa: S311

    async def _answered(self, scope: Scope, asked: list[Message], receive: Receive, send: Send, *, last: bool) -> bool:
        """Whether the server gave another answer than 503, or the last one counts whatever it is."""
        busy, rest = False, iter(asked)

        async def read() -> Message:
            return next(rest, None) or await receive()

        async def write(message: Message) -> None:
            nonlocal busy
            if message["type"] == "http.response.start":
                busy = message["status"] == HTTPStatus.SERVICE_UNAVAILABLE and not last
            if not busy:
                await send(message)

        # What the server keeps with a request is not for the next try.
        fresh: MutableMapping[str, Any] = {**scope, "state": dict(scope.get("state", {}))}
        try:
            await self._app(fresh, read, write)
        except Exception:
            # The server raises what it has answered, for its log.
            if not busy:
                raise
        return not busy


def main() -> None:
    """Serve API and UI until SIGTERM, with all background services but where there is more than one server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--no-services", action="store_true", help="for `prefect server services start` beside it")
    asked = parser.parse_args()
    # Kept by Prefect for the calls of its own services too, so that they wait as well.
    app = create_app(final=True, webserver_only=asked.no_services)
    app.add_middleware(Patient)
    auth, file = PREFECT_SERVER_API_AUTH_STRING.value(), os.environ.get(FILE)
    if file and not auth:
        parser.error(f"{FILE} is set, so PREFECT_SERVER_API_AUTH_STRING has to be: the server is not to be had beside.")
    if file:
        app.add_middleware(Gate, auth=auth, credentials=Credentials(Path(file)))
    uvicorn.run(app, host=asked.host, port=asked.port, log_level="warning")


if __name__ == "__main__":
    main()
