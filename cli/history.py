"""``symphony history`` and ``symphony show``: what Git keeps of releases, promotions and rollbacks."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from symphony.errors import BadInputError
from symphony.record import ReleaseRecord

_CONSIDERED = 1000
_LOOK = {"succeeded": "green", "failed": "red"}

app = typer.Typer()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


@app.command("history")
def history(  # noqa: PLR0913, PLR0917 - one argument an option
    environment: Annotated[str, typer.Option("--env", "-e", help="Only this environment; all by default.")] = "",
    application: Annotated[str, typer.Option("--app", "-a", help="Only what moved this application.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many, newest first.")] = 20,
    show_figures: Annotated[
        bool, typer.Option("--figures", help="The four DORA figures of each environment instead.")
    ] = False,
    days: Annotated[float, typer.Option("--days", min=0.01, help="Days that the figures look back.")] = 30,
    as_json: AsJson = False,
) -> None:
    """List releases, promotions and rollbacks, newest first, or the four DORA figures that come out of them."""
    from symphony.figures import figures  # noqa: PLC0415 - loaded only where it is used

    configuration, mirror = opened(environment)
    from tasks.records import newest  # noqa: PLC0415 - Prefect reads its settings when it is loaded

    every = newest(mirror, environment)
    if show_figures:
        found = list(itertools.islice(every, _CONSIDERED))
        names = [environment] if environment else list(configuration.environments)
        counted = [figures(found, name, datetime.now(UTC), days) for name in names]
        if as_json:
            typer.echo(json.dumps([one.model_dump() for one in counted], indent=2))
            return
        _table(
            ("environment", "figure", f"in {days:g} days"),
            [(one.environment, row["figure"], row["value"]) for one in counted for row in one.rows],
        )
        return
    chosen = (one for one in every if not application or application in _applications(one))
    shown = list(itertools.islice(chosen, limit))
    if as_json:
        typer.echo(json.dumps([one.model_dump() for one in shown], indent=2))
        return
    _table(
        ("when", "what", "environment", "commit", "applications", "result", "seconds", "by", "run"),
        [_row(one) for one in shown],
    )


@app.command("show")
def show(
    release: Annotated[str, typer.Argument(help="Name of a record, or the beginning of its run's id or commit.")],
    as_json: AsJson = False,
) -> None:
    """Show what Git keeps of one release, promotion or rollback; of several that fit, the newest."""
    configuration, mirror = opened()
    from tasks.records import find_record  # noqa: PLC0415 - Prefect reads its settings when it is loaded
    from tasks.story import page  # noqa: PLC0415

    record = find_record(mirror, release)
    if as_json:
        typer.echo(record.model_dump_json(indent=2))
        return
    from rich.console import Console  # noqa: PLC0415 - loaded only where it is used
    from rich.markdown import Markdown  # noqa: PLC0415

    known = configuration.environments.get(record.environment)
    Console().print(Markdown(page(record, known.argocd.url if known else "")))


def opened(environment: str = "") -> tuple[Any, Any]:
    """The configuration of this machine, which has the environment, and its mirror of the remote, up to date."""
    from cli.connection import adopt  # noqa: PLC0415 - loaded only where it is used

    adopt()
    from tasks.change import here  # noqa: PLC0415 - Prefect reads its settings when it is loaded
    from tasks.git import fetch  # noqa: PLC0415

    configuration = here()
    if environment and environment not in configuration.environments:
        known = ", ".join(configuration.environments)
        raise BadInputError(f"The environment {environment!r} is not in symphony.yaml; there are: {known}.")
    return configuration, fetch(configuration.git.remote)


def _applications(record: ReleaseRecord) -> list[str]:
    moved = record.deployed.applications if record.deployed else [image.application for image in record.images]
    return list(dict.fromkeys([*moved, *record.removed]))


def _row(record: ReleaseRecord) -> tuple[object, ...]:
    colour = _LOOK.get(record.state, "yellow")
    return (
        record.started[:19].replace("T", " "),
        record.kind,
        record.environment,
        record.commit[:12],
        ", ".join(_applications(record)) or "none",
        f"[{colour}]{record.state}[/]",
        f"{record.seconds:.1f}",
        record.who,
        record.run[:8],
    )


def _table(columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - loaded only where it is used
    from rich.table import Table  # noqa: PLC0415

    shown = Table(*columns)
    for row in rows:
        shown.add_row(*map(str, row))
    Console().print(shown)
