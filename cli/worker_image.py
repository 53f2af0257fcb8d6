"""``symphony worker-image``: what the image of a worker's runs is built from."""

from __future__ import annotations

from pathlib import Path

import typer

app = typer.Typer()


@app.command("worker-image")
def worker_image(folder: Path = typer.Argument(help="A folder that is not there yet or empty.")) -> None:
    """Lay out the context that the image of a worker's runs is built from.

    It holds a Dockerfile, this project, the Python packages that are installed here and the pinned tools; the packages
    are files of this Python's version, which the base must have. `docker build --build-arg BASE=… FOLDER` builds it.
    """
    from deployments.worker_image import lay_out, python  # noqa: PLC0415 - loaded only where it is used
    from sandbox import toolchain  # noqa: PLC0415
    from sandbox.world import cache_home  # noqa: PLC0415
    from symphony.errors import BadInputError  # noqa: PLC0415

    if folder.exists() and not folder.is_dir():
        raise BadInputError(f"{folder} is no folder; name one that is empty or not there yet.")
    if folder.exists() and any(folder.iterdir()):
        raise BadInputError(f"The folder {folder} is not empty.")
    folder.mkdir(parents=True, exist_ok=True)
    lay_out(folder, toolchain.folders(cache_home()))
    typer.echo(f"{folder} is laid out; its base must have Python {python()}.")
