"""boto3 clients of the sandbox's AWS."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

from sandbox.aws.credentials import access_key
from sandbox.world import REGION, World


def client(world: World, service: Any, *, retries: int = 2) -> Any:
    """A boto3 client of the sandbox's AWS, whatever this process's own environment says.

    Args:
        world: The sandbox.
        service: Name of the AWS service.
        retries: How often a call that failed in passing is tried again.

    Returns:
        The client; safe to use from several threads.
    """
    return boto3.session.Session().client(
        service,
        region_name=REGION,
        endpoint_url=world.aws_endpoint,
        aws_access_key_id=access_key(world),
        aws_secret_access_key=world.secret("aws-secret-key"),
        config=Config(connect_timeout=1, read_timeout=10, retries={"max_attempts": retries}, max_pool_connections=32),
    )
