"""Refusals in the error shape of the OCI distribution specification, with what ECR means in each case."""

from __future__ import annotations

from starlette.responses import JSONResponse


def refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """One error (OCI distribution specification 1.1, "Error codes")."""
    return JSONResponse({"errors": [{"code": code, "message": message}]}, status_code=status, headers=headers)


def unauthorized(message: str, realm: str) -> JSONResponse:
    """401 that asks for Basic credentials, as ECR does (it has no token service)."""
    headers = {
        "WWW-Authenticate": f'Basic realm="{realm}",service="ecr.amazonaws.com"',
        "Docker-Distribution-Api-Version": "registry/2.0",
    }
    return refusal(401, "UNAUTHORIZED", message, headers)


def no_repository(name: str, account: str) -> JSONResponse:
    """404 for a repository that ECR does not have; a push creates none."""
    return refusal(
        404,
        "NAME_UNKNOWN",
        f"Repository {name!r} does not exist in the registry of account {account}; create it in ECR first "
        "(in this project a Terragrunt unit does).",
    )


def taken_tag(name: str, tag: str, holder: str) -> JSONResponse:
    """400 for a tag that an immutable repository has given to another image."""
    return refusal(
        400,
        "TAG_INVALID",
        f"Tag {tag!r} of repository {name!r} belongs to {holder} already, and the repository's tags are immutable; "
        "push under another tag.",
    )


def no_image(name: str, reference: str) -> JSONResponse:
    """404 for an image that ECR does not have."""
    return refusal(404, "MANIFEST_UNKNOWN", f"Repository {name!r} has no image {reference!r}.")
