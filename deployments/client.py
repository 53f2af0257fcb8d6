"""The client of Prefect's API that CI and the command line use: address and credentials are all it needs."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
from pydantic import BaseModel, Field
from tenacity import (
    RetryCallState,
    retry,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_random_exponential,
)

from deployments.choices import strangers
from symphony.errors import BadInputError, SymphonyError, sentence

_POLL_SECONDS = 0.25
_RETRY_SECONDS = 30
_PAGE = 200
_REASON = 500
_AWAY = {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.BAD_GATEWAY}
"""What a server says whose database was locked, having done nothing, and a balancer whose server has just gone."""
FINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


def _last(state: RetryCallState) -> httpx.Response:
    """What the last try gave: its answer, or its exception raised."""
    answer: httpx.Response = state.outcome.result()  # type: ignore[union-attr]  # there was a try
    return answer


def _reason(text: str) -> str:
    """What a refusal says: Prefect wraps its sentence, or a list of fields that do not fit, into JSON."""
    try:
        told = json.loads(text)
    except ValueError:
        return text[:_REASON]
    if isinstance(told, dict):
        told = told.get("exception_detail") or told.get("detail") or told.get("exception_message") or told
    if isinstance(told, list):
        told = "; ".join(_field(one) for one in told)
    return str(told)[:_REASON]


def _field(fault: Any) -> str:
    if not (isinstance(fault, dict) and "msg" in fault):
        return str(fault)
    place = ".".join(str(part) for part in fault.get("loc", ()) if part != "body")
    return f"{place}: {fault['msg']}" if place else str(fault["msg"])


def rows(data: str) -> list[dict[str, Any]] | None:
    """The rows of a table among artifacts; None where the artifact is a page of Markdown."""
    try:
        return list(json.loads(data)) if data.startswith(("[{", "[]")) else None
    except (RecursionError, ValueError):
        return None


class TaskState(BaseModel):
    """A task run, as far as a follower cares."""

    id: str
    name: str
    state_type: str | None = None
    state_name: str | None = None
    start_time: str | None = None
    end_time: str | None = None


class Run(BaseModel):
    """A flow run, as far as a follower cares."""

    id: str
    name: str
    state_type: str | None = None
    state_name: str | None = None
    state: dict[str, Any] | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)

    @property
    def message(self) -> str:
        """What its last state says, without Prefect's own introduction to an exception."""
        return sentence(str((self.state or {}).get("message") or ""))

    @property
    def final(self) -> bool:
        """Whether nothing will happen in it any more."""
        return self.state_type in FINAL

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.state_type == "COMPLETED"


