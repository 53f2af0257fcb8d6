"""``symphony status``: what runs where."""

from __future__ import annotations

from typing import Annotated

import typer

_WIDTH = 200

app = typer.Typer()


@app.command("status")
def status(
    environment: Annotated[str, typer.Option("--env", "-e", help="Only this environment; all by default.")] = "",
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="The sandbox's own parts instead: processes, memory, ports, logins.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Show what runs where: version, digest, since when, health, drift and URL of each application.

    It is read from Git and Argo CD as they are now; drift is what the last look of the flow `drift` found. The same
    table is in Prefect's UI as the artifact `overview`, as of the last run that changed anything.

    Exits with 0 when it could look, whatever it saw, 1 when it could not, 2 for bad input. With --sandbox, 1 also
    means that a part is not ready.
    """
    if sandbox:
        from cli.sandbox import show  # noqa: PLC0415 - the sandbox is loaded only where it is asked

        show(as_json=as_json)
        return
    from cli.history import opened  # noqa: PLC0415 - loaded only where it is used

    configuration, mirror = opened(environment)
    from tasks.overview import overview  # noqa: PLC0415 - Prefect reads its settings when it is loaded

    found = overview(configuration, mirror, environment)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.markdown import Markdown  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from symphony.markdown import Link  # noqa: PLC0415

    console = Console()
    # What people copy from here is whole, however narrow the terminal is.
    console.width = max(console.width, _WIDTH)
    table = Table(*(found.running[0].row if found.running else ()), box=None, header_style="bold", pad_edge=False)
    for one in found.running:
        table.add_row(*(Text(cell.text if isinstance(cell, Link) else str(cell)) for cell in one.row.values()))
    console.print(table)
    console.print(Markdown(found.notes))
    for one in found.running:
        if one.held:
            console.print(f"{one.application} in {one.environment} is {one.held}", highlight=False)
