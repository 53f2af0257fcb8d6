"""The part ``ingress``: Traefik on loopback, serving the cluster's Ingress objects."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import httpx
from kubernetes.client import ApiClient
from ruamel.yaml import YAML

from sandbox import manifest
from sandbox.daemon import Daemon
from sandbox.manifest import Manifest
from sandbox.part import NotReadyError, Part
from sandbox.world import BRIDGE_ADDRESS, ENVIRONMENTS, HOST, World

CLASS = "traefik"
"""Name of the IngressClass that charts ask for."""
NAMESPACE = "ingress"
"""Where Traefik's account lives, and the Ingress that shows whether Traefik follows the cluster."""
PROBE_HOST = "ready.ingress.localhost"

_DAEMON = "traefik"
_SECONDS = 1.0
_TOKEN_SECONDS = 365 * 24 * 3600
# A header such as X_Forwarded_For would pass for Traefik's own X-Forwarded-For in many a backend.
_STRICT = {"aliasHeadersStrategy": "delete"}
_LABELS = {"app.kubernetes.io/part-of": "symphony"}


class Ingress(Part):
    """Traefik, which forwards ``http://<app>.<environment>.localhost:8080`` to the pods."""

    name: ClassVar[str] = "ingress"
    needs: ClassVar[tuple[str, ...]] = ("kubernetes",)
    daemons: ClassVar[tuple[str, ...]] = (_DAEMON,)
    hint: ClassVar[str] = "What it was asked is in the log ingress-access beside its own."

    def ports(self, world: World) -> Mapping[str, int]:
        """The port that browsers ask."""
        return {_DAEMON: world.ports.ingress}

    def start(self, world: World) -> None:
        """Give Traefik an account of its own in the cluster, and start it."""
        with manifest.api(world) as connection:
            for item in objects():
                manifest.apply(connection, item)
            kubeconfig = _credentials(world, connection)
        # The name carries the content, so that a Traefik of other settings or of an earlier cluster is replaced.
        content = json.dumps(settings(world), indent=2)
        mark = hashlib.sha256((content + kubeconfig.read_text()).encode()).hexdigest()[:16]
        folder = world.folder("ingress")
        for old in folder.glob("traefik-*.yaml"):
            old.unlink()
        path = world.write(folder / f"traefik-{mark}.yaml", content)
        program = Path(sys.executable).parent / "traefik"
        environment = {
            "KUBECONFIG": str(kubeconfig),
            "NO_PROXY": f"{HOST},localhost,{BRIDGE_ADDRESS}",
            "GOGC": "50",
            "GOMEMLIMIT": "128MiB",
        }
        Daemon(_DAEMON, (program, f"--configfile={path}"), env=environment).start(world)

    def check(self, world: World) -> None:
        """Ask for Traefik's health, and for a host that only an Ingress in the cluster makes it know.

        Raises:
            NotReadyError: It does not answer, or has yet to read the cluster.
        """
        if _status(world.ports.ingress_ping, "/ping", HOST) != httpx.codes.OK:
            raise NotReadyError(f"Traefik does not answer on port {world.ports.ingress_ping}")
        # Its Service has no pods: 503 comes from a route that is known, 404 from none.
        known = _status(world.ports.ingress, "/", PROBE_HOST)
        if known != httpx.codes.SERVICE_UNAVAILABLE:
            raise NotReadyError(f"Traefik has not read the cluster's Ingresses yet: {PROBE_HOST} answers {known}")


def settings(world: World) -> dict[str, Any]:
    """Traefik's static configuration: three ports on loopback, the environments' Ingresses, no API, no dashboard."""
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "entryPoints": {
            "web": {"address": f"{HOST}:{world.ports.ingress}", "http": _STRICT},
            "websecure": {"address": f"{HOST}:{world.ports.ingress_tls}", "http": {**_STRICT, "tls": {}}},
            "ping": {"address": f"{HOST}:{world.ports.ingress_ping}", "http": _STRICT},
        },
        "ping": {"entryPoint": "ping"},
        "log": {"level": "WARN", "noColor": True},
        "accessLog": {"filePath": str(world.log("ingress-access")), "format": "json"},
        "providers": {
            # Two seconds by default, in which a pod that went is still asked.
            "providersThrottleDuration": "100ms",
            "kubernetesIngress": {
                "namespaces": [*ENVIRONMENTS, NAMESPACE],
                "ingressClass": CLASS,
                # Argo CD takes an Ingress for Healthy once it has an address.
                "ingressEndpoint": {"ip": HOST},
                "allowEmptyServices": True,
            },
        },
    }


