"""The command ``symphony``: the list of its commands, each loaded only when it is called."""

from __future__ import annotations

import importlib
import signal
import sys
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from symphony.errors import BadInputError, SymphonyError


@dataclass(frozen=True)
class Entry:
    """One word after ``symphony``.

    Attributes:
        name: The word. A command of that name in the module's ``app``, or the whole ``app`` as a group.
        module: Module with a ``typer.Typer`` called ``app``; imported only when the word is used.
        help: What ``symphony --help`` says about it.
    """

    name: str
    module: str
    help: str


COMMANDS: tuple[Entry, ...] = (
    Entry("demo", "cli.demo", "Change the example service, push it, and follow the release until it is served."),
    Entry("up", "cli.sandbox", "Start the sandbox, or repair it."),
    Entry("down", "cli.sandbox", "Stop the sandbox and leave nothing behind."),
    Entry("status", "cli.status", "Show what runs where; with --sandbox, each part of the sandbox."),
    Entry("doctor", "cli.sandbox", "Find out what is wrong, and say what to do."),
    Entry("init", "cli.init", "Write a first symphony.yaml from what a repository has."),
    Entry("open", "cli.runs", "Open Prefect's UI, a run in it, or a page of the sandbox."),
    Entry("logs", "cli.runs", "Show what a run has logged, or a part of the sandbox."),
    Entry("deploy-flows", "cli.flows", "Put the deployments of prefect.yaml onto a Prefect server."),
    Entry(
        "worker", "cli.worker", "Serve runs on this machine: a Prefect worker, and a launcher that saves their start."
    ),
    Entry("worker-image", "cli.worker_image", "Lay out what the image of a worker's runs is built from."),
    Entry("release", "cli.release", "Bring a commit live in an environment and follow it."),
    Entry("deploy", "cli.release", "Roll images out with the charts of a commit."),
    Entry("smoke", "cli.release", "Ask every host and path of an environment through its ingress."),
    Entry("drift", "cli.release", "Look for what is not as Git says."),
    Entry("trigger", "cli.trigger", "Start a run from CI, or find it again, and follow it to its end."),
    Entry(
        "registry-login", "cli.registry_login", "Log docker in to an environment's ECR, for a job that pushes images."
    ),
    Entry("promote", "cli.promote", "Move what is good in one environment to the next, nothing rebuilt."),
    Entry("rollback", "cli.promote", "Go back to the last good release, and hold it there."),
    Entry("history", "cli.history", "List releases, promotions and rollbacks, or the four DORA figures."),
    Entry("show", "cli.history", "Show the record of one release."),
    Entry("hold", "cli.hold", "Keep applications where they are; without names, show what is held."),
    Entry("lift", "cli.hold", "Take the holds off applications."),
    Entry("plan", "cli.plan", "Show what a commit would change in the infrastructure."),
    Entry("plan-text", "cli.plan_text", "Print the whole text of a plan that was too long for the page of its run."),
    Entry("unlock", "cli.unlock", "Show who holds the lock of a Terragrunt unit, and free a dead one's."),
    Entry("login", "cli.login", "Say who may ask Prefect's server for what."),
    Entry("toolchain", "cli.toolchain", "List, build, export and import the pinned tools."),
)


class _Lazy(TyperGroup):
    """A group that lists its commands without importing them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands.update({entry.name: TyperCommand(entry.name, help=entry.help) for entry in COMMANDS})

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load the command that is called."""
        for entry in COMMANDS:
            if args[0] == entry.name:
                self.commands[entry.name] = _load(entry)
        return super().resolve_command(ctx, args)


def _load(entry: Entry) -> Any:
    group = typer.main.get_group(importlib.import_module(entry.module).app)
    command = group.commands.get(entry.name, group)
    command.name = entry.name
    pieces = command.collect_usage_pieces
    # Typer writes an argument that must be given as `{flow}`, which elsewhere is a placeholder within a text.
    command.collect_usage_pieces = lambda ctx: [  # type: ignore[method-assign]
        piece.strip("{}").upper() if piece.startswith("{") else piece for piece in pieces(ctx)
    ]
    return command


app = typer.Typer(
    cls=_Lazy,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Every command ends with 0 when it did what was asked, 1 when that failed, 2 for bad input; where it says "
    "so, with another code. `symphony COMMAND --help` tells the rest.",
)


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of a failure."),
) -> None:
    """GitOps delivery on Prefect: one run tells the whole story of a change."""
    _Debug.on = debug


class _Debug:
    on = False


def _terminated(signum: int, _frame: object) -> None:
    # As an exception, so that what is half done is cleared away and child processes end.
    sys.exit(128 + signum)


def main() -> None:
    """Run the command line: a failure is one clear sentence, with exit code 1 (2 for bad input)."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        typer.main.get_command(app)(prog_name="symphony")
    except SymphonyError as error:
        if _Debug.on:
            raise
        print(f"symphony: {error}", file=sys.stderr)  # noqa: T201 - what a command line is for
        sys.exit(2 if isinstance(error, BadInputError) else 1)
