"""``symphony release``, ``deploy``, ``smoke`` and ``drift``: start a run of the flow and follow it."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.running import Applications, ApprovedBy, AsJson, Detach, Environment, start
from cli.running import applications as among
from symphony.errors import BadInputError

app = typer.Typer()


@app.command("release")
def release(
    commit: Annotated[str, typer.Argument(help="Branch, tag or commit id to bring live.")] = "main",
    environment: Environment = "dev",
    approved_by: ApprovedBy = "",
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Release a commit to an environment: provision, build, deploy, smoke.

    Only what changed since the environment's last good release is touched. Exits with 0 when it is live, 1 when it
    failed, 2 for bad input, 130 where following was broken off.
    """
    asked = {"commit": commit, "approved_by": approved_by}
    start("release", environment, asked, detach=detach, as_json=as_json)


@app.command("deploy")
def deploy(  # noqa: PLR0913, PLR0917 - one argument an option
    applications: Annotated[
        list[str] | None,
        typer.Argument(
            help="Applications; by default those that changed since the last release.", autocompletion=among
        ),
    ] = None,
    environment: Environment = "dev",
    commit: Annotated[str, typer.Option("--commit", help="Branch, tag or commit id whose charts count.")] = "main",
    images: Annotated[
        list[str] | None, typer.Option("--image", help="An image to deploy, as APPLICATION=sha256:…; may be repeated.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also what is held, and where a newer commit is there already.")
    ] = False,
    approved_by: ApprovedBy = "",
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Roll out images that are in ECR with the charts of a commit; what does not come up is put back.

    Exits with 0 when they are live, 1 when it failed, 2 for bad input, 130 where following was broken off.
    """
    digests = dict(_image(image) for image in images or ())
    asked = {
        "commit": commit,
        "applications": applications or None,
        "images": digests or None,
        "force": force,
        "approved_by": approved_by,
    }
    start("deploy", environment, asked, detach=detach, as_json=as_json)


@app.command("smoke")
def smoke(
    applications: Applications = None,
    environment: Environment = "dev",
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Ask every host and path of the environment's Ingresses through the real ingress.

    Exits with 0 when all answer as they should, 1 when one does not, 2 for bad input, 130 where following was broken
    off.
    """
    start("smoke", environment, {"applications": applications or None}, detach=detach, as_json=as_json)


@app.command("drift")
def drift(environment: Environment = "dev", detach: Detach = False, as_json: AsJson = False) -> None:
    """Look for what is not as Git says: units, cluster, images. Changes nothing.

    Exits with 0 when it has looked, whatever it found; 1 when it could not, 2 for bad input, 130 where following was
    broken off.
    """
    start("drift", environment, {}, detach=detach, as_json=as_json)


def _image(text: str) -> tuple[str, str]:
    application, equals, digest = text.partition("=")
    if not (application and equals and digest):
        raise BadInputError(f"The image {text!r} names no application; say --image APPLICATION=sha256:…")
    return application, digest
