"""``symphony hold`` and ``symphony lift``: keep applications where they are, whatever is released."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import Annotated

import typer

app = typer.Typer()
Applications = Annotated[list[str] | None, typer.Argument(help="Names in symphony.yaml.")]
EnvironmentOption = Annotated[str, typer.Option("--env", "-e", help="Environment of symphony.yaml.")]


@app.command("hold")
def hold(
    applications: Applications = None,
    environment: EnvironmentOption = "dev",
    why: Annotated[str, typer.Option(help="Why; `release` and `watch` tell it to whoever wonders.")] = "",
) -> None:
    """Keep applications where they are, so that no release moves them; without names, show what is held."""
    from rich.console import Console  # noqa: PLC0415 - loaded only where it is used

    from cli.connection import adopt  # noqa: PLC0415

    adopt()
    from symphony.record import Hold  # noqa: PLC0415
    from tasks.change import open_change  # noqa: PLC0415 - Prefect reads its settings when it is loaded
    from tasks.desired import live_images  # noqa: PLC0415
    from tasks.holds import place_holds, read_holds  # noqa: PLC0415

    console = Console()
    with open_change(environment, "") as change:
        if applications:
            live_images(change, applications)
            now, who = datetime.now(UTC).isoformat(timespec="seconds"), getpass.getuser()
            holds = [
                Hold(environment=environment, application=name, who=who, why=why, since=now) for name in applications
            ]
            place_holds(change.mirror, environment, holds)
        there = read_holds(change.mirror, environment)
    for name, one in sorted(there.items()):
        console.print(f"{name} is {one}", highlight=False)
    if not there:
        console.print(f"Nothing is held in {environment}.")


@app.command("lift")
def lift(applications: Applications = None, environment: EnvironmentOption = "dev") -> None:
    """Take the holds off applications, or off all that are held; the next release moves them again."""
    from rich.console import Console  # noqa: PLC0415 - loaded only where it is used

    from cli.connection import adopt  # noqa: PLC0415

    adopt()
    from tasks.change import here  # noqa: PLC0415 - Prefect reads its settings when it is loaded
    from tasks.git import fetch  # noqa: PLC0415
    from tasks.holds import lift_holds  # noqa: PLC0415

    lifted = lift_holds(fetch(here().git.remote), environment, applications or (), getpass.getuser())
    Console().print(
        f"Lifted in {environment}: {', '.join(lifted)}." if lifted else f"Nothing was held in {environment}."
    )
