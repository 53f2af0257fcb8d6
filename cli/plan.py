"""``symphony plan``: what a commit would change in an environment's infrastructure; nothing is applied."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console
from typer.core import TyperCommand

from cli.connection import connect
from cli.following import story
from cli.running import AsJson, Detach, Environment, followed
from deployments.client import PrefectApi, Run
from symphony.errors import SymphonyError
from symphony.markdown import linked

NOTHING, ERROR, CHANGES = 0, 1, 2
"""Exit codes, as those of ``tofu plan -detailed-exitcode``."""
_PLANNED = "planned"

app = typer.Typer()


class PlannedUnit(BaseModel):
    """One affected unit.

    Attributes:
        unit: Its path below the environment's folder.
        state: `planned` where it has changes, `planned, provisional` where these rest on mock outputs, `unchanged`,
            `failed`, `held back`, or what became of a unit that is no longer in the tree.
        add: Resources to add; 0 where there is no plan, as for the other counts.
        change: Resources to change in place.
        replace: Resources to destroy and make anew.
        destroy: Resources to destroy.
        seconds: Wall time of its plan.
        reason: Why it is not simply planned.
    """

    unit: str
    state: str
    add: int = 0
    change: int = 0
    replace: int = 0
    destroy: int = 0
    seconds: float = 0.0
    reason: str = ""


class PlanSummary(BaseModel):
    """What `symphony plan --json` prints.

    Attributes:
        environment: Name in ``symphony.yaml``.
        commit: What was planned, as it was named.
        since: What it was compared with, as it was named; empty for the environment's last good release.
        run: Flow run id.
        link: Page of the run.
        changes: Whether anything would change.
        error: The run's sentence where it failed.
        units: The affected units.
    """

    environment: str
    commit: str
    since: str = ""
    run: str = ""
    link: str = ""
    changes: bool = False
    error: str = ""
    units: tuple[PlannedUnit, ...] = ()

    @property
    def code(self) -> int:
        """The exit code that tells it."""
        return ERROR if self.error else CHANGES if self.changes else NOTHING


class _PlanCommand(TyperCommand):
    """Ends with 1 for words it does not know: the usual 2 would say that there are changes."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().make_context(*args, **kwargs)
        except Exception as error:
            # A usage error, of click or of typer's own copy of it.
            if getattr(error, "exit_code", None) == CHANGES:
                error.exit_code = ERROR  # type: ignore[attr-defined]
            raise


@app.command("plan", cls=_PlanCommand)
def plan(
    commit: Annotated[str, typer.Argument(help="Branch, tag or commit id to plan.")] = "main",
    environment: Environment = "dev",
    since: Annotated[
        str, typer.Option("--since", help="Compare with this commit instead of the environment's last good release.")
    ] = "",
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Show what a commit would change in an environment's infrastructure; nothing is applied.

    Exits with 0 when nothing would change (or, with --detach, when the run has begun), 2 when something would, 1 for an
    error, bad input among them, 130 where following was broken off.
    """
    console = Console(stderr=as_json)
    summary = PlanSummary(environment=environment, commit=commit, since=since)
    try:
        summary = planned(console, connect(), summary, quiet=as_json, detach=detach)
    except SymphonyError as error:
        summary = summary.model_copy(update={"error": str(error)})
    if as_json:
        typer.echo(summary.model_dump_json(indent=2))
    elif summary.error:
        print(f"symphony: {summary.error}", file=sys.stderr)  # noqa: T201 - what a command line is for
    raise typer.Exit(summary.code)


def planned(
    console: Console, api: PrefectApi, asked: PlanSummary, *, quiet: bool = False, detach: bool = False
) -> PlanSummary:
    """Run the plan on the server, follow it, and read what it found.

    Args:
        console: Where to show it.
        api: The server with the deployment ``provision/<environment>``.
        asked: Environment, commit and what to compare with.
        quiet: Do not show the plans themselves.
        detach: Return as soon as the run has begun; nothing is known of its units then.

    Raises:
        BadInputError: There is no such deployment, or its parameters refuse what was asked.
        SymphonyError: The server does not answer.
    """
    parameters: dict[str, Any] = {"commit": asked.commit, "plan_only": True}
    if asked.since:
        parameters["since"] = asked.since
    run = api.start("provision", asked.environment, parameters)
    console.print(f"[dim]{api.link(run.id)}[/]")
    if detach:
        return asked.model_copy(update={"run": run.id, "link": api.link(run.id)})
    error = ""
    try:
        followed(console, api, run)
    except SymphonyError as failed:
        error = str(failed)
    if not quiet:
        story(console, api, run, f"plans-{asked.environment}")
    units = _units(api, run, asked.environment)
    if not (quiet or units or error):
        console.print("No unit is affected; nothing would change.")
    return asked.model_copy(
        update={
            "run": run.id,
            "link": api.link(run.id),
            "changes": any(unit.state.startswith(_PLANNED) for unit in units),
            "error": error,
            "units": units,
        }
    )


def _units(api: PrefectApi, run: Run, environment: str) -> tuple[PlannedUnit, ...]:
    """The table that the run left; a count that does not apply is an empty text there."""
    rows = json.loads(api.artifact(run.id, f"units-{environment}") or "[]")
    return tuple(
        PlannedUnit.model_validate(
            {name: linked(value)[0] if isinstance(value, str) else value for name, value in row.items() if value != ""}
        )
        for row in rows
    )
