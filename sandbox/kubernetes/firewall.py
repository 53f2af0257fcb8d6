"""The cluster's iptables rules: its own chains first in line, and all of the cluster's gone afterwards.

Scripts for ``iptables-restore --noflush`` are made from what ``iptables-save`` prints, so that every rule that is not
the cluster's stays as it is.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping

from sandbox.world import BRIDGE, BRIDGE_ADDRESS, POD_SUBNET, SERVICE_SUBNET, World
from symphony import tool
from symphony.errors import ToolError

_OURS = re.compile(r"^(KUBE-|CNI-|SYMPHONY-)")
"""Chains of kube-proxy and kubelet, of the CNI plugins, and of the sandbox itself."""
_CHAINS: Mapping[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "filter": (
        (
            "INPUT",
            "SYMPHONY-INPUT",
            (
                f"-i {BRIDGE} -d {BRIDGE_ADDRESS}/32 -j ACCEPT",
                # Linux answers for any of its addresses on any interface; the bridge's is for this machine alone.
                f"! -i lo -d {BRIDGE_ADDRESS}/32 -j DROP",
            ),
        ),
        (
            "FORWARD",
            "SYMPHONY-FORWARD",
            # Docker sets the policy to DROP.
            (f"-i {BRIDGE} -j ACCEPT", f"-o {BRIDGE} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
        ),
    ),
    "nat": (
        (
            "POSTROUTING",
            "SYMPHONY-POSTROUTING",
            (
                f"-s {POD_SUBNET} -d {POD_SUBNET} -j RETURN",
                f"-s {POD_SUBNET} -d {SERVICE_SUBNET} -j RETURN",
                f"-s {POD_SUBNET} -j MASQUERADE",
            ),
        ),
    ),
}


def setup_script(saved: str) -> str:
    """What makes the sandbox's own chains, whether or not they are there; a jump is never made twice."""
    present = _tables(saved)
    lines: list[str] = []
    for table, chains in _CHAINS.items():
        lines.append(f"*{table}")
        lines += [f":{own} - [0:0]" for _, own, _ in chains]
        for builtin, own, rules in chains:
            lines += [f"-A {own} {rule}" for rule in rules]
            if f"-A {builtin} -j {own}" not in present.get(table, []):
                lines.append(f"-I {builtin} 1 -j {own}")
        lines.append("COMMIT")
    return "\n".join(lines) + "\n"


def cleanup_script(saved: str, keep: Collection[str] = ()) -> str:
    """What removes every chain of the cluster and every jump to one.

    Args:
        saved: Output of ``iptables-save``.
        keep: Chains that were there before the cluster.

    Returns:
        The script, empty where there is nothing to do.
    """
    script: list[str] = []
    for table, lines in _tables(saved).items():
        chains = [line[1:].split()[0] for line in lines if line.startswith(":")]
        ours = {chain for chain in chains if _OURS.match(chain) and chain not in keep}
        jumps = [
            f"-D {line[3:]}"
            for line in lines
            if line.startswith("-A ") and line.split()[1] not in ours and _target(line) in ours
        ]
        if ours:
            flushed, removed = (
                [f":{chain} - [0:0]" for chain in sorted(ours)],
                [f"-X {chain}" for chain in sorted(ours)],
            )
            script += [f"*{table}", *flushed, *jumps, *removed, "COMMIT"]
    return "\n".join(script) + "\n" if script else ""


def foreign_chains(world: World) -> list[str]:
    """Chains named like the cluster's that are there already; another cluster's on this machine."""
    saved = [line for program in _programs() for line in _save(world, program).splitlines()]
    names = {line[1:].split()[0] for line in saved if line.startswith(":")}
    return sorted(name for name in names if _OURS.match(name) and not name.startswith("SYMPHONY-"))


def setup(world: World) -> None:
    """Put the sandbox's chains in place (IPv4; pods have no other addresses)."""
    script = setup_script(_save(world, "iptables"))
    tool.run([world.tool("iptables-restore"), "--noflush", "--wait", "5"], stdin=script, limit=30)


def cleanup(world: World, keep: Collection[str]) -> None:
    """Remove the cluster's chains, IPv4 and IPv6."""
    for program in _programs():
        if script := cleanup_script(_save(world, program), keep):
            tool.run([world.tool(f"{program}-restore"), "--noflush", "--wait", "5"], stdin=script, limit=30)


def _programs() -> tuple[str, str]:
    return "iptables", "ip6tables"


def _save(world: World, program: str) -> str:
    try:
        return tool.run([world.tool(f"{program}-save")], limit=30).stdout
    except ToolError:
        # A kernel without IPv6 has no such rules.
        if program == "ip6tables":
            return ""
        raise


def _tables(saved: str) -> dict[str, list[str]]:
    tables: dict[str, list[str]] = {}
    for line in saved.splitlines():
        if line.startswith("*"):
            tables[line[1:]] = []
        elif line and not line.startswith(("#", "COMMIT")) and tables:
            next(reversed(tables.values())).append(line)
    return tables


def _target(rule: str) -> str:
    words = shlex.split(rule)
    for flag in ("-j", "-g"):
        if flag in words[:-1]:
            return words[words.index(flag) + 1]
    return ""
