"""``symphony release``: start a release and follow it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from cli.connection import connect
from cli.following import Detach, follow, story

app = typer.Typer()


@app.command("release")
def release(
    commit: Annotated[str, typer.Argument(help="Branch, tag or commit id to bring live.")] = "main",
    environment: Annotated[str, typer.Option("--env", "-e", help="Environment of symphony.yaml.")] = "dev",
    approved_by: Annotated[str, typer.Option(help="Who approves changes to a protected environment.")] = "",
    detach: Detach = False,
) -> None:
    """Release a commit to an environment: provision, build, deploy, smoke.

    Only what changed since the environment's last good release is touched. Exits with 0 when it is live, 1 when it
    failed, 2 for bad input.
    """
    console, api = Console(), connect()
    run = api.start("release", environment, {"commit": commit, "approved_by": approved_by})
    console.print(f"[dim]{api.link(run.id)}[/]")
    if not detach:
        run = follow(console, api, run)
        story(console, api, run, f"release-{environment}")
        console.print(run.message)
