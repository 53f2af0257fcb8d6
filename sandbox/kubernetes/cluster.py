"""What the cluster is asked: whether it is ready; and what is put into it: namespaces and rights of its components."""

from __future__ import annotations

import datetime as dt
import functools
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

from sandbox import daemon
from sandbox.kubernetes.certificates import AUTHORITY
from sandbox.kubernetes.layout import NAMESPACES, NODE, PROXY_HEALTH_PORT, Layout
from sandbox.part import NotReadyError
from sandbox.world import BRIDGE_ADDRESS

_LIMIT_SECONDS = 0.8
_CONFLICT = 409
_RBAC = "rbac.authorization.k8s.io"
_DNS_USER = "symphony:coredns"
_READ_ONLY = ["get", "list", "watch"]


def check_api(layout: Layout) -> None:
    """Ask the API server for `/readyz`.

    Raises:
        NotReadyError: It does not answer, or says it is not ready.
    """
    with _client(layout) as client:
        _get(client, "/readyz")


def check_node(layout: Layout) -> None:
    """Ask for the node: it must be Ready, by the word of the kubelet that runs now, and pods must be admitted.

    Raises:
        NotReadyError: It is not, and why.
    """
    with _client(layout) as client:
        conditions = _get(client, f"/api/v1/nodes/{NODE}").json()["status"].get("conditions", [])
        ready = next(
            (entry for entry in conditions if entry["type"] == "Ready"), {"message": "no kubelet reported yet"}
        )
        if ready.get("status") != "True":
            raise NotReadyError(f"the node is not Ready: {ready.get('message')}")
        lease = _get(client, f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{NODE}").json()
        renewed = dt.datetime.fromisoformat(lease["spec"]["renewTime"]).timestamp()
        # After a kubelet's death the node stays Ready for 40 s: only a lease younger than the process is believed.
        if renewed < _born(layout, "kubelet"):
            raise NotReadyError("the node's Ready is of a kubelet that no longer runs")
        path = "/api/v1/serviceaccounts?fieldSelector=metadata.name%3Ddefault"
        admitted = {item["metadata"]["namespace"] for item in _get(client, path).json()["items"]}
        if missing := sorted({*NAMESPACES} - admitted):
            raise NotReadyError(f"the namespaces {', '.join(missing)} have no default service account yet")


def check_proxy() -> None:
    """Ask kube-proxy whether its rules are in place.

    Raises:
        NotReadyError: They are not.
    """
    try:
        answer = httpx.get(
            f"http://{BRIDGE_ADDRESS}:{PROXY_HEALTH_PORT}/livez", timeout=_LIMIT_SECONDS, trust_env=False
        )
    except httpx.HTTPError as error:
        raise NotReadyError(f"kube-proxy does not answer ({error})") from error
    if not answer.is_success:
        raise NotReadyError("kube-proxy has not written its rules yet")


def furnish(layout: Layout) -> None:
    """Make the namespaces, and let the API server reach the kubelet and CoreDNS read what it serves."""
    from kubernetes import client, config  # noqa: PLC0415 - half a second that a status check need not pay

    api = config.new_client_from_config(str(layout.world.kubeconfig))  # type: ignore[no-untyped-call]  # ships no type
    core, rbac = client.CoreV1Api(api), client.RbacAuthorizationV1Api(api)
    for name in NAMESPACES:
        _once(functools.partial(core.create_namespace, client.V1Namespace(metadata=client.V1ObjectMeta(name=name))))
    rules = [
        client.V1PolicyRule(api_groups=[""], resources=["services", "pods", "namespaces", "nodes"], verbs=_READ_ONLY),
        client.V1PolicyRule(api_groups=["discovery.k8s.io"], resources=["endpointslices"], verbs=_READ_ONLY),
    ]
    role = client.V1ClusterRole(metadata=client.V1ObjectMeta(name=_DNS_USER), rules=rules)
    _once(functools.partial(rbac.create_cluster_role, role))
    for user, granted in ((_DNS_USER, _DNS_USER), ("kube-apiserver-kubelet-client", "system:kubelet-api-admin")):
        binding = client.V1ClusterRoleBinding(
            metadata=client.V1ObjectMeta(name=f"symphony:{user.removeprefix('symphony:')}"),
            role_ref=client.V1RoleRef(api_group=_RBAC, kind="ClusterRole", name=granted),
            subjects=[client.RbacV1Subject(kind="User", api_group=_RBAC, name=user)],
        )
        _once(functools.partial(rbac.create_cluster_role_binding, binding))


def _once(create: Callable[[], Any]) -> None:
    from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - as above

    try:
        create()
    except ApiException as error:
        if error.status != _CONFLICT:
            raise


def _born(layout: Layout, name: str) -> float:
    pid = daemon.recorded(layout.world).get(name)
    try:
        return psutil.Process(pid).create_time() if pid else float("inf")
    except psutil.NoSuchProcess:
        return float("inf")


def _client(layout: Layout) -> httpx.Client:
    tls = _context(layout.certificate(AUTHORITY), layout.certificate("admin"), layout.key("admin"))
    return httpx.Client(base_url=layout.server, verify=tls, timeout=_LIMIT_SECONDS, trust_env=False)


def _context(authority: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(authority))
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise NotReadyError("the cluster has no certificates: it is not up") from error
    return context


def _get(client: httpx.Client, path: str) -> httpx.Response:
    try:
        return client.get(path).raise_for_status()
    except httpx.HTTPStatusError as error:
        raise NotReadyError(f"the API server says {error.response.status_code} to {path}") from error
    except httpx.HTTPError as error:
        raise NotReadyError(f"the API server does not answer at {client.base_url} ({error})") from error
