"""The container runtime: a containerd of the sandbox's own, with the pause image in it."""

from __future__ import annotations

import json
from pathlib import Path

from sandbox.daemon import Daemon
from sandbox.kubernetes import pause
from sandbox.kubernetes.layout import Layout
from sandbox.part import NotReadyError
from sandbox.world import HOST
from symphony import tool
from symphony.errors import ToolError

CNI_PLUGINS = Path("/usr/lib/cni")
"""Where Debian's containernetworking-plugins puts them."""
_NAMESPACE = "k8s.io"
_ADDRESS_SECONDS = 10.0


def pause_binary(layout: Layout) -> Path:
    """The static program that pause containers run."""
    return layout.world.tool("catatonit")


def configuration(layout: Layout) -> str:
    """Containerd's configuration (version 2, containerd 1.6)."""
    text = json.dumps  # TOML's basic strings are JSON's
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    root = layout.containerd
    return f"""version = 2
root = {text(str(root / "root"))}
state = {text(str(root / "state"))}
temp = {text(str(root / "tmp"))}
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt",
  "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing",
]

[grpc]
address = {text(str(layout.containerd_socket))}

[{cri}]
sandbox_image = {text(pause.reference(pause_binary(layout)))}
# Machines without CAP_SYS_RESOURCE may not lower a score; runc would die of trying.
restrict_oom_score_adj = true
# Network namespaces below the state folder, where `down` finds them.
netns_mounts_under_state_dir = true
stream_server_address = "{HOST}"

[{cri}.cni]
bin_dir = {text(str(CNI_PLUGINS))}
conf_dir = {text(str(layout.cni / "net.d"))}

[{cri}.registry]
config_path = {text(str(layout.root / "certs.d"))}

[{cri}.containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[{cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
Root = {text(str(root / "runc"))}
"""


def registry_hosts(layout: Layout) -> tuple[str, str]:
    """Name and content of containerd's host file for the sandbox's registry, spoken to over plain HTTP."""
    host = f"{HOST}:{layout.world.ports.ecr}"
    content = f'server = "http://{host}"\n\n[host."http://{host}"]\ncapabilities = ["pull", "resolve"]\n'
    return f"certs.d/{host}/hosts.toml", content


def containerd(layout: Layout) -> Daemon:
    """The daemon; its configuration is written here."""
    layout.world.folder("kubernetes", "containerd", "tmp")
    layout.write(*registry_hosts(layout))
    path = layout.write("containerd.toml", configuration(layout))
    return Daemon("containerd", [layout.world.tool("containerd"), "--config", path, "--log-level", "warn"])


def check(layout: Layout) -> None:
    """Ask containerd for its version.

    Raises:
        NotReadyError: It does not answer.
    """
    try:
        _ctr(layout, "version")
    except ToolError as error:
        raise NotReadyError("containerd does not answer on its socket") from error


def import_pause(layout: Layout) -> None:
    """Give containerd the pause image unless it has it."""
    binary = pause_binary(layout)
    name = pause.reference(binary)
    if name in _ctr(layout, "--namespace", _NAMESPACE, "images", "ls", "-q").split():
        return
    path = layout.root / "pause.tar"
    path.write_bytes(pause.archive(binary, name))
    _ctr(layout, "--namespace", _NAMESPACE, "images", "import", str(path))
    path.unlink()


def _ctr(layout: Layout, *arguments: str) -> str:
    ctr = layout.world.tool("ctr")
    timeout = f"--connect-timeout={_ADDRESS_SECONDS:.0f}s"
    return tool.run([ctr, "--address", layout.containerd_socket, timeout, *arguments], limit=60).stdout
