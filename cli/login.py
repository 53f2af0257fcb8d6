"""``symphony login``: who may ask Prefect's server for what, each with a credential of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.roles import FILE, Role

if TYPE_CHECKING:
    from deployments.roles import Credentials

app = typer.Typer(help="Logins of Prefect's server: give, take, list. Each takes effect at once.", no_args_is_help=True)
Login = Annotated[str, typer.Argument(help="Name of a person or a system, such as ada or github.")]
FileOption = Annotated[
    Path | None, typer.Option("--file", "-f", help=f"File of the logins; {FILE}, or the sandbox's, by default.")
]


@app.command("give")
def give(
    login: Login,
    role: Annotated[
        Role,
        typer.Option(
            help="ci starts and reads runs, approver answers what they ask and ends them too, admin does all."
        ),
    ],
    file: FileOption = None,
) -> None:
    """Let somebody in and print the credential, which is kept nowhere; given again, it replaces the one before."""
    credential = _credentials(file).give(login, role)
    typer.echo(f"PREFECT_API_AUTH_STRING={login}:{credential}")


@app.command("take")
def take(login: Login, file: FileOption = None) -> None:
    """Let somebody in no more."""
    _credentials(file).take(login)
    typer.echo(f"{login} is let in no more.")


@app.command("list")
def list_(file: FileOption = None) -> None:
    """Show who is let in, and as what."""
    for name, login in sorted(_credentials(file).logins().items()):
        typer.echo(f"{name}: {login.role}")


def _credentials(file: Path | None) -> Credentials:
    from cli.world import world  # noqa: PLC0415 - loaded only where it is used
    from deployments.roles import Credentials  # noqa: PLC0415

    named = file or os.environ.get(FILE)
    return Credentials(Path(named) if named else world().state / "prefect" / "logins.json")
