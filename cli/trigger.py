"""``symphony trigger``: what CI calls, with the address and the credentials of Prefect's API and nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.connection import connect
from cli.running import FAILED, PAGES, AsJson, Detach, Ended, Environment, told
from deployments.client import PrefectApi, Run, rows
from deployments.github import COMMENT_SIZE, PullRequest, run_key
from symphony.errors import BadInputError
from symphony.markdown import escape, linked
from symphony.outside import read_json

TIMED_OUT = 124
"""Exit code where the run has not ended in time; it goes on, and the same command finds it again."""
_SUMMARY_BYTES = 1_000_000
"""A step's summary may have a mebibyte, says GitHub's documentation of workflow commands."""
_WAITS = "It waits for approval; read what it asks and answer (Resume) at {link}"

app = typer.Typer()


@app.command("trigger")
def trigger(  # noqa: PLR0913, PLR0917 - one argument an option
    flow: Annotated[str, typer.Argument(help=f"The flow: {', '.join(PAGES)}.")],
    environment: Environment,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", help="A parameter of the flow as NAME=VALUE, a text or JSON; may be repeated."),
    ] = None,
    key: Annotated[
        str, typer.Option("--key", help="Idempotency key; made from the workflow's run in GitHub Actions.")
    ] = "",
    minutes: Annotated[float, typer.Option("--timeout", min=0.01, help="Minutes to wait for the run's end.")] = 60,
    comment: Annotated[
        bool, typer.Option("--comment", help="Keep one comment of the pull request up to date with the summary.")
    ] = False,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Start a run from CI and follow it; killed and started again with the same key, it finds its run.

    Needs PREFECT_API_URL and, where the server asks for it, PREFECT_API_AUTH_STRING. In GitHub Actions it writes a
    summary of the job, and the run's id, link and state as outputs of the step. A comment needs GITHUB_TOKEN, with
    the right to write to pull requests.

    Exits with 0 when the run succeeded, 1 when it failed, 2 for bad input, 124 when it has not ended in time.
    """
    if flow not in PAGES:
        raise BadInputError(f"There is no flow {flow!r}; there are: {', '.join(PAGES)}.")
    given = {"environment": environment, **dict(_parameter(text) for text in parameters or ())}
    key = key or run_key(os.environ, flow, environment)
    console, api = Console(stderr=True), connect()
    pull_request = PullRequest.of_workflow(os.environ) if comment else None
    run = api.start(flow, environment, given, key or None)
    console.print(f"{run.name}: {api.link(run.id)}", soft_wrap=True, highlight=False)
    if not detach:
        run = _watched(console, api, run, time.monotonic() + 60 * minutes)
    ended = told(api, run, flow, environment)
    pages = [api.artifact(run.id, f"{page}-{environment}") or "" for page in PAGES[flow]]
    _tell_github(os.environ, ended, pages)
    if pull_request:
        mark = f"<!-- symphony: {flow} {environment} -->"
        pull_request.comment(mark, summary(ended, pages, COMMENT_SIZE - len(mark) - 1))
    if as_json:
        typer.echo(ended.model_dump_json(indent=2))
    elif not detach:
        console.print(run.message or run.state_name, soft_wrap=True, highlight=False)
    if not detach and not run.succeeded:
        raise typer.Exit(FAILED if run.final else TIMED_OUT)


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise BadInputError(f"The parameter {text!r} has no name or no value; say --param NAME=VALUE.")
    try:
        return name, read_json(value)
    except ValueError:
        return name, value


def _watched(console: Console, api: PrefectApi, run: Run, deadline: float) -> Run:
    """Follow a run until it ends or the time is over, and print each new state once."""
    last = ""
    for now, _ in api.follow(run.id):
        run = now
        if run.state_name and run.state_name != last:
            last = run.state_name
            console.print(last, highlight=False)
            if last == "Suspended":
                console.print(_WAITS.format(link=api.link(run.id)), soft_wrap=True, highlight=False)
        if time.monotonic() > deadline:
            break
    return run


def _tell_github(environ: Mapping[str, str], ended: Ended, pages: list[str]) -> None:
    if path := environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"run={ended.run}\nlink={ended.link}\nstate={ended.state}\n")
    if path := environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(summary(ended, pages))


def summary(ended: Ended, pages: list[str], limit: int = _SUMMARY_BYTES) -> str:
    """A run's pages as one Markdown page, cut to a size.

    Args:
        ended: The run.
        pages: Markdown, or a table's rows as JSON; an empty one is left out.
        limit: Bytes of UTF-8 that the page may have, cut with a link to the whole.

    Returns:
        The page.
    """
    link = f"[{escape(ended.name)}]({ended.link})"
    head = f"### {link}: {escape(ended.state)}\n\n{escape(ended.message)}\n"
    parts = [_table(found) if (found := rows(page)) else page for page in pages if page.strip() not in {"", "[]"}]
    whole = "\n\n".join([head, *parts]) + "\n"
    if len(whole.encode()) <= limit:
        return whole
    cut = f"\n\nIt is cut here; the whole is at {link}.\n"
    return whole.encode()[: limit - len(cut.encode())].decode(errors="ignore").rpartition("\n")[0] + cut


def _table(found: list[dict[str, Any]]) -> str:
    lines = [list(found[0]), ["---"] * len(found[0]), *([_cell(cell) for cell in row.values()] for row in found)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(cell: object) -> str:
    text, address = linked(cell)
    return f"[{escape(text)}]({address})" if address else escape(text)
