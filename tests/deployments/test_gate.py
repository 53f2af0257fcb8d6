"""Each login asks only for what its role may, and what is approved bears the name of who did."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from deployments.gate import Gate
from deployments.roles import Credentials, Role
from symphony.errors import BadInputError

AUTH = "admin:the-servers-own"
RUN, DEPLOYMENT = "3f0c", "77aa"
RESUME, CREATE = f"flow_runs/{RUN}/resume", f"deployments/{DEPLOYMENT}/create_flow_run"
STATE = f"flow_runs/{RUN}/set_state"


class Door:
    """A gate before a server that takes its own credential alone, and tells what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.credentials = Credentials(folder / "logins.json")
        self.given = {str(role): self.credentials.give(role, role) for role in Role}
        routes = [Route("/{path:path}", self._serve, methods=["GET", "POST", "PATCH", "DELETE"])]
        app = Starlette(routes=[WebSocketRoute("/{path:path}", self._speak), *routes])
        self.client = TestClient(Gate(app, auth=AUTH, credentials=Credentials(folder / "logins.json")))

    @staticmethod
    async def _serve(request: Request) -> JSONResponse:
        if request.headers.get("authorization") != "Basic " + base64.b64encode(AUTH.encode()).decode():
            return JSONResponse({}, 401)
        return JSONResponse(await request.json() if await request.body() else {})

    @staticmethod
    async def _speak(socket: WebSocket) -> None:
        await socket.accept()
        said = await socket.receive_json()
        await socket.send_json(said["token"] == AUTH)
        await socket.close()

    def ask(self, login: str, method: str, path: str, body: Any = None) -> httpx.Response:
        return self.client.request(method, f"/api/{path}", json=body, auth=(login, self.given.get(login, "wrong")))


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


READS = [
    ("POST", "flow_runs/filter", {}),
    ("GET", f"flow_runs/{RUN}", None),
    ("POST", "logs/filter", {}),
    ("POST", "artifacts/latest/filter", {}),
    ("GET", "deployments/name/release/dev", None),
    ("POST", CREATE, {"parameters": {"commit": "main"}}),
]
APPROVES = [
    ("POST", RESUME, {"run_input": {"approver": "somebody", "decision": "approve"}}),
    ("GET", f"flow_runs/{RUN}/input/schema", None),
    ("POST", f"flow_runs/{RUN}/input/filter", {}),
    ("POST", STATE, {"state": {"type": "CANCELLING"}}),
    ("POST", "ui/flow_runs/history", {}),
    ("GET", "work_pools/symphony", None),
    ("POST", "automations/filter", {}),
]
RULES = [
    ("POST", STATE, {"state": {"type": "SCHEDULED"}}),
    ("POST", f"flow_runs/{RUN}/input", {"key": "x"}),
    ("POST", "flow_runs/bulk_set_state", {"state": {"type": "CANCELLED"}}),
    ("PATCH", f"flow_runs/{RUN}", {"parameters": {}}),
    ("POST", "flow_runs/", {}),
    ("POST", f"{CREATE}/bulk", {}),
    ("DELETE", f"deployments/{DEPLOYMENT}", None),
    ("PATCH", f"deployments/{DEPLOYMENT}", {}),
    ("GET", "block_documents/1?include_secrets=true", None),
    ("POST", "block_documents/filter", {"include_secrets": True}),
    ("GET", "block_types/slug/secret/block_documents", None),
    ("POST", "automations/", {}),
    ("POST", "events", {}),
    ("GET", "admin/storage", None),
    ("GET", "variables/name/x", None),
    ("POST", "v2/concurrency_limits/decrement", {}),
    ("POST", "/flow_runs/filter", {}),
    ("GET", "unheard/of", None),
]


@pytest.mark.parametrize(("method", "path", "body"), [*READS, *APPROVES, *RULES])
def test_a_role_may_do_its_own_and_no_more(door: Door, method: str, path: str, body: Any) -> None:
    case = (method, path, body)
    may = {"ci": case in READS, "approver": case in READS or case in APPROVES, "admin": True}
    if case == ("GET", "unheard/of", None):
        # Nothing to be had: reading is all that it could be.
        may["approver"] = True
    for login, expected in may.items():
        answer = door.ask(login, method, path, body)
        assert (answer.status_code == httpx.codes.OK) is expected, (login, answer.text)
        if not expected:
            assert answer.status_code == httpx.codes.FORBIDDEN
            assert login in answer.json()["exception_message"]


