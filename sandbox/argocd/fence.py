"""Keeps others away from the one port that Argo CD opens on every address.

The application controller has no option for the address of its metrics, and listens on 0.0.0.0 and ::.
"""

from __future__ import annotations

from pathlib import Path

from sandbox.argocd.processes import Listeners
from sandbox.world import World
from symphony.errors import BadInputError, SymphonyError, ToolError
from symphony.tool import run

_FOUND, _ABSENT = 0, 1


def put_up(world: World) -> None:
    """Drop what comes to that port from anywhere but loopback.

    Raises:
        SymphonyError: The rule was refused; it takes root.
    """
    for program in programs(world):
        try:
            if run(rule(world, program, "--check"), ok=(_FOUND, _ABSENT)).code == _ABSENT:
                run(rule(world, program, "--insert"))
        except ToolError as error:
            port = Listeners.of(world).controller_metrics
            raise SymphonyError(
                f"Port {port}, where Argo CD opens its metrics to every address, cannot be fenced off, which takes "
                f"root and {program.name}: {error.output.strip()}"
            ) from error


def take_down(world: World) -> None:
    """Take the rule away, however often it is there.

    Raises:
        ToolError: The firewall could not be asked.
    """
    try:
        found = programs(world)
    except BadInputError:
        return  # where there is no firewall, there is no rule
    for program in found:
        while run(rule(world, program, "--check"), ok=(_FOUND, _ABSENT)).code == _FOUND:
            run(rule(world, program, "--delete"))


def programs(world: World) -> list[Path]:
    """The firewalls that this machine has: one, or two where it knows IPv6."""
    names = ["iptables"] + ["ip6tables"] * Path("/proc/net/if_inet6").exists()
    return [world.tool(name) for name in names]


def rule(world: World, program: Path, action: str) -> list[str | Path]:
    """A firewall's command about the rule; the action is ``--check``, ``--insert`` or ``--delete``."""
    port = str(Listeners.of(world).controller_metrics)
    match = ("INPUT", "--protocol", "tcp", "--dport", port, "!", "--in-interface", "lo", "--jump", "DROP")
    return [program, "--wait", "5", action, *match]
