"""``symphony unlock``: which Terragrunt units are locked, by whom, and freeing what a dead process left."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command("unlock")
def unlock(
    unit: Annotated[
        str, typer.Argument(help="Unit below the environment's folder; all that are locked by default.")
    ] = "",
    environment: Annotated[str, typer.Option("--env", "-e", help="Environment of symphony.yaml.")] = "dev",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Free them without asking.")] = False,
) -> None:
    """Show what holds the locks of Terragrunt units, and free those whose holder is dead.

    A unit is locked twice: by a concurrency limit in Prefect and by a lock file beside its state in S3. What a run
    holds that has not ended is shown and left alone.
    """
    from rich.console import Console  # noqa: PLC0415 - loaded only where it is used

    from cli.connection import adopt  # noqa: PLC0415

    adopt()
    from tasks import unlock as locks  # noqa: PLC0415 - Prefect reads its settings when it is loaded
    from tasks.change import open_change  # noqa: PLC0415

    console = Console()
    with open_change(environment) as change:
        found = locks.held_units(change, unit)
        if not found:
            console.print(f"No unit of {environment} is locked.")
        for held in found:
            console.print(f"[bold]{held.unit}[/]")
            for line in held.lines():
                console.print(f"  {line}", highlight=False, soft_wrap=True)
            if held.alive:
                console.print("  Left alone: its run has not ended.")
            elif yes or typer.confirm("  Free it?"):
                locks.unlock(change, held)
                console.print("  Freed.")
