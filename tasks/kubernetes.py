"""Kubernetes: the one way to read, change and watch objects, as plain mappings."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.watch.watch import iter_resp_lines
from urllib3.exceptions import HTTPError

from symphony.config import Environment
from symphony.errors import BadInputError, SymphonyError, TransientError
from symphony.outside import read_json

Object = dict[str, Any]
"""An object as the API gives it."""

APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/{namespace}/applications"
APPLICATION_SETS = "/apis/argoproj.io/v1alpha1/namespaces/{namespace}/applicationsets"
PROJECTS = "/apis/argoproj.io/v1alpha1/namespaces/{namespace}/appprojects"
PODS = "/api/v1/namespaces/{namespace}/pods"
SERVICES = "/api/v1/namespaces/{namespace}/services"
EVENTS = "/api/v1/namespaces/{namespace}/events"
DEPLOYMENTS = "/apis/apps/v1/namespaces/{namespace}/deployments"
REPLICA_SETS = "/apis/apps/v1/namespaces/{namespace}/replicasets"
ENDPOINT_SLICES = "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
INGRESSES = "/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"
HTTP_ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes"
GATEWAYS = "/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/gateways"

_SECONDS = 20
_WINDOW = 10
"""Seconds of one watch request; then it is asked anew from where it was, which also finds a connection gone dead."""
_PAUSE = 0.5
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"


class Cluster:
    """A cluster, spoken to by one context of the kubeconfig.

    Attributes:
        context: The context's name.
    """

    def __init__(self, context: str, connection: client.ApiClient) -> None:
        """Wrap the client library's connection; `cluster` makes it."""
        self.context = context
        self._connection = connection

    def objects(self, path: str, **query: str) -> list[Object]:
        """The objects of a collection.

        Args:
            path: API path of the collection.
            query: Such as ``labelSelector``.

        Raises:
            TransientError: The cluster could not be reached, or answered with a 5xx or 429.
            SymphonyError: It refused.
        """
        found: list[Object] = self._request("GET", path, query)["items"]
        return found

    def get(self, path: str) -> Object | None:
        """One object; None where there is none.

        Raises:
            TransientError: As for `objects`.
            SymphonyError: As for `objects`.
        """
        try:
            return self._request("GET", path)
        except MissingError:
            return None

    def merge(self, path: str, change: Mapping[str, Any]) -> Object | None:
        """Change some fields of an object (RFC 7386); None where there is none.

        Raises:
            TransientError: As for `objects`.
            SymphonyError: As for `objects`.
        """
        try:
            return self._request("PATCH", path, body=dict(change), kind=_MERGE)
        except MissingError:
            return None

    def create(self, path: str, body: Object) -> Object:
        """Make an object.

        Raises:
            ConflictError: There is one of its name.
            TransientError: As for `objects`.
            SymphonyError: As for `objects`.
        """
        return self._request("POST", path, body=body)

    def delete(self, path: str) -> None:
        """Take an object away; one that is not there is no error.

        Raises:
            TransientError: As for `objects`.
            SymphonyError: As for `objects`.
        """
        with contextlib.suppress(MissingError):
            self._request("DELETE", path)

    def apply(self, path: str, whole: Object) -> None:
        """Make an object, or bring the fields that are given to what they say (server-side apply).

        Raises:
            TransientError: As for `objects`.
            SymphonyError: As for `objects`; also where the cluster has no such kind.
        """
        self._request("PATCH", path, {"fieldManager": "symphony", "force": "true"}, whole, _APPLY)

    def log(self, pod: Object, container: str, *, previous: bool, lines: int) -> list[str]:
        """The last lines that a container wrote; none where the kubelet has none any more."""
        where = f"{PODS.format(namespace=pod['metadata']['namespace'])}/{pod['metadata']['name']}/log"
        query = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
        with contextlib.suppress(SymphonyError):
            return self._send("GET", where, query).decode(errors="replace").splitlines()
        return []

    def watch(self, path: str, deadline: float, stop: threading.Event, **query: str) -> Iterator[tuple[str, Object]]:
        """Every change of a collection's objects until a deadline: first what is there, then what comes.

        A watch that ends, breaks or has become too old is taken up again, with the whole list where needed.

        Args:
            path: API path of the collection.
            deadline: On `time.monotonic`'s clock.
            stop: Ends the watch within seconds once it is set.
            query: Such as ``labelSelector``.

        Yields:
            ``("SYNCED", list)`` for the whole list, which replaces all before it; then ``ADDED``, ``MODIFIED`` or
            ``DELETED`` with the object.

        Raises:
            SymphonyError: The cluster refuses (it is asked again while it merely fails).
        """
        while time.monotonic() < deadline and not stop.is_set():
            try:
                whole = self._request("GET", path, query)
                yield "SYNCED", whole
                yield from self._follow(path, whole["metadata"]["resourceVersion"], deadline, stop, query)
            except TransientError:
                stop.wait(min(_PAUSE, max(0.0, deadline - time.monotonic())))

    def _follow(
        self, path: str, version: str, deadline: float, stop: threading.Event, query: Mapping[str, str]
    ) -> Iterator[tuple[str, Object]]:
        while (left := deadline - time.monotonic()) > 0 and not stop.is_set():
            seconds = max(1, min(_WINDOW, int(left)))
            asked = {**query, "watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
            answer = self._open(path, {**asked, "timeoutSeconds": str(seconds)}, seconds + 5)
            try:
                for line in iter_resp_lines(answer):  # type: ignore[no-untyped-call]
                    event = read_json(line)
                    if event["type"] == "ERROR":  # 410 Gone: the version is too old, so the list is read anew
                        return
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield event["type"], event["object"]
            except (HTTPError, LookupError, OSError, TypeError, ValueError) as error:
                raise TransientError(f"The watch of {path} in {self.context} broke: {error}") from error
            finally:
                answer.close()

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        kind: str = "application/json",
    ) -> Object:
        try:
            found: Object = read_json(self._send(method, path, query, body, kind))
        except ValueError as error:
            raise TransientError(f"The cluster {self.context} answered {method} {path}: {error}") from error
        return found

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        kind: str = "application/json",
    ) -> bytes:
        answer = self._open(path, query or {}, _SECONDS, method=method, body=body, kind=kind)
        data: bytes = answer.data
        return data

    def _open(  # noqa: PLR0913 - what an HTTP request is made of
        self,
        path: str,
        query: Mapping[str, str],
        seconds: float,
        *,
        method: str = "GET",
        body: Object | None = None,
        kind: str = "application/json",
    ) -> Any:
        headers = {"Accept": "application/json", "Content-Type": kind}
        try:
            call = self._connection.param_serialize(
                method, path, query_params=list(query.items()), header_params=headers, auth_settings=["BearerToken"]
            )
            answer = self._connection.call_api(*call[:3], body, _request_timeout=seconds).response
            if answer.status >= 300:  # noqa: PLR2004 - HTTP's successes end here
                raise _told(self.context, f"{method} {path}", answer.status, answer.data)
        except (HTTPError, OSError, ApiException) as error:
            raise TransientError(f"The cluster {self.context} did not answer {method} {path}: {error}") from error
        return answer