def test_an_answer_bears_the_login_of_who_gave_it(door: Door) -> None:
    asked = {"run_input": {"approver": "the chief", "decision": "approve"}}
    assert door.ask("approver", "POST", RESUME, asked).json()["run_input"] == {
        "approver": "approver",
        "decision": "approve",
    }
    assert door.ask("approver", "POST", RESUME, {}).json() == {}
    beforehand = {"parameters": {"approved_by": "the chief", "commit": "main"}}
    assert door.ask("admin", "POST", CREATE, beforehand).json()["parameters"]["approved_by"] == "admin"
    refused = door.ask("ci", "POST", CREATE, beforehand)
    assert refused.status_code == httpx.codes.FORBIDDEN
    assert "start the run without approved_by" in refused.json()["exception_message"]
    # Who has the server's own credential writes what they like.
    own = door.client.post(f"/api/{RESUME}", json=asked, auth=("admin", AUTH.partition(":")[2]))
    assert own.json() == asked


@pytest.mark.parametrize(
    ("auth", "said"),
    [
        (None, "A login is needed"),
        (("ci", "wrong"), "'ci' is no login here, or its credential is another"),
        (("nobody", ""), "'nobody' is no login here"),
        (("admin", "wrong"), "'admin' is no login here"),
    ],
)
def test_a_missing_or_wrong_credential_is_told(door: Door, auth: tuple[str, str] | None, said: str) -> None:
    answer = door.client.get(f"/api/flow_runs/{RUN}", auth=auth)
    assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert said in answer.json()["exception_message"]
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("header", ["Basic", "Basic !!", "Basic /////w==", "Bearer Y2k6eA==", "x" * 2000])
def test_a_header_that_is_none_lets_nobody_in(door: Door, header: str) -> None:
    answer = door.client.get(f"/api/flow_runs/{RUN}", headers={"Authorization": header})
    assert answer.status_code == httpx.codes.UNAUTHORIZED


def test_probes_and_pages_need_no_login(door: Door) -> None:
    # They reach the server as they came; this one then refuses them itself.
    for path in ("/api/health", "/runs/flow-run/1", "/apiary"):
        assert door.client.get(path).json() == {}
    assert "exception_message" in door.client.get("/api").json()


def test_a_credential_is_changed_while_the_server_runs(door: Door) -> None:
    before = door.given["ci"]
    door.given["ci"] = door.credentials.give("ci", Role.CI)
    assert door.ask("ci", "GET", f"flow_runs/{RUN}").status_code == httpx.codes.OK
    door.given["ci"] = before
    assert door.ask("ci", "GET", f"flow_runs/{RUN}").status_code == httpx.codes.UNAUTHORIZED
    door.credentials.take("approver")
    assert door.ask("approver", "GET", f"flow_runs/{RUN}").status_code == httpx.codes.UNAUTHORIZED


def test_a_file_that_cannot_be_read_lets_nobody_in_and_says_so(door: Door, tmp_path: Path) -> None:
    (tmp_path / "logins.json").write_text('{"ci": {"role": "king"}}', encoding="utf-8")
    answer = door.ask("ci", "GET", f"flow_runs/{RUN}")
    assert answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR
    assert "is no file of logins" in answer.json()["exception_message"]


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff"])
def test_a_body_that_is_no_object_goes_no_further(door: Door, body: bytes) -> None:
    answer = door.client.post(f"/api/{RESUME}", content=body, auth=("approver", door.given["approver"]))
    assert answer.status_code == httpx.codes.FORBIDDEN


@pytest.mark.parametrize(
    ("login", "path", "let_in"),
    [
        ("approver", "events/out", True),
        ("ci", "events/in", False),
        ("admin", "events/in", True),
        ("x", "events/out", False),
    ],
)
def test_a_web_socket_is_for_those_who_may_be_there(door: Door, login: str, path: str, *, let_in: bool) -> None:
    with door.client.websocket_connect(f"/api/{path}") as socket:
        socket.send_json({"type": "auth", "token": f"{login}:{door.given.get(login)}"})
        assert socket.receive_json() is let_in
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()


def test_the_file_holds_no_credential_and_is_the_owners_alone(door: Door, tmp_path: Path) -> None:
    file = tmp_path / "logins.json"
    assert file.stat().st_mode & 0o077 == 0
    text = file.read_text(encoding="utf-8")
    assert not [one for one in door.given.values() if one in text]
    assert set(json.loads(text)) == {"ci", "approver", "admin"}


@pytest.mark.parametrize("name", ["", "a b", "a:b", "../x", "x" * 101, "-x", "ä"])
def test_a_name_that_is_none_is_refused(door: Door, name: str) -> None:
    with pytest.raises(BadInputError, match="is no login"):
        door.credentials.give(name, Role.CI)
    assert name not in door.credentials.logins()


def test_who_is_not_there_cannot_be_taken_away(door: Door) -> None:
    with pytest.raises(BadInputError, match="has no login 'bob'; it has admin, approver, ci"):
        door.credentials.take("bob")
