"""What waits for SQLite's one writer before Prefect's server does answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from deployments import server


def _ask(answers: list[int], *, raising: bool = False, body: bytes = b"{}") -> tuple[httpx.Response, list[bytes]]:
    """What a caller gets from a server that answers so in turn (its last answer for ever), and the bodies it got."""
    got: list[bytes] = []

    async def served(request: Request) -> JSONResponse:
        got.append(await request.body())
        status = answers[min(len(got), len(answers)) - 1]
        if status == httpx.codes.SERVICE_UNAVAILABLE and raising:
            raise OSError("database is locked")
        return JSONResponse({"asked": len(got)}, status)

    async def told(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({}, httpx.codes.SERVICE_UNAVAILABLE)

    handlers: dict[Any, Callable[[Request, Exception], Awaitable[JSONResponse]]] = {Exception: told}
    app = server.Patient(Starlette(routes=[Route("/", served, methods=["POST"])], exception_handlers=handlers))

    async def call() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://server"
        ) as client:
            return await client.post("/", content=body)

    return asyncio.run(call()), got


@pytest.mark.parametrize("raising", [False, True])
def test_a_request_that_the_database_had_no_room_for_is_put_again_with_its_body(*, raising: bool) -> None:
    body = b"x" * 100_000
    answer, got = _ask([503, 503, 201], raising=raising, body=body)
    assert answer.status_code == httpx.codes.CREATED
    assert answer.json() == {"asked": 3}
    assert got == [body] * 3


@pytest.mark.parametrize("status", [200, 404, 409, 500])
def test_any_other_answer_is_the_callers_at_once(status: int) -> None:
    answer, got = _ask([status, 200])
    assert answer.status_code == status
    assert len(got) == 1


def test_a_database_that_has_no_room_for_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_SECONDS", 0.2)
    answer, got = _ask([503], raising=True)
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert len(got) > 1
