"""Kubernetes objects that the sandbox itself puts into its cluster, by server-side apply."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from sandbox.world import World
from symphony.errors import SymphonyError, TransientError

Manifest = Mapping[str, Any]
"""An object as the API takes it: ``apiVersion``, ``kind``, ``metadata`` and the rest."""

_OWNER = "symphony-sandbox"
_SECONDS = 30
_CONNECTING = threading.Lock()
"""Kubernetes' client names the file of a certificate to other threads before it has written it."""
_CLUSTER_WIDE = frozenset(
    {"Namespace", "ClusterRole", "ClusterRoleBinding", "IngressClass", "CustomResourceDefinition"}
)


@contextlib.contextmanager
def api(world: World) -> Iterator[client.ApiClient]:
    """A client of the sandbox's cluster.

    Raises:
        TransientError: The cluster does not answer.
        SymphonyError: There is none, or it refused something.
    """
    try:
        with _CONNECTING:
            connection = config.new_client_from_config(config_file=str(world.kubeconfig), context="symphony")  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise SymphonyError(f"There is no cluster to be found by {world.kubeconfig}; run `symphony up`.") from error
    with connection:
        try:
            yield connection
        except urllib3.exceptions.HTTPError as error:
            host = connection.configuration.host
            raise TransientError(
                f"The cluster's API server at {host} does not answer; see `symphony status --sandbox`."
            ) from error
        except ApiException as error:
            raise SymphonyError(
                f"The cluster refused the sandbox a request with {error.status}: {error.reason}"
            ) from error


def path(manifest: Manifest) -> str:
    """URL path of an object, from its kind and name alone: no discovery, since every kind used here is known."""
    kind, meta, version = manifest["kind"], manifest["metadata"], manifest["apiVersion"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    scope = "" if kind in _CLUSTER_WIDE else f"/namespaces/{meta['namespace']}"
    plural = kind.lower() + ("es" if kind.endswith("s") else "s")
    return f"{root}{scope}/{plural}/{meta['name']}"


def apply(connection: client.ApiClient, manifest: Manifest) -> dict[str, Any]:
    """Make an object so, whatever it was before.

    Raises:
        ApiException: The API server refused it.
    """
    return apply_text(connection, path(manifest), json.dumps(manifest))


def apply_text(connection: client.ApiClient, where: str, text: str) -> dict[str, Any]:
    """`apply` for an object that is YAML text already; a CRD of a megabyte is slow to parse.

    Raises:
        ApiException: The API server refused it.
    """
    query = {"fieldManager": _OWNER, "force": "true"}
    return request(connection, "PATCH", where, query=query, content_type="application/apply-patch+yaml", body=text)


def read(connection: client.ApiClient, where: str) -> dict[str, Any] | None:
    """The object at a path, or ``None`` where there is none.

    Raises:
        ApiException: The API server refused the request.
    """
    try:
        return request(connection, "GET", where)
    except ApiException as error:
        if error.status == 404:  # noqa: PLR2004 - HTTP's Not Found
            return None
        raise


def merge(connection: client.ApiClient, where: str, change: Mapping[str, Any]) -> dict[str, Any]:
    """Change some fields of an object (RFC 7386 merge patch).

    Raises:
        ApiException: The API server refused it.
    """
    return request(connection, "PATCH", where, content_type="application/merge-patch+json", body=change)


def request(  # noqa: PLR0913 - what an HTTP request is made of
    connection: client.ApiClient,
    method: str,
    where: str,
    *,
    query: Mapping[str, str] | None = None,
    content_type: str = "application/json",
    body: str | Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One request to the API server, and the object it answers.

    The client turns the body into JSON by itself, except where it is text for an apply.

    Raises:
        ApiException: The answer is no success.
    """
    headers = {"Accept": "application/json", "Content-Type": content_type}
    call = connection.param_serialize(
        method, where, query_params=list((query or {}).items()), header_params=headers, auth_settings=["BearerToken"]
    )
    answer = connection.call_api(call[0], call[1], call[2], body, _request_timeout=_SECONDS)
    data: bytes = answer.read()  # type: ignore[no-untyped-call]
    if not 200 <= answer.status <= 299:  # noqa: PLR2004 - HTTP's successes
        text = data.decode(errors="replace")
        raise ApiException(status=answer.status, reason=_reason(text) or answer.reason, body=text)
    found: dict[str, Any] = json.loads(data)
    return found


def _reason(data: str) -> str:
    try:
        return str(json.loads(data).get("message", ""))
    except ValueError:
        return ""
