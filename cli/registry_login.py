"""``symphony registry-login``: what a job that pushes an image by itself needs, by AWS credentials alone."""

from __future__ import annotations

import base64
from typing import Annotated

import typer

from cli.running import Environment
from symphony.errors import BadInputError, SymphonyError

_SECONDS = 60

app = typer.Typer()


@app.command("registry-login")
def registry_login(
    application: Annotated[str, typer.Argument(help="Application of symphony.yaml.")], environment: Environment
) -> None:
    """Log docker in to an environment's ECR, and print the name that an application's images have there.

    AWS credentials are found as any AWS SDK finds them, a role opened by a workflow's OIDC token among them.
    """
    import boto3  # noqa: PLC0415 - loaded only where it is used
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    from symphony.config import configured, load  # noqa: PLC0415
    from symphony.tool import run  # noqa: PLC0415

    configuration = load(configured())
    for name, known in ((application, configuration.applications), (environment, configuration.environments)):
        if name not in known:
            raise BadInputError(f"symphony.yaml has no {name!r}; there are: {', '.join(known)}.")
    aws = configuration.environments[environment].aws
    # Not as a flow does, whose credentials a block on Prefect's server names.
    ecr = boto3.client("ecr", region_name=aws.region, endpoint_url=aws.endpoint)
    try:
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    except (BotoCoreError, ClientError) as error:
        raise SymphonyError(f"ECR of {environment} gives no login: {error}") from error
    user, _, password = base64.b64decode(token).decode().partition(":")
    command = ["docker", "login", "--username", user, "--password-stdin", aws.registry_host]
    run(command, stdin=password, secrets=[password], limit=_SECONDS)
    repository = configuration.applications[application].repository.replace("{environment}", environment)
    typer.echo(f"{aws.registry_host}/{repository}")
