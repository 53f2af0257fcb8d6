"""The part ``aws``: start, check, stop."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.aws import credentials
from sandbox.aws.client import client
from sandbox.aws.settings import AwsSettings
from sandbox.daemon import Daemon
from sandbox.part import NotReadyError, Part
from sandbox.world import ACCOUNT, HOST, World

SOURCE_ROOT = Path(__file__).resolve().parents[2]
"""Where the packages of this project are imported from, also by processes with another working folder."""


def login_life_file(world: World) -> Path:
    """File that tests write to shorten the life of ECR logins, in seconds."""
    return world.state / "aws" / "login-life"


class Aws(Part):
    """Moto's server on loopback; its state lives as long as its process."""

    name: ClassVar[str] = "aws"
    daemons: ClassVar[tuple[str, ...]] = ("aws",)

    def ports(self, world: World) -> Mapping[str, int]:
        """The API's port."""
        return {"aws": world.ports.aws}

    def start(self, world: World) -> None:
        """Write the credentials and start the server."""
        credentials.write(world)
        settings = AwsSettings(
            host=HOST,
            port=world.ports.aws,
            account=ACCOUNT,
            access_key=credentials.access_key(world),
            login_secret=world.secret("ecr-login"),
            login_life=str(login_life_file(world)),
            registry=f"{HOST}:{world.ports.ecr}",
            layers=f"http://{HOST}:{world.ports.registry}",
            layers_user="gate",
            layers_password=world.secret("registry-password"),
        )
        path = world.write(world.folder("aws") / "server.json", settings.text())
        environment = {"PYTHONPATH": str(SOURCE_ROOT), "MOTO_ACCOUNT_ID": ACCOUNT, "PYTHONUNBUFFERED": "1"}
        Daemon("aws", [sys.executable, "-m", "sandbox.aws.server", path, settings.mark], environment).start(world)

    def check(self, world: World) -> None:
        """Ask who the access key is.

        Raises:
            NotReadyError: It does not answer, or as another account.
        """
        try:
            account = client(world, "sts", retries=0).get_caller_identity()["Account"]
        except (BotoCoreError, ClientError, OSError) as error:
            raise NotReadyError(f"the AWS API does not answer on {world.aws_endpoint} ({error})") from error
        if account != ACCOUNT:
            raise NotReadyError(f"the AWS API on {world.aws_endpoint} plays account {account}, not {ACCOUNT}")
