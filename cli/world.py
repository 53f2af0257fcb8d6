"""The sandbox as commands see it: which one, and how its coming up is shown."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from sandbox import toolchain
from sandbox.lifecycle import Event, up
from sandbox.parts import parts
from sandbox.prefect.choice import Server, Workers
from sandbox.world import World, cache_home, state_home

ROOT = Path(__file__).resolve().parents[1]
"""This clone."""
_MARKS = {"ready": "[green]●[/]", "stopped": "[green]○[/]", "failed": "[red]✗[/]", "waiting": "[dim]·[/]"}


def world() -> World:
    """The sandbox of this user, seeded by this clone, with the toolchain's programs."""
    cache = cache_home()
    return World(source=ROOT, state=state_home(), cache=cache, tools=toolchain.folders(cache))


def bring_up(
    console: Console, kube_context: str | None = None, server: Server | None = None, workers: Workers | None = None
) -> World:
    """Build the tools that are missing and bring every part up, shown line by line.

    Args:
        console: Where to show it.
        kube_context: Context of the user's own cluster.
        server: What Prefect's server runs on.
        workers: What runs are.

    Raises:
        SymphonyError: A tool does not build, or a part does not come up.
    """
    here = world()
    if toolchain.missing(here.cache):
        from cli.toolchain import build  # noqa: PLC0415 - once in a machine's life

        build()
    started = time.monotonic()
    with Progress(console, [part.name for part in parts(here)]) as progress:
        up(here, progress, kube_context=kube_context, server=server, workers=workers)
    console.print(f"The sandbox is ready in {time.monotonic() - started:.1f} s.")
    return here


class Progress:
    """One line a part, redrawn on a terminal; elsewhere one line for what ends."""

    def __init__(self, console: Console, names: list[str]) -> None:
        """Show these parts on this console."""
        self._console = console
        self._events = {name: Event(name, "waiting") for name in names}
        self._since: dict[str, float] = {}
        self._live = Live(self, console=console, refresh_per_second=8) if console.is_terminal else None
        self._spinner = Spinner("dots")

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last picture standing."""
        if self._live:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take what happened; called from several threads."""
        if event.state == "note":
            self._console.print(event.text, style="yellow", highlight=False)
            return
        self._events[event.part] = event
        if event.state in {"starting", "stopping"}:
            self._since[event.part] = time.monotonic()
        elif event.state in {"ready", "failed", "stopped"} and not self._live:
            self._console.print(f"{event.part:<11}{_words(event)}", highlight=False)

    def __rich__(self) -> Table:
        """The table as it is now."""
        table = Table(box=None, show_header=False, pad_edge=False)
        now = time.monotonic()
        for name, event in self._events.items():
            mark = _MARKS.get(event.state)
            busy = event.state in {"starting", "stopping"}
            text = f"{event.state}, {now - self._since[name]:.0f} s" if busy else _words(event)
            style = "red" if event.state == "failed" else "dim" if event.state == "waiting" else ""
            sign = Text.from_markup(mark) if mark else self._spinner.render(now)
            table.add_row(sign, name, Text(text, style=style))
        return table


def _words(event: Event) -> str:
    match event.state:
        case "waiting":
            return f"waits for {event.text}" if event.text else "waits"
        case "ready":
            return f"ready in {event.seconds:.1f} s"
        case "stopped":
            return f"stopped in {event.seconds:.1f} s"
        case _:
            return f"failed: {event.text}"
