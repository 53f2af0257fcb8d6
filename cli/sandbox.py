"""``symphony up``, ``down`` and ``doctor``: the local world of real parts."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from sandbox.status import Status

app = typer.Typer()

Json = Annotated[bool, typer.Option("--json", help="Print it for programs.")]
_MIB = 2**20


@app.command("up")
def start(
    kube_context: Annotated[
        str | None,
        typer.Option(help="Use this context of your KUBECONFIG instead of starting a cluster (kind, k3d, EKS)."),
    ] = None,
    server: Annotated[
        Literal["sqlite", "postgres"] | None,
        typer.Option(help="What Prefect's server runs on; sqlite where nothing was chosen before."),
    ] = None,
    workers: Annotated[
        Literal["process", "kubernetes"] | None,
        typer.Option(help="What runs are: processes of this machine, or Jobs in the sandbox's cluster."),
    ] = None,
) -> None:
    """Start the sandbox, or repair it.

    Every part that is up stays up, every part that died is started again. Parts start side by side, each as soon as
    those it needs are ready. Needs root for the cluster's node. Exits with 1 when a part does not come up, and says
    which and why; the others are left running for a look at them.

    With --kube-context nothing of a cluster is started: its nodes must reach your registry by themselves, since the
    sandbox's own listens on loopback, and this machine must reach its pods.

    With --server postgres Prefect's server is two API servers behind a balancer and a process of background services,
    on PostgreSQL and Redis, as beyond one machine; `symphony down` first where the sandbox has the other one.

    With --workers kubernetes each run is a Job in the sandbox's cluster, with an image that is built here and BuildKit
    beside it: as in production, and slower to begin.
    """
    from rich.console import Console  # noqa: PLC0415 - loaded only where it is used

    from cli.world import bring_up  # noqa: PLC0415
    from sandbox.status import addresses  # noqa: PLC0415

    console = Console()
    here = bring_up(console, kube_context, server, workers)
    for one in addresses(here)[:3]:
        login = f"  [dim]user {one.user}, password in {one.secret}[/]" if one.user else ""
        console.print(f"  {one.name:<12}{one.url}{login}", highlight=False, soft_wrap=True)


@app.command("down")
def stop(
    keep_logs: Annotated[bool, typer.Option("--keep-logs", help="Leave the logs.")] = False,
    keep_state: Annotated[
        bool, typer.Option("--keep-state", help="Leave images, repositories, runs and logs for the next up.")
    ] = False,
) -> None:
    """Stop the sandbox and leave nothing behind: no process, mount, interface, firewall rule, cgroup or file.

    Works from any state, also after a crash. Built tools and the base image stay in the cache.
    """
    from rich.console import Console  # noqa: PLC0415

    from cli.world import Progress, world  # noqa: PLC0415
    from sandbox.lifecycle import down  # noqa: PLC0415
    from sandbox.parts import parts  # noqa: PLC0415

    console, here = Console(), world()
    if not here.state.exists():
        console.print("The sandbox is down.")
        return
    with Progress(console, [part.name for part in parts(here)]) as progress:
        down(here, progress, keep_logs=keep_logs, keep_state=keep_state)
    console.print("The sandbox is down." if not keep_state else f"The sandbox is down; {here.state} is kept.")


def show(*, as_json: bool = False) -> None:
    """Show each part of the sandbox: whether it answers, its processes, memory, ports, and what to open.

    Args:
        as_json: Print it for programs.

    Raises:
        typer.Exit: A part is not ready (exit code 1).
    """
    from rich.console import Console  # noqa: PLC0415

    from cli.world import world  # noqa: PLC0415
    from sandbox.status import status  # noqa: PLC0415

    found = status(world())
    if as_json:
        typer.echo(json.dumps({**asdict(found), "ready": found.ready}, indent=1))
    else:
        _draw(Console(), found)
    if not found.ready:
        raise typer.Exit(1)


@app.command("doctor")
def examine(as_json: Json = False) -> None:
    """Find out what is wrong with this machine or the sandbox on it, and say what to do.

    Exits with 1 when something keeps the sandbox from coming up.
    """
    from rich.console import Console  # noqa: PLC0415

    from cli.world import world  # noqa: PLC0415
    from sandbox import doctor  # noqa: PLC0415
    from sandbox.parts import parts  # noqa: PLC0415

    here = world()
    findings = doctor.examine(here, parts(here))
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in findings], indent=1))
    else:
        console = Console(soft_wrap=True)
        signs = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "failed": "[red]✗[/]"}
        for one in findings:
            console.print(f"{signs[one.state]} {one.name:<13}{one.said}", highlight=False)
            if one.fix:
                console.print(f"               → {one.fix}", highlight=False)
    if any(one.state == "failed" for one in findings):
        raise typer.Exit(1)


def pages() -> dict[str, tuple[str, str]]:
    """Address and login of the sandbox's pages by a short name; none where it is not up on this machine."""
    from cli.world import world  # noqa: PLC0415
    from sandbox.status import addresses  # noqa: PLC0415

    here = world()
    found = {}
    for one in addresses(here)[:3] if here.state.exists() else ():
        login = f" (user {one.user}, password in {one.secret})" if one.user else ""
        found[one.name.split(" (", maxsplit=1)[0].replace(" ", "").lower()] = (one.url, login)
    return found


def part_logs(part: str, lines: int) -> bool:
    """Show the last log lines of a part's processes.

    Args:
        part: A part, or one of its processes.
        lines: How many of each.

    Returns:
        Whether there is such a part.
    """
    from cli.world import world  # noqa: PLC0415
    from sandbox.parts import parts  # noqa: PLC0415

    here = world()
    known = {one.name: one.daemons for one in parts(here)}
    names = known.get(part) or tuple(name for daemons in known.values() for name in daemons if name == part)
    for name in names:
        path = here.state / "logs" / f"{name}.log"
        typer.echo(f"── {path}")
        for line in _last(path, lines):
            typer.echo(line)
    return bool(names)


def _last(path: Path, lines: int) -> deque[str]:
    if not path.exists():
        return deque(["(nothing yet)"])
    with path.open(errors="replace") as log:
        return deque((line.rstrip("\n") for line in log), maxlen=lines)


def _draw(console: Console, found: Status) -> None:
    from rich.table import Table  # noqa: PLC0415

    signs = {"ready": "[green]ready[/]", "failing": "[red]failing[/]", "down": "[dim]down[/]"}
    table = Table("part", "state", "process", "pid", box=None, header_style="bold", pad_edge=False)
    table.add_column("MiB", justify="right")
    table.add_column("port", justify="right")
    for part in found.parts:
        table.add_row(part.name, signs[part.state], part.reason)
        for one in part.processes:
            port = str(part.ports.get(one.name, ""))
            table.add_row("", "", one.name, str(one.pid or "-"), f"{one.memory / _MIB:.0f}", port)
    console.print(table)
    if found.addresses:
        console.print(f"\n{found.memory / _MIB:.0f} MiB altogether, pods too; state in {found.state}", highlight=False)
    for place in found.addresses:
        login = f"  [dim]{place.user + ', ' if place.user else ''}{place.secret}[/]" if place.secret else ""
        console.print(f"  {place.name:<12}{place.url}{login}", highlight=False, soft_wrap=True)