class PrefectApi:
    """One Prefect server.

    Args:
        url: Address of its API, such as ``https://prefect.example.com/api``.
        auth: ``user:password`` of its basic authentication; empty where it has none.
    """

    def __init__(self, url: str, auth: str = "") -> None:
        """Prepare the connection; nothing is asked yet."""
        self.url, self.auth = url.rstrip("/"), auth
        user, _, password = auth.partition(":")
        self._http = httpx.Client(
            base_url=self.url, auth=(user, password) if auth else None, timeout=httpx.Timeout(15, connect=5)
        )

    def wait(self, seconds: float) -> None:
        """Wait until the server answers.

        Raises:
            SymphonyError: It did not within so many seconds.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                if self._http.get("/health").is_success:
                    return
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise SymphonyError(f"Prefect's API at {self.url} did not answer within {seconds:.0f} s.")
            time.sleep(_POLL_SECONDS)

    def start(self, flow: str, deployment: str, parameters: dict[str, Any], key: str | None = None) -> Run:
        """Start a run of a deployment; the same key gives the run that it started before.

        Args:
            flow: Name of the flow.
            deployment: Name of its deployment.
            parameters: Parameters of the run.
            key: Idempotency key; Prefect holds it unique per flow.

        Raises:
            BadInputError: No such deployment, or the parameters do not fit its schema.
            SymphonyError: The server refuses or cannot be reached.
        """
        body: dict[str, Any] = {"flows": {"name": {"any_": [flow]}}, "sort": "NAME_ASC", "limit": _PAGE}
        known = {one["name"]: one for one in self.call("POST", "/deployments/filter", body)}
        if deployment not in known:
            there = ", ".join(f"{flow}/{name}" for name in known) or "none of that flow; run `symphony deploy-flows`"
            raise BadInputError(f"Prefect at {self.url} has no deployment {flow}/{deployment}; there are: {there}.")
        wanted = known[deployment]
        names = (wanted.get("parameter_openapi_schema") or {}).get("properties")
        # The server lets a name pass that the flow does not have, and the run crashes of it.
        if names and (strange := sorted(parameters.keys() - names.keys())):
            raise BadInputError(f"{flow} has no parameter {', '.join(strange)}; there are: {', '.join(names)}.")
        for name, (values, choices) in strangers(names or {}, parameters).items():
            raise BadInputError(
                f"{flow}/{deployment} does not take {', '.join(values)} as {name}; there are: {', '.join(choices)}. "
                "After a change of symphony.yaml, `symphony deploy-flows` brings the choices up to date."
            )
        # A key of its own where none is given: a request that is sent again must not start a second run.
        body = {
            # Until it begins, and then says itself what it does.
            "name": f"{flow} → {deployment}",
            "parameters": parameters,
            "idempotency_key": key or uuid.uuid4().hex,
            "state": {"type": "SCHEDULED"},
        }
        return Run.model_validate(self.call("POST", f"/deployments/{wanted['id']}/create_flow_run", body))

    def find(self, key: str) -> Run | None:
        """The run that was started with an idempotency key."""
        body = {"flow_runs": {"idempotency_key": {"any_": [key]}}, "limit": 1}
        found = self.call("POST", "/flow_runs/filter", body)
        return Run.model_validate(found[0]) if found else None

    def run(self, identity: str) -> Run:
        """A run as it stands.

        Raises:
            BadInputError: No such run.
        """
        return Run.model_validate(self.call("GET", f"/flow_runs/{identity}", missing=f"the run {identity}"))

    def named(self, what: str) -> Run:
        """The newest run that somebody names by (the beginning of) its id, its name, or FLOW/ENV of its deployment.

        Raises:
            BadInputError: None of the newest 200 is it.
        """
        with contextlib.suppress(ValueError):
            return self.run(str(uuid.UUID(what)))
        flow, slash, deployment = what.partition("/")
        due = {"expected_start_time": {"before_": datetime.now(UTC).isoformat()}}
        body: dict[str, Any] = {"flow_runs": due, "sort": "START_TIME_DESC", "limit": _PAGE}
        if slash:
            body |= {"flows": {"name": {"any_": [flow]}}, "deployments": {"name": {"any_": [deployment]}}}
        for one in map(Run.model_validate, self.call("POST", "/flow_runs/filter", body)):
            if slash or one.name == what or (what and one.id.startswith(what.lower())):
                return one
        raise BadInputError(
            f"Prefect at {self.url} has no run {what!r} among its newest; name one by its id, its name, or the flow "
            "and environment of its deployment, such as release/dev."
        )

    def logs(self, identity: str, after: int = 0) -> Iterator[dict[str, Any]]:
        """What a run has logged, in order, from so many entries on: time, level and message of each."""
        for offset in itertools.count(after, _PAGE):
            body = {
                "logs": {"flow_run_id": {"any_": [identity]}},
                "sort": "TIMESTAMP_ASC",
                "limit": _PAGE,
                "offset": offset,
            }
            page = self.call("POST", "/logs/filter", body)
            for one in page:
                level = logging.getLevelName(one["level"])
                yield {"timestamp": one["timestamp"], "level": level, "message": one["message"]}
            if len(page) < _PAGE:
                return

    def tasks(self, identity: str) -> list[TaskState]:
        """The task runs of a run, in the order they started."""
        body = {
            "flow_runs": {"id": {"any_": [identity]}},
            "sort": "EXPECTED_START_TIME_ASC",
            "limit": _PAGE,
        }
        return [TaskState.model_validate(one) for one in self.call("POST", "/task_runs/filter", body)]

    def follow(self, identity: str) -> Iterator[tuple[Run, list[TaskState]]]:
        """The run and its tasks, four times a second, until it has ended."""
        while True:
            run = self.run(identity)
            yield run, self.tasks(identity)
            if run.final:
                return
            time.sleep(_POLL_SECONDS)

    def artifact(self, identity: str, key: str) -> str | None:
        """The Markdown that a run left under a key; None where it left none."""
        body = {
            "artifacts": {"flow_run_id": {"any_": [identity]}, "key": {"any_": [key]}},
            "sort": "UPDATED_DESC",
            "limit": 1,
        }
        found = self.call("POST", "/artifacts/filter", body)
        return str(found[0]["data"]) if found else None

    def versions(self) -> dict[str, str]:
        """Version of each deployment of this project's flows, by its whole name, such as ``release/dev``."""
        flows = {flow["id"]: flow["name"] for flow in self._pages("/flows/filter")}
        return {
            f"{flows.get(one['flow_id'])}/{one['name']}": one["version"] or ""
            for one in self._pages("/deployments/filter")
            if (one.get("entrypoint") or "").startswith("flows.")
        }

    def cancel(self, identity: str) -> None:
        """Ask for a run's end; its worker ends the process."""
        state = {"type": "CANCELLING", "message": "Cancelled from the command line."}
        self.call("POST", f"/flow_runs/{identity}/set_state", {"state": state})

    def link(self, identity: str) -> str:
        """Address of a run's page."""
        return f"{self.url.removesuffix('/api')}/runs/flow-run/{identity}"

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        for offset in itertools.count(step=_PAGE):
            page = self.call("POST", path, {"limit": _PAGE, "offset": offset})
            yield from page
            if len(page) < _PAGE:
                return

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, missing: str = "it") -> Any:
        """One request, sent again where the server was too busy to take it.

        Args:
            method: Method of HTTP.
            path: Path below the API's address.
            body: What to send as JSON.
            missing: What a 404 means that Prefect does not know.

        Returns:
            The answer's JSON; None where it has no content.

        Raises:
            BadInputError: The server refuses the request or the credentials.
            SymphonyError: It failed, or cannot be reached.
        """
        try:
            answer = self._send(method, path, body)
        except httpx.HTTPError as error:
            raise SymphonyError(f"Prefect's API at {self.url} does not answer: {error}; is the server up?") from error
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise BadInputError(f"Prefect's API at {self.url} refuses the credentials; check PREFECT_API_AUTH_STRING.")
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise BadInputError(f"Prefect at {self.url} does not know {missing}.")
        if answer.is_client_error:
            raise BadInputError(f"Prefect's API refuses {method} {path}: {_reason(answer.text)}")
        if answer.is_error:
            raise SymphonyError(f"Prefect's API failed on {method} {path} with status {answer.status_code}.")
        return answer.json() if answer.content else None

    @retry(
        retry=retry_if_exception_type(httpx.TransportError) | retry_if_result(lambda one: one.status_code in _AWAY),
        retry_error_callback=_last,
        wait=wait_random_exponential(multiplier=0.2, max=3),
        stop=stop_after_delay(_RETRY_SECONDS),
    )
    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        return self._http.request(method, path, json=body)
