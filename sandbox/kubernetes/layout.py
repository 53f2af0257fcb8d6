"""Where the cluster's files are, and the names and ports that its components agree on."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from sandbox.world import BRIDGE_ADDRESS, ENVIRONMENTS, HOST, World
from symphony.errors import BadInputError

NODE = "symphony"
"""The one node's name, and the kubeconfig's context."""
DOMAIN = "cluster.local"
API_SERVICE_ADDRESS = "10.214.0.1"
"""First address of the service subnet: the API server gives it to the Service `kubernetes`."""
NAMESPACES = (*ENVIRONMENTS, "argocd")
KUBELET_PORT = 10250
PROXY_HEALTH_PORT = 10256
PROXY_METRICS_PORT = 10249
CGROUP = "symphony"
"""Cgroup below every controller's root that holds all pods, so that clearing it takes no other kubelet's."""

_SOCKET_LIMIT = 107
"""Bytes of a Unix socket's path (unix(7))."""
_LONGEST_SOCKET = "kubelet/pod-resources/kubelet.sock.0000000000"


@dataclass(frozen=True)
class Layout:
    """Paths below ``<state>/kubernetes``.

    Attributes:
        world: The sandbox they belong to.
    """

    world: World

    @property
    def root(self) -> Path:
        """Everything of the cluster, removed whole by ``stop``."""
        return self.world.state / "kubernetes"

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.root / "pki"

    @property
    def containerd(self) -> Path:
        """Root and state of containerd."""
        return self.root / "containerd"

    @property
    def containerd_socket(self) -> Path:
        """Socket of containerd, also the CRI endpoint."""
        return self.root / "containerd.sock"

    @property
    def kubelet(self) -> Path:
        """Root of the kubelet: pods, volumes, plugins."""
        return self.root / "kubelet"

    @property
    def pod_logs(self) -> Path:
        """Logs of containers."""
        return self.root / "pod-logs"

    @property
    def cni(self) -> Path:
        """Network configuration and leased addresses."""
        return self.root / "cni"

    @property
    def before(self) -> Path:
        """What the machine looked like before the cluster came, for ``stop`` to restore."""
        return self.root / "before.json"

    @property
    def server(self) -> str:
        """The API server's URL: on the bridge, which host and pods reach alike and the network does not."""
        return f"https://{BRIDGE_ADDRESS}:{self.world.ports.kubernetes}"

    @property
    def etcd(self) -> str:
        """The URL of etcd."""
        return f"https://{HOST}:{self.world.ports.etcd}"

    def certificate(self, name: str) -> Path:
        """Certificate file of a component."""
        return self.pki / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Private key file of a component."""
        return self.pki / f"{name}.key"

    def check_length(self) -> None:
        """Refuse a state folder whose path is too long for the sockets below it.

        Raises:
            BadInputError: It is too long.
        """
        longest = len(bytes(self.root / _LONGEST_SOCKET))
        if longest > _SOCKET_LIMIT:
            raise BadInputError(
                f"The state folder {self.world.state} makes socket paths of {longest} bytes where Linux allows "
                f"{_SOCKET_LIMIT}; set SYMPHONY_STATE to a shorter path."
            )

    def write(self, name: str, text: str, mode: int = 0o600) -> Path:
        """Write a file below the root where its text differs; returns its path."""
        path = self.root / name
        if not path.exists() or path.read_text() != text:
            self.world.write(path, text, mode)
        return path


def yaml_text(document: dict[str, Any]) -> str:
    """A document as block YAML, keys in their order."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue()
