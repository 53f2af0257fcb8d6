"""Kubeconfigs: one a component, pointing to its certificate's files, and the one that people use."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from sandbox.kubernetes.certificates import AUTHORITY
from sandbox.kubernetes.layout import NODE, Layout, yaml_text

COMPONENTS = ("kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "coredns")


def path(layout: Layout, component: str) -> Path:
    """Kubeconfig of a component."""
    return layout.root / "kubeconfigs" / f"{component}.yaml"


def write(layout: Layout) -> None:
    """Write every kubeconfig; the people's one holds its certificate itself, so that it can be copied."""
    for component in COMPONENTS:
        user = {
            "client-certificate": str(layout.certificate(component)),
            "client-key": str(layout.key(component)),
        }
        cluster = {"server": layout.server, "certificate-authority": str(layout.certificate(AUTHORITY))}
        layout.write(f"kubeconfigs/{component}.yaml", yaml_text(_document(cluster, user)))
    user = {
        "client-certificate-data": _data(layout.certificate("admin")),
        "client-key-data": _data(layout.key("admin")),
    }
    cluster = {"server": layout.server, "certificate-authority-data": _data(layout.certificate(AUTHORITY))}
    text = yaml_text(_document(cluster, user))
    if not layout.world.kubeconfig.exists() or layout.world.kubeconfig.read_text() != text:
        layout.world.write(layout.world.kubeconfig, text)


def _data(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def _document(cluster: dict[str, str], user: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NODE, "cluster": cluster}],
        "users": [{"name": NODE, "user": user}],
        "contexts": [{"name": NODE, "context": {"cluster": NODE, "user": NODE}}],
        "current-context": NODE,
    }
