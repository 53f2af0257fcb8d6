"""Argo CD reached by its own API, with a token: for a worker that has no rights in Argo CD's cluster.

The calls are those of https://argo-cd.readthedocs.io/en/stable/developer-guide/api-docs/
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from symphony.application_set import NAME
from symphony.config import ArgoApi
from symphony.errors import BadInputError, SymphonyError, TransientError
from symphony.models import Commit
from symphony.outside import read_json
from tasks.argocd_resources import SET_REFRESH
from tasks.kubernetes import Object

_SECONDS = 20.0
_QUIET = 10.0
"""Seconds without a word after which the stream is opened anew, which also finds a connection gone dead."""
_PAUSE = 0.5
_WELL = frozenset({"Healthy", "Suspended", ""})


class Server:
    """Argo CD as its API server shows it."""

    def __init__(self, api: ArgoApi, namespace: str, transport: httpx.BaseTransport | None = None) -> None:
        """The address, and the namespace of the applications; another transport than the network is for tests."""
        self._api = api
        self._namespace = namespace
        address = f"{api.address.rstrip('/')}/api/v1"
        self._client = httpx.Client(base_url=address, timeout=_SECONDS, trust_env=False, transport=transport)

    def set(self) -> Object | None:
        """The ApplicationSet; None where there is none.

        Raises:
            TransientError: The server could not be reached.
            SymphonyError: It refuses the token.
        """
        return self._ask("GET", f"/applicationsets/{NAME}", appsetNamespace=self._namespace)

    def make(self, project: Object, application_set: Object) -> None:
        """Make the project and the ApplicationSet as they are given, or bring those that are there to that.

        Raises:
            TransientError: The server could not be reached.
            SymphonyError: It refuses.
        """
        self._ask("POST", "/projects", {"project": project, "upsert": True})
        self._ask("POST", "/applicationsets", application_set, upsert="true")

    def refresh(self, name: str) -> None:
        """Make it compare an application now, where it has one of that name; the server answers when it has.

        Raises:
            TransientError: The server could not be reached.
            SymphonyError: It refuses.
        """
        try:
            self._ask("GET", f"/applications/{name}", None, refresh="normal")
        except SymphonyError:
            if self.get(name) is not None:
                raise

    def refresh_set(self) -> None:
        """Make the ApplicationSet look for new and removed applications now.

        Raises:
            TransientError: The server could not be reached.
            SymphonyError: It refuses.
        """
        if found := self.set():
            found["metadata"].setdefault("annotations", {})[SET_REFRESH] = "true"
            self._ask("POST", "/applicationsets", found, upsert="true")

    def get(self, name: str) -> Object | None:
        """The Application; None where there is none.

        Raises:
            TransientError: The server could not be reached.
            SymphonyError: It refuses.
        """
        # Asked for by its name alone, one that is not there is refused like one that the account may not see.
        items = (self._ask("GET", "/applications", None, name=name) or {}).get("items") or [None]
        found: Object | None = items[0]
        return found

    def project(self, application: Object) -> Object | None:
        """The AppProject that an Application is in; None where there is none.

        Raises:
            TransientError: The server could not be reached.
            SymphonyError: It refuses.
        """
        return self._ask("GET", f"/projects/{application['spec'].get('project') or 'default'}")

    def sync(self, application: Object, commit: Commit) -> bool:
        """Sync to a commit by the application's own options; false where another operation runs already.

        Raises:
            TransientError: The server could not be reached.
            SymphonyError: It refuses.
        """
        policy = application["spec"].get("syncPolicy") or {}
        options = {"items": policy.get("syncOptions", [])}
        body: Object = {"revision": commit, "prune": True, "syncOptions": options, "retryStrategy": policy.get("retry")}
        return self._unless_busy("POST", f"/applications/{application['metadata']['name']}/sync", body)

    def terminate(self, application: Object) -> bool:
        """End the sync that runs, with the hooks that it waits for; false where none runs any more.

        Raises:
            TransientError: The server could not be reached.
            SymphonyError: It refuses.
        """
        return self._unless_busy("DELETE", f"/applications/{application['metadata']['name']}/operation")

    def watch(self, deadline: float, stop: threading.Event, name: str = "") -> Iterator[tuple[str, Object]]:
        """Every change of the Applications, or of one: first all there are, then what comes.

        Yields:
            ``("SYNCED", list)``, which replaces all before it; then ``ADDED``, ``MODIFIED`` or ``DELETED`` with the
            object.

        Raises:
            SymphonyError: The server refuses (it is asked again while it merely fails).
        """
        one = {"name": name} if name else {}
        while time.monotonic() < deadline and not stop.is_set():
            try:
                whole = self._ask("GET", "/applications", None, **one) or {}
                yield "SYNCED", {**whole, "items": whole.get("items") or []}
                version = str((whole.get("metadata") or {}).get("resourceVersion", ""))
                yield from self._stream(deadline, stop, {**one, "resourceVersion": version})
            except TransientError:
                stop.wait(min(_PAUSE, max(0.0, deadline - time.monotonic())))

    def unwell(self, name: str) -> tuple[str, ...]:
        """Resources of an application that are not healthy, from the resource tree, each as a clause.

        Raises:
            TransientError: The server could not be reached.
            SymphonyError: It refuses.
        """
        tree = self._ask("GET", f"/applications/{name}/resource-tree") or {}
        found = []
        for node in tree.get("nodes") or ():
            health = node.get("health") or {}
            if health.get("status", "") not in _WELL:
                said = " ".join(str(health.get("message", "")).split())
                found.append(f"{node['kind']} {node['name']} is {health['status']}{f': {said}' if said else ''}")
        return tuple(found)

    def _stream(self, deadline: float, stop: threading.Event, query: Mapping[str, str]) -> Iterator[tuple[str, Object]]:
        left = max(1.0, deadline - time.monotonic())
        try:
            with self._client.stream(
                "GET",
                "/stream/applications",
                params=self._query(query),
                headers=self._headers(),
                timeout=httpx.Timeout(_SECONDS, read=min(_QUIET, left)),
            ) as answer:
                if answer.is_error:
                    answer.read()
                    raise self._told("GET", "/stream/applications", answer)
                for line in answer.iter_lines():
                    if stop.is_set():
                        return
                    event = read_json(line).get("result") or {}
                    if "application" in event:
                        yield event["type"], event["application"]
        except (AttributeError, httpx.HTTPError, LookupError, ValueError) as error:
            raise TransientError(f"Argo CD at {self._api.address} broke its stream off: {error}") from error

    def _unless_busy(self, method: str, path: str, body: Object | None = None) -> bool:
        try:
            return self._ask(method, path, body) is not None
        except _BusyError:
            return False

    def _ask(self, method: str, path: str, body: Object | None = None, **query: str) -> Object | None:
        """The answer as JSON; None where there is no such thing."""
        try:
            answer = self._client.request(method, path, params=self._query(query), json=body, headers=self._headers())
        except httpx.HTTPError as error:
            raise TransientError(f"Argo CD at {self._api.address} did not answer {method} {path}: {error}") from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.is_error:
            raise self._told(method, path, answer)
        try:
            found: Object = read_json(answer.content)
        except ValueError as error:
            raise TransientError(f"Argo CD at {self._api.address} answered {method} {path}: {error}") from error
        return found

    def _query(self, query: Mapping[str, str]) -> dict[str, str]:
        return {"appNamespace": self._namespace, **query}

    def _headers(self) -> dict[str, str]:
        # A DELETE without a content type is refused too (its guard against forged requests).
        return {"Authorization": f"Bearer {_token(self._api.token)}", "Content-Type": "application/json"}

    def _told(self, method: str, path: str, answer: httpx.Response) -> SymphonyError:
        said = answer.text
        with contextlib.suppress(ValueError, AttributeError):
            said = read_json(answer.content).get("message") or said
        sentence = f"Argo CD at {self._api.address} refused {method} {path} ({answer.status_code}): {said}"
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
            return TransientError(sentence)
        if "operation is" in said or "no operation" in said.lower():
            return _BusyError(sentence)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            return BadInputError(f"{sentence}; renew the token that {self._api.token} holds.")
        return SymphonyError(sentence)


class _BusyError(SymphonyError):
    """Another operation runs, or none that could be ended."""


def _token(reference: str) -> str:
    """What ``env://NAME`` or a file holds; read anew each time, so that it can be rotated under a running worker."""
    kind, _, name = reference.rpartition("://")
    try:
        found = os.environ.get(name, "") if kind == "env" else Path(reference).read_text(encoding="utf-8")
    except OSError as error:
        raise BadInputError(f"The token of Argo CD cannot be read from {reference}: {error.strerror}.") from error
    if not found.strip():
        raise BadInputError(f"The token of Argo CD is missing: {reference}, named in argocd.api.token, is empty.")
    return found.strip()


@functools.lru_cache(maxsize=16)
def server(api: ArgoApi, namespace: str) -> Server:
    """The one connection to an API server; see `Server`."""
    return Server(api, namespace)
