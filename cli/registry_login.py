"""``symphony registry-login``: what a job that pushes an image by itself needs, by AWS credentials alone."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.running import Environment
from symphony.errors import BadInputError

_SECONDS = 60

app = typer.Typer()


@app.command("registry-login")
def registry_login(
    application: Annotated[str, typer.Argument(help="Application of symphony.yaml.")], environment: Environment
) -> None:
    """Log docker in to an environment's ECR, and print the name that an application's images have there.

    AWS credentials are found as any AWS SDK finds them, a role opened by a workflow's OIDC token among them.
    """
    from symphony.tool import run  # noqa: PLC0415 - loaded only where it is used
    from tasks.change import here  # noqa: PLC0415
    from tasks.ecr import login  # noqa: PLC0415
    from tasks.images import repository_of  # noqa: PLC0415

    configuration = here()
    for name, known in ((application, configuration.applications), (environment, configuration.environments)):
        if name not in known:
            raise BadInputError(f"symphony.yaml has no {name!r}; there are: {', '.join(known)}.")
    target = configuration.environments[environment]
    found, host = login(target), target.aws.registry_host
    password = found.password.get_secret_value()
    command = ["docker", "login", "--username", found.username, "--password-stdin", host]
    run(command, stdin=password, secrets=[password], limit=_SECONDS)
    typer.echo(f"{host}/{repository_of(environment, configuration.applications[application])}")
