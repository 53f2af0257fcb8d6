"""The Gateway API in the sandbox's cluster, for a while, with a controller of its own: Traefik once more."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException

from sandbox import manifest
from sandbox.world import BRIDGE_ADDRESS, World
from tests.world.seat import until

GROUP = "gateway.networking.k8s.io"
NAME = "try-gateway"
_KINDS = {
    "gatewayclasses": ("GatewayClass", "Cluster", "v1"),
    "gateways": ("Gateway", "Namespaced", "v1"),
    "httproutes": ("HTTPRoute", "Namespaced", "v1"),
    "grpcroutes": ("GRPCRoute", "Namespaced", "v1"),
    "tlsroutes": ("TLSRoute", "Namespaced", "v1"),
    "referencegrants": ("ReferenceGrant", "Namespaced", "v1beta1"),
    "backendtlspolicies": ("BackendTLSPolicy", "Namespaced", "v1"),
}
"""What Traefik reads."""
_SECONDS = 30


@contextmanager
def gateway(world: World, connection: ApiClient, folder: Path, port: int) -> Iterator[None]:
    """The kinds of the Gateway API, and a Gateway that Traefik serves at a port of the bridge."""
    definitions = [_definition(plural, *of) for plural, of in _KINDS.items()]
    settings = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "entryPoints": {"web": {"address": f"{BRIDGE_ADDRESS}:{port}"}},
        "providers": {"kubernetesGateway": {"namespaces": ["dev"], "statusAddress": {"ip": BRIDGE_ADDRESS}}},
    }
    configuration = folder / "traefik.yaml"
    configuration.write_text(json.dumps(settings))
    controlled = {"controllerName": "traefik.io/gateway-controller"}
    listener = {"name": "web", "port": port, "protocol": "HTTP"}
    try:
        for one in definitions:
            manifest.apply(connection, one)
        _apply(connection, _object("GatewayClass", NAME, None, controlled))
        _apply(connection, _object("Gateway", NAME, "dev", {"gatewayClassName": NAME, "listeners": [listener]}))
        with (folder / "traefik.log").open("w") as log:
            process = subprocess.Popen(
                [Path(sys.executable).with_name("traefik"), f"--configfile={configuration}"],
                env={"KUBECONFIG": str(world.kubeconfig), "NO_PROXY": BRIDGE_ADDRESS},
                stdout=log,
                stderr=log,
            )
            try:
                yield
            finally:
                process.terminate()
                process.wait(30)
    finally:
        for one in definitions:
            manifest.request(connection, "DELETE", manifest.path(one))


def route(connection: ApiClient, name: str, labels: dict[str, str], host: str, *matches: dict[str, Any]) -> None:
    """Lead a host of the Gateway to the Service of a name."""
    rule = {"matches": matches, "backendRefs": [{"name": name, "port": 80}]}
    spec = {"parentRefs": [{"name": NAME}], "hostnames": [host], "rules": [rule]}
    _apply(connection, _object("HTTPRoute", name, "dev", spec, labels))


def served(host: str, port: int, path: str) -> None:
    """Wait until the Gateway leads to the Service."""

    def answers() -> bool:
        with suppress(httpx.HTTPError):
            found = http.get(f"http://{BRIDGE_ADDRESS}:{port}{path}", headers={"Host": host})
            return found.status_code == httpx.codes.OK
        return False

    with httpx.Client(trust_env=False, timeout=1) as http:
        until(answers, f"an answer of {host} by the Gateway", _SECONDS)


def _apply(connection: ApiClient, one: dict[str, Any]) -> None:
    """Apply an object whose kind the cluster has just got to know."""
    plural = next(plural for plural, (kind, _, _) in _KINDS.items() if kind == one["kind"])
    space = f"/namespaces/{one['metadata']['namespace']}" if "namespace" in one["metadata"] else ""

    def made() -> bool:
        with suppress(ApiException):
            manifest.request(connection, "POST", f"/apis/{GROUP}/v1{space}/{plural}", body=one)
            return True
        return False

    until(made, f"the kind {one['kind']}", _SECONDS)


def _definition(plural: str, kind: str, scope: str, version: str) -> dict[str, Any]:
    """The kind, without its schema."""
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": free}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{GROUP}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, a test's own"},
        },
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [{**served, "subresources": {"status": {}}}],
        },
    }


def _object(
    kind: str, name: str, namespace: str | None, spec: dict[str, Any], labels: dict[str, str] | None = None
) -> dict[str, Any]:
    meta = {"name": name, "labels": labels or {}} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": meta, "spec": spec}