class ConflictError(SymphonyError):
    """409: the object is not any more what the change was made for."""


class MissingError(SymphonyError):
    """404: there is no such object, namespace or kind."""


_CONNECTING = threading.Lock()
"""Kubernetes' client names the file of a certificate to other threads before it has written it."""


@functools.lru_cache(maxsize=16)
def _connect(context: str) -> Cluster:
    try:
        return Cluster(context, config.new_client_from_config(os.environ.get("KUBECONFIG"), context))  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        raise BadInputError(
            f"The kubeconfig has no usable context {context!r} ({error}); set KUBECONFIG, or correct "
            "kubernetes.context in symphony.yaml."
        ) from error


def cluster(target: Environment) -> Cluster:
    """The cluster of an environment.

    Raises:
        BadInputError: The kubeconfig does not know its context.
    """
    with _CONNECTING:
        return _connect(target.kubernetes.context)


def _told(context: str, doing: str, status: int, said: object) -> SymphonyError:
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    with contextlib.suppress(ValueError, AttributeError):
        text = read_json(text).get("message") or text
    sentence = f"The cluster {context} refused {doing} ({status}): {text}"
    if status == 404:  # noqa: PLR2004 - HTTP's Not Found
        return MissingError(sentence)
    if status == 409:  # noqa: PLR2004 - HTTP's Conflict
        return ConflictError(sentence)
    if status in {0, 429} or status >= 500:  # noqa: PLR2004 - HTTP's too many requests, and server errors
        return TransientError(sentence)
    return SymphonyError(sentence)
