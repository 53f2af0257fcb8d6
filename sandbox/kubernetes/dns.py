"""CoreDNS as a process of the host, on the bridge's address alone: the cluster's names itself, others by forwarding."""

from __future__ import annotations

import secrets
import socket
import struct
from pathlib import Path

from sandbox.daemon import Daemon
from sandbox.kubernetes import kubeconfig
from sandbox.kubernetes.layout import DOMAIN, NODE, Layout
from sandbox.part import NotReadyError
from sandbox.world import BRIDGE_ADDRESS

PORT = 53
_RESOLVERS = Path("/etc/resolv.conf")
_LIMIT_SECONDS = 0.5
_TYPE_A, _CLASS_IN, _RECURSION = 1, 1, 0x0100
_HEADER = struct.Struct("!HHHHHH")


def corefile(layout: Layout, resolvers: str) -> str:
    """CoreDNS's configuration.

    Args:
        layout: The cluster.
        resolvers: Content of resolv.conf; without a name server in it, foreign names are refused at once.
    """
    forward = f"    forward . {_RESOLVERS}\n" if "nameserver" in resolvers else ""
    return (
        f".:{PORT} {{\n"
        f"    bind {BRIDGE_ADDRESS}\n"
        "    errors\n"
        f"    kubernetes {DOMAIN} in-addr.arpa {{\n"
        f"        kubeconfig {kubeconfig.path(layout, 'coredns')} {NODE}\n"
        "        pods insecure\n"
        "        fallthrough in-addr.arpa\n"
        "        ttl 5\n"
        "    }\n"
        f"{forward}"
        "    cache 5\n"
        "}\n"
    )


def coredns(layout: Layout) -> Daemon:
    """The daemon; its configuration is written here."""
    resolvers = _RESOLVERS.read_text() if _RESOLVERS.exists() else ""
    path = layout.write("Corefile", corefile(layout, resolvers))
    return Daemon("coredns", [layout.world.tool("coredns"), "-conf", path], grace=3.0)


def question(name: str, identity: int) -> bytes:
    """A query for a name's IPv4 addresses (RFC 1035, section 4.1)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    return _HEADER.pack(identity, _RECURSION, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", _TYPE_A, _CLASS_IN)


def answers(packet: bytes, identity: int) -> int:
    """How many records answer the query of that identity; 0 for an error or another query's packet."""
    if len(packet) < _HEADER.size:
        return 0
    got, flags, _, count, _, _ = _HEADER.unpack_from(packet)
    return 0 if got != identity or flags & 0x000F else count


def check(server: str = BRIDGE_ADDRESS) -> None:
    """Ask for the API server's name.

    Raises:
        NotReadyError: The answer holds no address, or does not come.
    """
    name, identity = f"kubernetes.default.svc.{DOMAIN}", secrets.randbelow(1 << 16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(_LIMIT_SECONDS)
        try:
            client.connect((server, PORT))
            client.send(question(name, identity))
            found = answers(client.recv(1500), identity)
        except OSError as error:
            raise NotReadyError(f"CoreDNS does not answer on {server}:{PORT} ({error})") from error
    if not found:
        raise NotReadyError(f"CoreDNS on {server}:{PORT} does not know {name} yet")
