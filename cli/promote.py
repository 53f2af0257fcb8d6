"""``symphony promote`` and ``symphony rollback``: start them and follow them."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from cli.running import Applications, AsJson, Detach, Environment, environments, start

app = typer.Typer()
Why = Annotated[str, typer.Option(help="Why; the record keeps it.")]


@app.command("promote")
def promote(  # noqa: PLR0913, PLR0917 - one argument an option
    applications: Applications = None,
    environment: Annotated[
        str, typer.Option("--env", "-e", help="Environment to promote to.", autocompletion=environments)
    ] = "staging",
    release: Annotated[
        str, typer.Option("--release", help="Release to promote, by name, run or commit; the last good one by default.")
    ] = "",
    why: Why = "",
    approved_by: Annotated[str, typer.Option(help="Who approves a promotion to a protected environment.")] = "",
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Move what passed its smoke tests in the environment before to the next, nothing rebuilt.

    What differs is shown first; a protected environment waits for approval. Exits with 0 when it is live, 1 when it
    failed, 2 for bad input, 130 where following was broken off.
    """
    asked = {"applications": applications or None, "release": release, "why": why, "who": getpass.getuser()}
    asked["approved_by"] = approved_by
    start("promote", environment, asked, detach=detach, as_json=as_json)


@app.command("rollback")
def rollback(  # noqa: PLR0913, PLR0917 - one argument an option
    applications: Applications = None,
    environment: Environment = "dev",
    release: Annotated[
        str,
        typer.Option(
            "--to", help="Release to go back to, by name, run or commit; the last good one before by default."
        ),
    ] = "",
    why: Why = "",
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Go back to a release that passed its smoke tests, and hold the applications there.

    Until `symphony lift`, no release moves them. Exits with 0 when it is live, 1 when it failed, 2 for bad input,
    130 where following was broken off.
    """
    asked = {"applications": applications or None, "release": release, "why": why, "who": getpass.getuser()}
    start("rollback", environment, asked, detach=detach, as_json=as_json)
