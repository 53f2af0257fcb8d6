"""Before Prefect's API: each login asks only for what its role may, and an approval bears the login of who gave it."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.roles import Credentials, Role, least, may, named
from symphony.errors import BadInputError
from symphony.outside import read_json

_API = "/api"
_OPEN = {"/api/health", "/api/ready"}
"""What a cluster's probes ask, as without roles."""
_ENDED = {"CANCELLING", "CANCELLED"}

Body = dict[str, Any]


class RefusedError(Exception):
    """What a login may not do, as a sentence."""


class Gate:
    """ASGI middleware that lets logins through to a server which knows one credential, by that credential.

    Who comes with the server's own credential may do all, and what they write as approver stands: workers, and the
    person who runs the server.
    """

    def __init__(self, app: ASGIApp, *, auth: str, credentials: Credentials) -> None:
        """Stand before a server.

        Args:
            app: The server.
            auth: Its own user and password, as Prefect's settings take them.
            credentials: The logins.
        """
        self._app, self._auth, self._credentials = app, auth, credentials
        self._own = f"Basic {base64.b64encode(auth.encode()).decode()}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or answer it."""
        path = scope.get("path", "")
        if scope["type"] == "websocket":
            await self._app(scope, self._translated(path, receive), send)
        elif scope["type"] != "http" or not f"{path}/".startswith(f"{_API}/") or path in _OPEN:
            await self._app(scope, receive, send)
        else:
            try:
                await self._ask(scope, receive, send)
            except RefusedError as error:
                await _answer(scope, receive, send, HTTPStatus.FORBIDDEN, str(error))
            except BadInputError as error:
                await _answer(scope, receive, send, HTTPStatus.INTERNAL_SERVER_ERROR, str(error))

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        name, credential = named(Headers(scope=scope).get("authorization", ""))
        if self._is_own(name, credential) or scope["method"] == "OPTIONS":
            await self._app(scope, receive, send)
            return
        login = self._credentials.known(name, credential)
        if login is None:
            said = f"{name!r} is no login here, or its credential is another" if name else "A login is needed"
            said += "; send it as PREFECT_API_AUTH_STRING=LOGIN:CREDENTIAL, made by `symphony login give`."
            await _answer(scope, receive, send, HTTPStatus.UNAUTHORIZED, said)
            return
        method, path = scope["method"], scope["path"]
        if not may(login.role, method, path):
            raise RefusedError(
                f"{name} has the role {login.role}, which may not {method} {path}; "
                f"it takes the role {least(method, path)}."
            )
        scope = {**scope, "headers": list(scope["headers"])}
        MutableHeaders(scope=scope)["authorization"] = self._own
        if change := _changes(method, path):
            body = await _read(receive)
            scope, receive = _with_body(scope, receive, change(login.role, name, body))
        await self._app(scope, receive, send)

    def _is_own(self, name: str, credential: str) -> bool:
        return hmac.compare_digest(f"{name}:{credential}".encode(), self._auth.encode())

    def _translated(self, path: str, receive: Receive) -> Receive:
        """What a WebSocket says, its first word, the login, made the server's own where its role may be there."""

        async def read() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and (said := _json(message.get("text") or "")):
                name, _, credential = str(said.get("token") or "").partition(":")
                if said.get("type") == "auth" and not self._is_own(name, credential):
                    login = self._credentials.known(name, credential)
                    if login and (login.role is Role.ADMIN or path.rstrip("/").endswith("/out")):
                        message = {**message, "text": json.dumps({**said, "token": self._auth})}
            return message

        return read


def _changes(method: str, path: str) -> Callable[[Role, str, Body], Body] | None:
    """What is looked at, and set, in the body of a request."""
    if method != "POST":
        return None
    match path.rstrip("/").split("/")[2:]:
        case ["flow_runs", _, "resume"]:
            return _signed
        case ["deployments", _, "create_flow_run"]:
            return _agreed
        case ["flow_runs", _, "set_state"]:
            return _ending
    return None


def _signed(_: Role, name: str, body: Body) -> Body:
    """The approver of an answer is who gave it."""
    given = body.get("run_input")
    return {**body, "run_input": {**given, "approver": name}} if isinstance(given, dict) else body


def _agreed(role: Role, name: str, body: Body) -> Body:
    """A run that is approved beforehand is so by who starts it."""
    parameters = body.get("parameters")
    if not isinstance(parameters, dict) or not parameters.get("approved_by"):
        return body
    if role is Role.CI:
        raise RefusedError(f"{name} has the role {role}, which may not approve; start the run without approved_by.")
    return {**body, "parameters": {**parameters, "approved_by": name}}


def _ending(role: Role, name: str, body: Body) -> Body:
    """Only an administrator sets states other than those that end a run: a run that waits could be let go on."""
    state = body.get("state")
    if role is Role.ADMIN or (isinstance(state, dict) and state.get("type") in _ENDED):
        return body
    raise RefusedError(f"{name} has the role {role}, which may cancel a run but set no other state of it.")


async def _read(receive: Receive) -> Body:
    """The whole body of a request.

    Raises:
        RefusedError: It is no JSON object.
    """
    content, more = b"", True
    while more:
        message = await receive()
        content += message.get("body", b"")
        more = message.get("more_body", False)
    body = _json(content.decode(errors="replace")) if content else {}
    if body is None:
        raise RefusedError("The request's body is no JSON object.")
    return body


def _with_body(scope: Scope, receive: Receive, body: Body) -> tuple[Scope, Receive]:
    content = json.dumps(body).encode()
    MutableHeaders(scope=scope)["content-length"] = str(len(content))
    first: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def read() -> Message:
        return first.pop() if first else await receive()

    return scope, read


def _json(text: str) -> Body | None:
    try:
        found = read_json(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


async def _answer(scope: Scope, receive: Receive, send: Send, status: HTTPStatus, said: str) -> None:
    # As Prefect words what it refuses; no WWW-Authenticate, or browsers would ask before the UI's own page does.
    await JSONResponse({"exception_message": said, "detail": said}, status)(scope, receive, send)
