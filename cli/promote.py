"""``symphony promote`` and ``symphony rollback``: start them and follow them."""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.connection import connect
from cli.following import Detach, follow, story

app = typer.Typer()
Applications = Annotated[list[str] | None, typer.Argument(help="Applications; all by default.")]
Why = Annotated[str, typer.Option(help="Why; the record keeps it.")]


@app.command("promote")
def promote(  # noqa: PLR0913, PLR0917 - one argument an option
    applications: Applications = None,
    environment: Annotated[str, typer.Option("--env", "-e", help="Environment to promote to.")] = "staging",
    release: Annotated[
        str, typer.Option("--release", help="Release to promote, by name, run or commit; the last good one by default.")
    ] = "",
    why: Why = "",
    approved_by: Annotated[str, typer.Option(help="Who approves a promotion to a protected environment.")] = "",
    detach: Detach = False,
) -> None:
    """Move what passed its smoke tests in the environment before to the next, nothing rebuilt.

    What differs is shown first; a protected environment waits for approval. Exits with 0 when it is live, 1 when it
    failed, 2 for bad input.
    """
    asked = {"applications": applications or None, "release": release, "why": why, "approved_by": approved_by}
    _run("promote", environment, asked, detach=detach)


@app.command("rollback")
def rollback(
    applications: Applications = None,
    environment: Annotated[str, typer.Option("--env", "-e", help="Environment of symphony.yaml.")] = "dev",
    release: Annotated[
        str,
        typer.Option(
            "--to", help="Release to go back to, by name, run or commit; the last good one before by default."
        ),
    ] = "",
    why: Why = "",
    detach: Detach = False,
) -> None:
    """Go back to a release that passed its smoke tests, and hold the applications there.

    Until `symphony lift`, no release moves them. Exits with 0 when it is live, 1 when it failed, 2 for bad input.
    """
    asked = {"applications": applications or None, "release": release, "why": why}
    _run("rollback", environment, asked, detach=detach)


def _run(flow: str, environment: str, asked: dict[str, Any], *, detach: bool) -> None:
    console, api = Console(), connect()
    run = api.start(flow, environment, {**asked, "who": getpass.getuser()})
    console.print(f"[dim]{api.link(run.id)}[/]")
    if not detach:
        run = follow(console, api, run)
        story(console, api, run, f"{flow}-{environment}")
        console.print(run.message)
