"""The ASGI application that serves bare repositories by Git's smart HTTP protocol, through ``git http-backend``."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hmac
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sandbox.git.settings import GitSettings

_PATH = re.compile(r"/(?P<repository>[a-z0-9][a-z0-9-]*\.git)/(?P<service>info/refs|git-upload-pack|git-receive-pack)")
_CHUNK = 64 * 1024
_LARGEST_HEAD = 64 * 1024


def application(settings: GitSettings) -> Starlette:
    """Serve the repositories below ``settings.root`` to those who know the password."""

    async def serve(request: Request) -> Response:
        """Check login and path, then hand over to Git."""
        if not welcome(settings, request.headers.get("authorization", "")):
            return PlainTextResponse(
                "This Git remote asks for the sandbox's login.\n", 401, {"WWW-Authenticate": 'Basic realm="symphony"'}
            )
        # Only these paths exist, matched on the raw path, so no other file of the machine can be named.
        found = _PATH.fullmatch(request.scope["raw_path"].decode("ascii", "replace"))
        if found is None or not (Path(settings.root) / found["repository"] / "HEAD").is_file():
            return PlainTextResponse("There is no such repository on this Git remote.\n", 404)
        return await _backend(settings, request, found[0])

    return Starlette(routes=[Route("/{path:path}", serve, methods=["GET", "POST"])])


def welcome(settings: GitSettings, authorization: str) -> bool:
    """Whether an ``Authorization`` header holds the login."""
    kind, _, encoded = authorization.partition(" ")
    try:
        shown = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return False
    return kind.lower() == "basic" and hmac.compare_digest(shown, f"{settings.user}:{settings.password}".encode())


async def _backend(settings: GitSettings, request: Request, path: str) -> Response:
    """Run ``git http-backend`` (its manual page names the CGI variables) with both bodies streamed."""
    headers = request.headers
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_PROJECT_ROOT": settings.root,
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "REMOTE_USER": settings.user,
        "REMOTE_ADDR": request.client.host if request.client else "",
        "REQUEST_METHOD": request.method,
        "PATH_INFO": path,
        "QUERY_STRING": request.url.query,
        "CONTENT_TYPE": headers.get("content-type", ""),
    }
    for variable, header in (
        ("CONTENT_LENGTH", "content-length"),
        ("HTTP_CONTENT_ENCODING", "content-encoding"),
        ("GIT_PROTOCOL", "git-protocol"),
    ):
        if header in headers:
            environment[variable] = headers[header]
    process = await asyncio.create_subprocess_exec(
        "git",
        "http-backend",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        limit=_LARGEST_HEAD,
    )
    feeding = asyncio.create_task(_feed(request, process))
    try:
        status, answer_headers = await _head(process)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        await _finish(process, feeding)
        return PlainTextResponse("git http-backend failed; the sandbox's log of git says why.\n", 500)
    return _Answer(_body(process, feeding), status, answer_headers)


class _Answer(StreamingResponse):
    """An answer that may begin while the request is still read: Starlette's own would take chunks of it away."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, and leave the receiving to `_feed`."""
        del scope, receive
        await self.stream_response(send)


async def _feed(request: Request, process: asyncio.subprocess.Process) -> None:
    if process.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        try:
            async for chunk in request.stream():
                process.stdin.write(chunk)
                await process.stdin.drain()
        except ClientDisconnect:
            # Half a pack must not look like a whole one.
            process.kill()
        process.stdin.close()


async def _head(process: asyncio.subprocess.Process) -> tuple[int, dict[str, str]]:
    """Status and headers of a CGI answer (RFC 3875, section 6)."""
    if process.stdout is None:
        raise asyncio.IncompleteReadError(b"", None)
    status, headers = 200, {}
    while line := (await process.stdout.readuntil(b"\n")).decode("latin-1").strip():
        name, _, value = line.partition(":")
        if name.lower() == "status":
            status = int(value.split()[0])
        else:
            headers[name] = value.strip()
    return status, headers


async def _body(process: asyncio.subprocess.Process, feeding: asyncio.Task[None]) -> AsyncIterator[bytes]:
    try:
        while process.stdout and (chunk := await process.stdout.read(_CHUNK)):
            yield chunk
    finally:
        await _finish(process, feeding)


async def _finish(process: asyncio.subprocess.Process, feeding: asyncio.Task[None]) -> None:
    """Leave no process behind, also where the client went away."""
    feeding.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await feeding
    try:
        await asyncio.wait_for(process.wait(), timeout=10)
    except TimeoutError:
        process.kill()
        await process.wait()
