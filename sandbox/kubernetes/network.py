"""The pods' network: the bridge, its CNI configuration, and the sysctls it needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sandbox.kubernetes.layout import Layout
from sandbox.world import BRIDGE, BRIDGE_ADDRESS, POD_SUBNET
from symphony import tool
from symphony.errors import SymphonyError

NETWORK = "symphony"
_SYSCTL = Path("/proc/sys")
_NEEDED = {
    "net/ipv4/ip_forward": "1",
    # Without it a Service's answer from a pod of the same bridge would skip the address translation.
    "net/bridge/bridge-nf-call-iptables": "1",
}
_TOUCHED_BY_KUBELET = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
_TOUCHED_BY_PROXY = ("net/ipv4/conf/all/route_localnet", "net/netfilter/nf_conntrack_tcp_be_liberal")
_PREFIX = POD_SUBNET.split("/")[1]


def configuration(layout: Layout) -> dict[str, Any]:
    """The CNI network: bridge, addresses by host-local, host ports by portmap."""
    return {
        "cniVersion": "0.4.0",
        "name": NETWORK,
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": True,
                "isDefaultGateway": True,
                "hairpinMode": True,
                # One rule for all pods does it, in the sandbox's own chain.
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(layout.cni / "networks"),
                    "ranges": [[{"subnet": POD_SUBNET, "gateway": BRIDGE_ADDRESS}]],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def setup(layout: Layout) -> None:
    """Make the bridge with its address, the CNI configuration and the sysctls; harmless where all is there."""
    layout.write("cni/net.d/10-symphony.conflist", json.dumps(configuration(layout), indent=2) + "\n")
    ip = layout.world.tool("ip")
    if not exists():
        tool.run([ip, "link", "add", BRIDGE, "type", "bridge"], limit=30)
    tool.run([ip, "address", "replace", f"{BRIDGE_ADDRESS}/{_PREFIX}", "dev", BRIDGE], limit=30)
    tool.run([ip, "link", "set", BRIDGE, "up"], limit=30)
    if not (_SYSCTL / "net/bridge").exists():
        tool.run([layout.world.tool("modprobe"), "br_netfilter"], limit=30)
    for name, value in _NEEDED.items():
        _set(name, value)


def exists() -> bool:
    """Whether the bridge is there: the mark of a cluster whose state folder may be gone."""
    return _bridge().exists()


def remove(layout: Layout) -> None:
    """Remove the bridge and what is plugged into it."""
    ip = layout.world.tool("ip")
    ports = _bridge() / "brif"
    for name in sorted(port.name for port in ports.glob("*")) if ports.exists() else []:
        tool.run([ip, "link", "delete", name], limit=30, ok=(0, 1))
    if exists():
        tool.run([ip, "link", "delete", BRIDGE], limit=30)


def sysctls() -> dict[str, str]:
    """Values, as they are now, of what the network, the kubelet and kube-proxy change."""
    names = (*_NEEDED, *_TOUCHED_BY_KUBELET, *_TOUCHED_BY_PROXY)
    return {name: (_SYSCTL / name).read_text().strip() for name in names if (_SYSCTL / name).exists()}


def restore(before: dict[str, str]) -> None:
    """Put sysctls back, save forwarding where another bridge (Docker's) has come to rely on it."""
    for name, value in before.items():
        if name == "net/ipv4/ip_forward" and _other_bridges():
            continue
        _set(name, value)


def _bridge() -> Path:
    return Path("/sys/class/net") / BRIDGE


def _other_bridges() -> bool:
    return any(path.parent.name != BRIDGE for path in Path("/sys/class/net").glob("*/bridge"))


def _set(name: str, value: str) -> None:
    path = _SYSCTL / name
    if not path.exists() or path.read_text().strip() == value:
        return
    try:
        path.write_text(value)
    except OSError as error:
        raise SymphonyError(
            f"The kernel setting {name} cannot be set to {value} ({error.strerror}); the cluster needs a machine, or a "
            "privileged container, whose /proc/sys may be written."
        ) from error
