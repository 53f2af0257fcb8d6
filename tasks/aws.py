"""AWS sessions from prefect-aws's credentials block, guarded against the wrong account."""

from __future__ import annotations

import functools
import json
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from symphony.config import Aws, Environment
from symphony.errors import BadInputError, SymphonyError, TransientError

_TRANSIENT_CODES = {
    "InternalFailure",
    "InternalServerError",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServerException",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}


def client(target: Environment, service: str) -> Any:
    """A boto3 client for one AWS service in the environment's account.

    Args:
        target: The environment.
        service: boto3's name of the service, such as ``ecr``.

    Raises:
        BadInputError: The block is missing, or its credentials belong to another account.
        TransientError: AWS could not be reached.
    """
    return _client(target.aws.model_dump_json(), service)


def account_environment(target: Environment) -> dict[str, str]:
    """Variables that point a tool (Terragrunt, tofu) at the environment's account; no secrets are among them."""
    aws = target.aws
    endpoint = {"AWS_ENDPOINT_URL": aws.endpoint} if aws.endpoint else {}
    return {"AWS_REGION": aws.region, "AWS_DEFAULT_REGION": aws.region, **endpoint}


def code_of(error: Exception) -> str:
    """AWS's own word for a failed call, such as ``NoSuchKey``; empty where AWS did not answer."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def told(error: Exception, doing: str) -> SymphonyError:
    """The sentence for a failed call to AWS, transient where AWS says so or the network failed."""
    if isinstance(error, ClientError):
        code = code_of(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        passing = code in _TRANSIENT_CODES or status >= 500  # noqa: PLR2004 - HTTP's server errors
        kind = TransientError if passing else SymphonyError
        return kind(f"AWS refused {doing}: {error.response.get('Error', {}).get('Message') or code}")
    return TransientError(f"AWS did not answer for {doing}: {error}")


@functools.lru_cache(maxsize=64)
def _client(settings: str, service: str) -> Any:
    aws = Aws.model_validate(json.loads(settings))
    session = _session(settings)
    return session.client(service, region_name=aws.region, endpoint_url=aws.endpoint)


@functools.lru_cache(maxsize=16)
def _session(settings: str) -> Any:
    # With all of its workers it takes a second to load, which a command that asks AWS nothing should not wait for.
    from prefect_aws import AwsCredentials  # noqa: PLC0415

    aws = Aws.model_validate(json.loads(settings))
    try:
        block = cast("AwsCredentials", AwsCredentials.load(aws.credentials))
    except ValueError as error:
        raise BadInputError(
            f"The Prefect block aws-credentials/{aws.credentials} is missing; `symphony deploy-flows` makes it."
        ) from error
    session = block.get_boto3_session()
    try:
        sts = session.client("sts", region_name=aws.region, endpoint_url=aws.endpoint)
        account = sts.get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as error:
        raise told(error, "the question whose account this is") from error
    if account != aws.account:
        raise BadInputError(
            f"The credentials belong to AWS account {account}, but the environment is in {aws.account}."
        )
    return session