def objects() -> list[Manifest]:
    """The class, the account with what it may read, and the Ingress that `Ingress.check` asks for."""
    group = "rbac.authorization.k8s.io"
    read = ["get", "list", "watch"]
    subject = [{"kind": "ServiceAccount", "name": CLASS, "namespace": NAMESPACE}]
    namespaced = [
        {"apiGroups": [""], "resources": ["services", "secrets"], "verbs": read},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": read},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses/status"], "verbs": ["update", "patch"]},
    ]
    everywhere = [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingressclasses"], "verbs": read},
    ]
    classes, routes = f"{CLASS}-classes", f"{CLASS}-routes"

    def role(name: str) -> dict[str, str]:
        return {"apiGroup": group, "kind": "ClusterRole", "name": name}

    return [
        _object("v1", "Namespace", NAMESPACE, ""),
        _object(
            "networking.k8s.io/v1", "IngressClass", CLASS, "", spec={"controller": "traefik.io/ingress-controller"}
        ),
        _object("v1", "ServiceAccount", CLASS, NAMESPACE),
        _object(f"{group}/v1", "ClusterRole", classes, "", rules=everywhere),
        _object(f"{group}/v1", "ClusterRole", routes, "", rules=namespaced),
        _object(f"{group}/v1", "ClusterRoleBinding", classes, "", roleRef=role(classes), subjects=subject),
        *(
            _object(f"{group}/v1", "RoleBinding", CLASS, name, roleRef=role(routes), subjects=subject)
            for name in (*ENVIRONMENTS, NAMESPACE)
        ),
        _object("v1", "Service", "ready", NAMESPACE, spec={"ports": [{"name": "http", "port": 80}]}),
        _object("networking.k8s.io/v1", "Ingress", "ready", NAMESPACE, spec=_probe()),
    ]


def _probe() -> dict[str, Any]:
    backend = {"service": {"name": "ready", "port": {"name": "http"}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    return {"ingressClassName": CLASS, "rules": [{"host": PROBE_HOST, "http": {"paths": [path]}}]}


def _object(version: str, kind: str, name: str, namespace: str, **content: Any) -> Manifest:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": _LABELS, **place}, **content}


def _credentials(world: World, connection: ApiClient) -> Path:
    """A kubeconfig with a token of Traefik's own account; kept as long as this cluster takes it."""
    path = world.state / "ingress" / "kubeconfig"
    clusters = YAML(typ="safe").load(world.kubeconfig)["clusters"]
    if path.exists():
        kept = json.loads(path.read_text())
        if kept["clusters"] == clusters and _accepted(connection, kept["users"][0]["user"]["token"]):
            return path
    where = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{CLASS}/token"
    wish = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": _TOKEN_SECONDS},
    }
    token = manifest.request(connection, "POST", where, body=wish)["status"]["token"]
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": clusters,
        "users": [{"name": CLASS, "user": {"token": token}}],
        "contexts": [{"name": CLASS, "context": {"cluster": clusters[0]["name"], "user": CLASS}}],
        "current-context": CLASS,
    }
    return world.write(path, json.dumps(content))


def _accepted(connection: ApiClient, token: str) -> bool:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    answer = manifest.request(connection, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", body=review)
    return bool(answer["status"].get("authenticated"))


def _status(port: int, path: str, host: str) -> int:
    """HTTP status of a page; 0 where nobody answers."""
    try:
        return httpx.get(
            f"http://{HOST}:{port}{path}", headers={"Host": host}, timeout=_SECONDS, trust_env=False
        ).status_code
    except httpx.HTTPError:
        return 0
