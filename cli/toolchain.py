"""``symphony toolchain``: list, build, export and import the pinned tools."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from sandbox.toolchain.building import Step

app = typer.Typer(help="List, build, export and import the pinned tools.", invoke_without_command=True)

_KEYS = {"name": "tool", "origin": "from"}
_PIPE_WIDTH = 300
"""Columns where no terminal tells them: no path is cut."""
_UNITS = ("B", "kB", "MB", "GB")


@app.callback()
def listing(ctx: typer.Context, as_json: bool = typer.Option(False, "--json", help="Print it for programs.")) -> None:
    """List each tool: its version, where it came from, its path and its size."""
    if ctx.invoked_subcommand:
        return
    from sandbox.toolchain import inventory  # noqa: PLC0415 - loaded only where it is used
    from sandbox.toolchain.cache import Store  # noqa: PLC0415
    from sandbox.world import cache_home  # noqa: PLC0415

    found = list(inventory.programs(Store(cache_home())))
    if as_json:
        typer.echo(
            json.dumps(
                [{_KEYS.get(key, key): value for key, value in asdict(program).items()} for program in found],
                indent=1,
            )
        )
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table("tool", "version", "from", box=None, header_style="bold", pad_edge=False)
    table.add_column("size", justify="right")
    table.add_column("path", overflow="fold")
    for program in found:
        style = "red" if program.origin == "missing" else None
        table.add_row(program.name, program.version, program.origin, _size(program.size), program.path, style=style)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_WIDTH)
    console.print(table)
    if any(program.origin == "missing" for program in found):
        console.print("`make setup` brings what is missing.", style="yellow")


@app.command()
def build() -> None:
    """Build what is missing; what is there stays, and a warm check takes a moment."""
    from sandbox import toolchain  # noqa: PLC0415
    from sandbox.world import cache_home  # noqa: PLC0415

    cache = cache_home()
    if not toolchain.missing(cache):
        typer.echo("The toolchain is complete.")
        return
    with _progress() as progress:
        toolchain.build(cache, _Bars(progress))
    typer.echo("The toolchain is complete.")


@app.command("export")
def export(file: Path = typer.Argument(help="Archive to write, such as toolchain.tar.gz.")) -> None:
    """Write the built tools into one file for another machine."""
    from sandbox.toolchain import archive  # noqa: PLC0415
    from sandbox.toolchain.cache import Store  # noqa: PLC0415
    from sandbox.world import cache_home  # noqa: PLC0415

    with _progress() as progress:
        task = progress.add_task("exporting", total=None)
        digest, left = archive.pack(
            Store(cache_home()),
            file,
            lambda tool, number, tools: progress.update(
                task, description=f"exporting {tool}", completed=number - 1, total=tools
            ),
        )
        progress.update(task, description="exported", total=1, completed=1)
    typer.echo(f"{file}: {_size(file.stat().st_size)}, sha256 {digest}")
    if left:
        typer.echo(f"Not in it, since this machine has them on PATH: {', '.join(left)}.")


@app.command("import")
def import_(
    file: Path = typer.Argument(help="Archive that `symphony toolchain export` wrote."),
    sha256: str = typer.Option("", help="Digest the archive must have, as export printed it."),
) -> None:
    """Take over the tools that another machine built."""
    from sandbox.toolchain import archive  # noqa: PLC0415
    from sandbox.toolchain.cache import Store  # noqa: PLC0415
    from sandbox.world import cache_home  # noqa: PLC0415

    with _progress() as progress:
        task = progress.add_task("importing", total=None)
        put = archive.unpack(
            Store(cache_home()),
            file,
            sha256,
            lambda tool, number, tools: progress.update(
                task, description=f"importing {tool}", completed=number - 1, total=tools
            ),
        )
        progress.update(task, description="imported", total=1, completed=1)
    typer.echo(f"Imported {', '.join(put)}." if put else "Nothing to import: every tool of it is here already.")


class _Bars:
    """Progress of a build: one bar for all tools and one for the tool being built; plain lines where no terminal is."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._all: TaskID | None = None
        self._one: TaskID | None = None
        self._told = ""

    def __call__(self, step: Step) -> None:
        if self._progress.console.is_terminal:
            self._draw(step)
        if step.phase == "compiling" and step.packages:
            return
        text = _sentence(step)
        if text != self._told and not (
            self._progress.console.is_terminal and step.phase in {"downloading", "compiling"}
        ):
            self._told = text
            self._progress.console.print(text, highlight=False)

    def _draw(self, step: Step) -> None:
        if not step.tools:
            return
        if self._all is None or self._one is None:
            self._all = self._progress.add_task("toolchain", total=step.tools)
            self._one = self._progress.add_task("preparing Go", total=None)
        finished = step.number if step.phase in {"done", "found"} else max(step.number - 1, 0)
        left = step.tools - finished
        self._progress.update(self._all, description=f"toolchain, {left} left", completed=finished, total=step.tools)
        if step.tool:
            self._progress.update(
                self._one, description=f"{step.phase} {step.tool}", completed=step.packages, total=step.total or None
            )


def _sentence(step: Step) -> str:
    match step.phase:
        case "waiting":
            return "Another build of the toolchain is running; waiting for it."
        case "preparing":
            return f"Preparing Go for {step.tools} tools."
        case "cleaning":
            return "Removing the build caches."
        case "found":
            return f"{step.tool}: the pinned version is on PATH ({step.number} of {step.tools})."
        case "done":
            return f"{step.tool}: built, {step.tools - step.number} left."
        case _:
            return f"{step.tool}: {step.phase} ({step.number} of {step.tools})."


def _progress() -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )


def _size(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < 1000:  # noqa: PLR2004 - decimal units
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} {_UNITS[-1]}"
