"""What an HTTPRoute of the Gateway API promises, where the cluster has it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from fnmatch import fnmatch

from symphony.config import Ingress
from symphony.errors import SymphonyError
from tasks.kubernetes import GATEWAYS, HTTP_ROUTES, Cluster, MissingError, Object
from tasks.promised import Served, base, before_pattern, bracketed

_PORTS = {True: 443, False: 80}
_ASKABLE = frozenset({None, "GET"})

Gateways = Mapping[tuple[str, str], Object]
"""Gateways by namespace and name."""


def read_routes(cluster: Cluster, namespace: str) -> tuple[list[Object], Gateways]:
    """The HTTPRoutes of a namespace, and the Gateways that they belong to; none where the cluster knows no such kind.

    Raises:
        TransientError: The cluster could not be reached.
        SymphonyError: It refused.
    """
    try:
        routes = cluster.objects(HTTP_ROUTES.format(namespace=namespace))
    except MissingError:
        return [], {}
    gateways: dict[tuple[str, str], Object] = {}
    for key in {_key(parent, namespace) for route in routes for parent in _parents(route)}:
        with contextlib.suppress(SymphonyError):  # another namespace's may be hidden; the environment's address will do
            gateways[key] = cluster.get(f"{GATEWAYS.format(namespace=key[0])}/{key[1]}") or {}
    return routes, gateways


def served_by_route(route: Object, gateways: Gateways, settings: Ingress) -> list[Served]:
    """What one HTTPRoute promises to a plain GET: a match by header, query or another method is left out.

    Args:
        route: The object.
        gateways: The Gateways.
        settings: How the environment is reached.
    """
    found: list[Served] = []
    for parent in _parents(route):
        gateway = gateways.get(_key(parent, route["metadata"]["namespace"]), {})
        listeners = [one for one in gateway.get("spec", {}).get("listeners") or [] if _chosen(one, parent)]
        for host in route["spec"].get("hostnames") or [one.get("hostname", "") for one in listeners] or [""]:
            leads = _leads(host, gateway, listeners, settings)
            found += [
                Served(host, path, exact=exact, base=leads, backend=backend) for path, exact, backend in _paths(route)
            ]
    return list({(one.host, one.path, one.base): one for one in found}.values())


def _parents(route: Object) -> list[Object]:
    return [one for one in route["spec"].get("parentRefs") or [] if one.get("kind", "Gateway") == "Gateway"]


def _key(parent: Object, namespace: str) -> tuple[str, str]:
    return parent.get("namespace", namespace), parent["name"]


def _chosen(listener: Object, parent: Object) -> bool:
    """Whether a route's parent reference means this listener."""
    return parent.get("sectionName") in {None, listener["name"]} and parent.get("port") in {None, listener["port"]}


def _leads(host: str, gateway: Object, listeners: list[Object], settings: Ingress) -> str:
    """Scheme, host and port that lead to a host; by TLS where a listener has it, since HTTP then merely redirects."""
    mine = [one for one in listeners if fnmatch(host, one.get("hostname") or "*")]
    best = min(mine, key=lambda one: one.get("protocol") != "HTTPS", default=None)
    secure = best is not None and best.get("protocol") == "HTTPS"
    address = next((one["value"] for one in gateway.get("status", {}).get("addresses") or []), "")
    port = f":{best['port']}" if best and best["port"] != _PORTS[secure] else ""
    return base(settings, f"{bracketed(address)}{port}" if address else "", secure=secure)


def _paths(route: Object) -> list[tuple[str, bool, Object]]:
    """Path, whether it is exact, and backend, of each match that a plain GET takes."""
    found = []
    for rule in route["spec"].get("rules") or []:
        behind = next((one for one in rule.get("backendRefs") or [] if one.get("kind", "Service") == "Service"), None)
        backend = {"service": {"name": behind["name"], "port": {"number": behind.get("port")}}} if behind else {}
        for match in rule.get("matches") or [{}]:
            if match.get("headers") or match.get("queryParams") or match.get("method") not in _ASKABLE:
                continue
            told = match.get("path") or {}
            path, kind = told.get("value") or "/", told.get("type") or "PathPrefix"
            found.append((before_pattern(path) if kind == "RegularExpression" else path, kind == "Exact", backend))
    return found
