"""Signatures of images: made and checked by cosign, kept in the registry beside the image."""

from __future__ import annotations

from prefect import task

from symphony.change import Change
from symphony.config import Environment
from symphony.errors import BadInputError, SymphonyError, ToolError, TransientError
from symphony.models import Digest, Image
from symphony.supply_chain import Signature
from symphony.tool import run
from tasks.oci_registry import login_environment, oci_registry, plain
from tasks.retry import BROKEN_CONNECTION, TRANSIENT

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
"""Artifact type of a signature by cosign 3 (Sigstore bundle format 0.3)."""
_LIMIT_SECONDS = 120.0
_PASSING = (*BROKEN_CONNECTION, "status code 5", "too many req")


@task(name="sign", task_run_name="sign {image.application}", **TRANSIENT)
def sign(change: Change, image: Image, digest: Digest = "") -> None:
    """Sign an image, or what is attached to it; one that the environment's key has signed already is left as it is.

    Args:
        change: The commit being released.
        image: The image, pushed.
        digest: What is attached to it; the image itself by default.

    Raises:
        SymphonyError: cosign cannot sign; the sentence says why.
        TransientError: The registry or the key's service was out of reach.
    """
    digest = digest or image.digest
    signature = change.target.supply_chain.signature
    if signature is None or not signature_problem(change, image, digest):
        return
    key = ["--key", signature.key] if signature.key else ["--yes"]
    # Nothing of a key's signature goes to a public log; a keyless one cannot be checked without it.
    local = ["--use-signing-config=false", "--tlog-upload=false"] if signature.key else []
    try:
        _cosign(change.target, ["sign", *key, *local, *_scheme(change.target), f"{image.repository}@{digest}"])
    except ToolError as error:
        raise _told(error, f"cosign cannot sign {image.application}, {image.repository}@{digest}") from error


def signature_problem(change: Change, image: Image, digest: Digest = "") -> str:
    """What is wrong with the signature of an image, or of what is attached to it.

    Args:
        change: The commit being released.
        image: The image.
        digest: What is attached to it; the image itself by default.

    Returns:
        Words that go on from "it has"; empty where the signature is good, or none is asked for.

    Raises:
        BadInputError: cosign is not installed, or the key cannot be read.
        TransientError: The registry or the key's service was out of reach.
    """
    signature = change.target.supply_chain.signature
    if signature is None:
        return ""
    digest = digest or image.digest
    with oci_registry(change.target) as registry:
        if not registry.referrers(image.path, digest, BUNDLE):
            return "no signature"
    command = ["verify", *_believed(signature), *_scheme(change.target), f"{image.repository}@{digest}"]
    try:
        _cosign(change.target, command)
    except ToolError as error:
        if "the key " in error.output or "public key" in error.output:
            raise BadInputError(
                f"Signatures cannot be checked with {signature.checked_with}: {error.output.strip()}"
            ) from error
        told = _told(error, f"cosign cannot check {image.repository}@{digest}")
        if isinstance(told, TransientError):
            raise told from error
        return f"no signature that {signature.checked_with} verifies ({_last_line(error)})"
    return ""


def _believed(signature: Signature) -> list[str]:
    key = signature.public_key or signature.key
    if key:
        return ["--key", key, "--insecure-ignore-tlog=true"]
    identity, issuer = signature.identity or "", signature.issuer or ""
    return ["--certificate-identity", identity, "--certificate-oidc-issuer", issuer]


def _scheme(target: Environment) -> list[str]:
    return ["--allow-http-registry"] if plain(target) else []


def _cosign(target: Environment, arguments: list[str]) -> None:
    with login_environment(target) as login:
        run(["cosign", *arguments], env=login, limit=_LIMIT_SECONDS)


def _told(error: ToolError, doing: str) -> SymphonyError:
    passing = any(sign in error.output.lower() for sign in _PASSING)
    return (TransientError if passing else SymphonyError)(f"{doing}: {_last_line(error)}")


def _last_line(error: ToolError) -> str:
    lines = [line for line in error.output.splitlines() if line.strip()]
    return lines[-1].strip() if lines else str(error)
