"""Starting a run of a deployment, following it, and telling what came of it: the same for every command that does."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.prompt import Prompt

from cli.connection import connect
from cli.following import follow, story
from deployments.client import PrefectApi, Run
from symphony.errors import SymphonyError

FAILED, STOPPED = 1, 130
"""Exit codes beside 0, it succeeded, and 2, bad input: it failed; following was broken off, and the run goes on."""
PAGES: Mapping[str, tuple[str, ...]] = {
    "build": ("images",),
    "deploy": ("deploy", "diagnosis", "smoke"),
    "drift": ("drift",),
    "promote": ("promote", "diagnosis"),
    "provision": ("plans",),
    "release": ("release", "diagnosis"),
    "rollback": ("rollback", "diagnosis"),
    "smoke": ("smoke",),
    "watch": ("watched", "watch", "diagnosis"),
}
"""What each flow leaves for people, by the first word of the artifacts' keys."""

Detach = Annotated[bool, typer.Option("--detach", help="Start the run and return at once.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def _here(section: str, incomplete: str) -> list[str]:
    """Names in this folder's ``symphony.yaml`` that begin so, for a shell's completion; it must never fail."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - loaded only where it is used

    with contextlib.suppress(Exception):
        text = Path(os.environ.get("SYMPHONY_CONFIG") or "symphony.yaml").read_text(encoding="utf-8")
        return [name for name in YAML(typ="safe").load(text)[section] if name.startswith(incomplete)]
    return []


def environments(incomplete: str) -> list[str]:
    """Environments that begin so, for a shell's completion."""
    return _here("environments", incomplete)


def applications(incomplete: str) -> list[str]:
    """Applications that begin so, for a shell's completion."""
    return _here("applications", incomplete)


Environment = Annotated[
    str, typer.Option("--env", "-e", help="Environment of symphony.yaml.", autocompletion=environments)
]
Applications = Annotated[
    list[str] | None, typer.Argument(help="Applications; all by default.", autocompletion=applications)
]
ApprovedBy = Annotated[str, typer.Option(help="Who approves changes to a protected environment beforehand.")]


class Ended(BaseModel):
    """A run as it is told: what ``--json`` prints.

    Attributes:
        flow: Name of the flow.
        environment: Name in ``symphony.yaml``.
        run: Flow run id.
        name: What the run is called.
        link: Address of its page.
        state: Name of its state, such as `Completed`, `Failed`, `Superseded`, `Suspended`.
        succeeded: Whether it ended well; false also while it goes on.
        message: Its last sentence.
    """

    flow: str
    environment: str
    run: str
    name: str
    link: str
    state: str
    succeeded: bool
    message: str


def told(api: PrefectApi, run: Run, flow: str, environment: str) -> Ended:
    """A run as it stands."""
    return Ended(
        flow=flow,
        environment=environment,
        run=run.id,
        name=run.name,
        link=api.link(run.id),
        state=run.state_name or "",
        succeeded=run.succeeded,
        message=run.message,
    )


def start(  # noqa: PLR0913 - what to run, and how to tell it
    flow: str,
    environment: str,
    parameters: dict[str, Any],
    *,
    detach: bool = False,
    as_json: bool = False,
    key: str | None = None,
) -> Ended:
    """Start a run of ``<flow>/<environment>`` and follow it to its end, its pages printed.

    Args:
        flow: Name of the flow.
        environment: Name of its deployment.
        parameters: Parameters of the run.
        detach: Return as soon as it is started.
        as_json: Print one JSON object to standard output, and all else to standard error.
        key: Idempotency key; the same gives the run that was started with it before.

    Raises:
        BadInputError: There is no such deployment, or it refuses the parameters.
        SymphonyError: The run did not succeed, or the server does not answer.
        typer.Exit: The person who follows it stopped to (exit code 130).
    """
    console, api = Console(stderr=as_json), connect()
    run = api.start(flow, environment, parameters, key)
    console.print(f"[dim]{api.link(run.id)}[/]", soft_wrap=True)
    failure: SymphonyError | None = None
    if not detach:
        try:
            run = followed(console, api, run)
        except SymphonyError as failed:
            failure, run = failed, api.run(run.id)
        if not as_json:
            for page in PAGES[flow]:
                story(console, api, run, f"{page}-{environment}")
    ended = told(api, run, flow, environment)
    if as_json:
        typer.echo(ended.model_dump_json(indent=2))
    elif not failure and not detach:
        console.print(ended.message)
    if failure:
        raise failure
    return ended


def followed(console: Console, api: PrefectApi, run: Run) -> Run:
    """Follow a run to its end; Ctrl-C asks whether to cancel it or to leave it to itself.

    Raises:
        SymphonyError: It did not succeed.
        typer.Exit: The person who follows it stopped to (exit code 130).
    """
    while True:
        try:
            return follow(console, api, run)
        except KeyboardInterrupt:
            answer = _asked(console)
            if answer == "cancel":
                api.cancel(run.id)
                console.print("It is being cancelled.")
            elif answer == "leave":
                console.print(f"The run goes on; see {api.link(run.id)}", soft_wrap=True)
                raise typer.Exit(STOPPED) from None


def _asked(console: Console) -> str:
    """What to do with a run that is under way; without a terminal, or at a second Ctrl-C, it is left to itself."""
    if not sys.stdin.isatty():
        return "leave"
    try:
        choices = ["cancel", "leave", "follow"]
        return Prompt.ask(
            "Cancel the run, leave it to itself, or follow on?", console=console, choices=choices, default="leave"
        )
    except (KeyboardInterrupt, EOFError):
        return "leave"
