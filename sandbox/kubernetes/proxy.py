"""kube-proxy: Services by iptables."""

from __future__ import annotations

from typing import Any

from sandbox.daemon import Daemon
from sandbox.kubernetes import kubeconfig
from sandbox.kubernetes.layout import NODE, PROXY_HEALTH_PORT, PROXY_METRICS_PORT, Layout, yaml_text
from sandbox.world import BRIDGE_ADDRESS, POD_SUBNET


def configuration(layout: Layout) -> dict[str, Any]:
    """kube-proxy's configuration: no sysctl of the machine is touched, no port outside the bridge is opened."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig.path(layout, "kube-proxy"))},
        "hostnameOverride": NODE,
        "bindAddress": BRIDGE_ADDRESS,
        "healthzBindAddress": f"{BRIDGE_ADDRESS}:{PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"{BRIDGE_ADDRESS}:{PROXY_METRICS_PORT}",
        "clusterCIDR": POD_SUBNET,
        "mode": "iptables",
        "iptables": {"localhostNodePorts": False, "minSyncPeriod": "100ms"},
        "nodePortAddresses": [f"{BRIDGE_ADDRESS}/32"],
        # Zero leaves the machine's own value as it is.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "oomScoreAdj": 0,
    }


def kube_proxy(layout: Layout) -> Daemon:
    """The daemon; its configuration is written here."""
    path = layout.write("kube-proxy.yaml", yaml_text(configuration(layout)))
    return Daemon("kube-proxy", [layout.world.tool("kube-proxy"), f"--config={path}"], grace=4.0)
