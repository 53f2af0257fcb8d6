"""The access key of the sandbox, and where every process of it finds the key."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sandbox.world import REGION, World


def credentials_file(world: World) -> Path:
    """The shared credentials file, profile ``default``, mode 0600."""
    return world.state / "aws" / "credentials"


def config_file(world: World) -> Path:
    """The shared configuration file: region, address of the API, path-style S3."""
    return world.state / "aws" / "config"


def access_key(world: World) -> str:
    """The access key id; only requests signed in its name are answered."""
    # AWS's own form: AKIA and sixteen capital letters and digits 2 to 7; derived, so that it needs no second file.
    return "AKIA" + hashlib.sha256(world.secret("aws-access-key").encode()).hexdigest()[:16].upper().translate(_BASE32)


_BASE32 = str.maketrans("0189", "WXYZ")


def write(world: World) -> None:
    """Write both files, so that they fit the world's ports and secrets."""
    identity, secret = access_key(world), world.secret("aws-secret-key")
    credentials = f"[default]\naws_access_key_id = {identity}\naws_secret_access_key = {secret}\n"
    config = (
        f"[default]\nregion = {REGION}\noutput = json\nendpoint_url = {world.aws_endpoint}\n"
        "s3 =\n    addressing_style = path\n"
    )
    world.write(credentials_file(world), credentials)
    world.write(config_file(world), config)


def aws_environment(world: World) -> dict[str, str]:
    """Variables by which boto3, Terragrunt, OpenTofu and the AWS CLI find the sandbox and nothing else."""
    return {
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials_file(world)),
        "AWS_CONFIG_FILE": str(config_file(world)),
        "AWS_PROFILE": "default",
        "AWS_SDK_LOAD_CONFIG": "1",
        "AWS_ENDPOINT_URL": world.aws_endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
