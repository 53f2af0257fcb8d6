"""The kubelet's credential provider: answers for the sandbox's registry with the ECR login of the AWS API.

Speaks https://kubernetes.io/docs/tasks/administer-cluster/kubelet-credential-provider/ (v1): a request on standard
input, an answer on standard output. The endpoint comes as the first argument, credentials by AWS's own variables.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from symphony.errors import BadInputError, SymphonyError

API_VERSION = "credentialprovider.kubelet.k8s.io/v1"
_KEEP_SECONDS = 300


def answer(request: Mapping[str, Any], authorization: Mapping[str, Any], now: dt.datetime) -> dict[str, Any]:
    """The response to the kubelet.

    Args:
        request: What the kubelet wrote: a `CredentialProviderRequest`.
        authorization: One entry of `authorizationData` of ECR's GetAuthorizationToken.
        now: The time, with its zone.

    Returns:
        A `CredentialProviderResponse`, kept by the kubelet for half of the login's remaining life (the other half is
        for pulls that are under way), and for five minutes at most: the AWS API may be started anew, and its logins
        with it. A login that says it has expired is kept for no time at all.

    Raises:
        BadInputError: The request is of another kind, or the token is no pair of user and password.
    """
    if request.get("apiVersion") != API_VERSION or request.get("kind") != "CredentialProviderRequest":
        found = f"{request.get('apiVersion')} {request.get('kind')}"
        raise BadInputError(f"The kubelet asked for credentials as {found}; this provider speaks {API_VERSION} alone.")
    image = str(request.get("image", ""))
    user, colon, password = base64.b64decode(authorization["authorizationToken"]).decode().partition(":")
    if not colon or not image:
        raise BadInputError(f"The ECR login for image {image!r} is no user and password; look at the AWS API's log.")
    left = (authorization["expiresAt"] - now).total_seconds()
    return {
        "apiVersion": API_VERSION,
        "kind": "CredentialProviderResponse",
        "cacheKeyType": "Registry",
        "cacheDuration": f"{max(0, min(int(left / 2), _KEEP_SECONDS))}s",
        "auth": {image.split("/", maxsplit=1)[0]: {"username": user, "password": password}},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer one request; the exit code is 1 and the reason on standard error where that fails."""
    endpoint, region = list(sys.argv[1:] if arguments is None else arguments)
    try:
        import boto3  # noqa: PLC0415 - takes most of this process's time; a bad request need not wait for it
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    except ImportError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    try:
        request = json.load(sys.stdin)
        client = boto3.client("ecr", endpoint_url=endpoint, region_name=region)
        authorization = client.get_authorization_token()["authorizationData"][0]
        response = answer(request, authorization, dt.datetime.now(dt.UTC))
    except (SymphonyError, BotoCoreError, ClientError, ValueError) as error:
        sys.stderr.write(f"The ECR login could not be had from {endpoint}: {error}\n")
        return 1
    json.dump(response, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
