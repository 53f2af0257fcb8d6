"""``symphony plan-text``: the whole text of a plan that was too long for the page of its run."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command("plan-text")
def plan_text(
    name: Annotated[str, typer.Argument(help="As the page with the plan tells it.")],
    environment: Annotated[str, typer.Option("--env", "-e", help="Environment of symphony.yaml.")] = "dev",
) -> None:
    """Print the whole text of a plan that was too long for the page of its run; sensitive values are masked."""
    from cli.connection import adopt  # noqa: PLC0415 - loaded only where it is used

    adopt()
    from tasks.change import open_change  # noqa: PLC0415 - Prefect reads its settings when it is loaded
    from tasks.plan_text import read_text  # noqa: PLC0415

    with open_change(environment) as change:
        typer.echo(read_text(change, name))
