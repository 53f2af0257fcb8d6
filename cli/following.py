"""Showing a flow run while it happens, and its story when it has ended."""

from __future__ import annotations

import html
import re
import time

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deployments.client import PrefectApi, Run, TaskState, rows
from symphony.errors import SymphonyError
from symphony.markdown import linked

_LOOK = {
    "COMPLETED": "[green]✓[/]",
    "RUNNING": "[cyan]▶[/]",
    "FAILED": "[red]✗[/]",
    "CRASHED": "[red]✗[/]",
    "CANCELLED": "[yellow]■[/]",
}
_SHOWN = 14


def follow(console: Console, api: PrefectApi, run: Run) -> Run:
    """Follow a run to its end, its tasks shown live.

    Args:
        console: Where to.
        api: The server it runs on.
        run: The run.

    Returns:
        The run as it ended.

    Raises:
        SymphonyError: It did not succeed; the sentence is the run's own, with its link.
    """
    started = time.monotonic()
    with Live(console=console, refresh_per_second=8, transient=not console.is_terminal) as live:
        for now, tasks in api.follow(run.id):
            run = now
            table = _progress(run, tasks, time.monotonic() - started)
            if run.state_name == "Suspended":
                table.add_row("", f"It waits for approval; read its plans and answer (Resume) at {api.link(run.id)}")
            live.update(table)
    if not run.succeeded:
        raise SymphonyError(f"The run {run.name!r} ended as {run.state_name}: {run.message} See {api.link(run.id)}")
    return run


def story(console: Console, api: PrefectApi, run: Run, key: str) -> None:
    """Print what a run left under an artifact key: a page, what is folded in it unfolded, or a table."""
    found = api.artifact(run.id, key)
    if not found:
        return
    if (table := rows(found)) is not None:
        _table(console, table)
        return
    from rich.markdown import Markdown  # noqa: PLC0415 - with its parser it is a tenth of a command's start

    for part in found.split("\n\n"):
        # A terminal has nothing to fold, and Markdown shows no HTML there.
        console.print(_unfolded(part) if part.startswith("<details>") else Markdown(part))


def _table(console: Console, found: list[dict[str, object]]) -> None:
    if found:
        table = Table(*map(str, found[0]))
        for row in found:
            table.add_row(*(Text(linked(cell)[0]) for cell in row.values()))
        console.print(table)


def _unfolded(part: str) -> Text:
    """A folded part of a page as it reads without its HTML, each of whose elements ends a line."""
    lines = re.sub(r"</(summary|p|li|pre)>", "\n", part.replace("<li>", "  - "))
    return Text(html.unescape(re.sub(r"<[^>]*>", "", lines)))


def _progress(run: Run, tasks: list[TaskState], seconds: float) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_row(_look(run.state_type), f"[bold]{run.name}[/]", f"{run.state_name}", f"[dim]{seconds:.1f} s[/]")
    for task in tasks[-_SHOWN:]:
        table.add_row("", f"{_look(task.state_type)} {task.name}", f"[dim]{task.state_name or ''}[/]", "")
    return table


def _look(state: str | None) -> str:
    return _LOOK.get(state or "", "[dim]…[/]")
