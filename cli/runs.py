"""``symphony logs`` and ``symphony open``: what a run says, and its page; of the sandbox's parts and pages too."""

from __future__ import annotations

import json
import os
import time
from typing import Annotated

import typer

from cli.connection import connect
from cli.sandbox import pages, part_logs

_POLL_SECONDS = 0.5

app = typer.Typer()


@app.command("logs")
def logs(
    what: Annotated[
        str,
        typer.Argument(
            help="A run: its id or the beginning of it, its name, or FLOW/ENV for that deployment's newest run. Or a "
            "part of the sandbox, such as kubernetes, or one of its processes."
        ),
    ],
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="Of a part: how many of the last lines.")] = 40,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Of a run: go on until it has ended.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Of a run: print one JSON object a line.")] = False,
) -> None:
    """Show what a run has logged, or the last log lines of a part of the sandbox.

    Exits with 0 when it is shown, however the run ended; 1 when Prefect does not answer, 2 where there is neither.
    """
    if part_logs(what, lines):
        return
    api = connect()
    run = api.named(what)
    shown = 0
    while True:
        run = api.run(run.id)
        for one in api.logs(run.id, shown):
            shown += 1
            typer.echo(json.dumps(one) if as_json else f"{one['timestamp'][11:19]} {one['level']:<7} {one['message']}")
        if run.final or not follow:
            return
        time.sleep(_POLL_SECONDS)


@app.command("open")
def visit(
    what: Annotated[
        str,
        typer.Argument(
            help="A run: its id or the beginning of it, its name, or FLOW/ENV for that deployment's newest run. Or "
            "prefect, and in the sandbox argocd and hello."
        ),
    ] = "prefect",
    show: Annotated[bool, typer.Option("--print", help="Only print the address.")] = False,
) -> None:
    """Open a page in the browser: Prefect's UI, a run in it, or a page of the sandbox, whose login is told.

    Exits with 0 when there is such a page, 1 when Prefect does not answer, 2 where there is none.
    """
    address, login = _address(what)
    typer.echo(f"{address}{login}")
    if not show:
        typer.launch(address)


def _address(what: str) -> tuple[str, str]:
    known = {} if os.environ.get("PREFECT_API_URL") else pages()
    if what.lower() in known:
        return known[what.lower()]
    api = connect()
    if what.lower() == "prefect":
        return api.url.removesuffix("/api"), ""
    return api.link(api.named(what).id), ""
