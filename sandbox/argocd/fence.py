"""Keeps others away from the one port that Argo CD opens on every address.

The application controller has no option for the address of its metrics, and listens on 0.0.0.0 and ::.
"""

from __future__ import annotations

from pathlib import Path

from sandbox.argocd.processes import Listeners
from sandbox.world import World
from symphony.tool import run

_FOUND, _ABSENT = 0, 1


def put_up(world: World) -> None:
    """Drop what comes to that port from anywhere but loopback.

    Raises:
        ToolError: The rule was refused; it takes root.
    """
    for program in _programs(world):
        if run(_rule(world, program, "--check"), ok=(_FOUND, _ABSENT)).code == _ABSENT:
            run(_rule(world, program, "--insert"))


def take_down(world: World) -> None:
    """Take the rule away, however often it is there.

    Raises:
        ToolError: The firewall could not be asked.
    """
    for program in _programs(world):
        while run(_rule(world, program, "--check"), ok=(_FOUND, _ABSENT)).code == _FOUND:
            run(_rule(world, program, "--delete"))


def _programs(world: World) -> list[Path]:
    names = ["iptables"] + ["ip6tables"] * Path("/proc/net/if_inet6").exists()
    return [world.tool(name) for name in names]


def _rule(world: World, program: Path, action: str) -> list[str | Path]:
    port = str(Listeners.of(world).controller_metrics)
    match = ("INPUT", "--protocol", "tcp", "--dport", port, "!", "--in-interface", "lo", "--jump", "DROP")
    return [program, "--wait", "5", action, *match]
