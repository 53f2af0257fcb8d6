"""``symphony init``: a first ``symphony.yaml`` for a repository that has none."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symphony.errors import BadInputError, ToolError

app = typer.Typer()


@app.command("init")
def init(
    folder: Annotated[Path, typer.Argument(help="The repository.", exists=True, file_okay=False)] = Path(),
    show: Annotated[bool, typer.Option("--print", help="Print the file instead of writing it.")] = False,
) -> None:
    """Write a first symphony.yaml from what a repository has, and say what could not be told.

    It looks at the Terragrunt tree, Dockerfiles, Helm charts and Argo CD applications, and changes none of them.
    Exits with 0 when the file is written, 2 where there is one already or nothing to deliver.
    """
    from symphony.discovery import discover  # noqa: PLC0415 - loaded only where it is used
    from symphony.first import first  # noqa: PLC0415

    target = folder / "symphony.yaml"
    if target.exists() and not show:
        raise BadInputError(f"{target} is there already; `symphony init --print` shows what would be written.")
    remote = _git(folder, "config", "--get", "remote.origin.url")
    main = _git(folder, "symbolic-ref", "--short", "HEAD") or "main"
    made = first(discover(folder), folder.resolve().name, remote, main)
    if show:
        typer.echo(made.text, nl=False)
    else:
        target.write_text(made.text, encoding="utf-8")
        typer.echo(f"Written: {target}")
    for one in made.unsure:
        typer.echo(f"  to check: {one}", err=show)


def _git(folder: Path, *arguments: str) -> str:
    from symphony.tool import run  # noqa: PLC0415

    try:
        return run(["git", *arguments], cwd=folder).stdout.strip()
    except ToolError:
        return ""
