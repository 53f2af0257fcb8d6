"""Whether an image may be deployed to an environment: its SBOM, its signature, and ECR's findings."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import get_run_logger, task

from symphony.change import Change
from symphony.errors import BadInputError
from symphony.models import Image
from tasks.oci_registry import oci_registry
from tasks.retry import TRANSIENT
from tasks.sbom import SPDX
from tasks.scan import judge, scan_findings
from tasks.signature import signature_problem


class RefusedImageError(BadInputError):
    """An image lacks what the environment asks of it; nothing has been changed."""


@task(name="check origin", task_run_name="check origin of {image.application}", **TRANSIENT)
def check_origin(change: Change, image: Image) -> None:
    """Check that an image has the SBOM and the signature that its environment requires.

    Where signatures are required, the SBOM's counts too: anyone who may push could attach another.

    Args:
        change: The commit being released.
        image: The image.

    Raises:
        RefusedImageError: Something is missing or wrong; the sentence names the image, what, and what to do.
        TransientError: The registry or the key's service was out of reach.
    """
    asked = change.target.supply_chain
    signed = asked.signature is not None and asked.signature.required
    problems = [problem for problem in [signature_problem(change, image) if signed else ""] if problem]
    if asked.sbom == "required" and (problem := _sbom_problem(change, image, signed=signed)):
        problems.insert(0, problem)
    if problems:
        raise RefusedImageError(
            f"The image of {image.application}, {image.reference}, is not let into {change.environment}: it has "
            f"{' and '.join(problems)}. Where Symphony built it, the flow build/{change.environment} of its commit "
            "attaches what is missing; an image from elsewhere needs both from whoever built it."
        )


@task(name="check findings", task_run_name="check findings in {image.application}", **TRANSIENT)
def check_findings(change: Change, image: Image) -> None:
    """Check that ECR's scan found nothing in an image that its environment refuses.

    Args:
        change: The commit being released.
        image: The image.

    Raises:
        RefusedImageError: It found something; the sentence names each finding, and the exceptions that have ended.
        SymphonyError: The scan failed, or was not done in time.
        TransientError: ECR was throttling or out of reach.
    """
    scan = change.target.supply_chain.scan
    if scan is None:
        return
    findings = scan_findings(change.target, image.path, image.digest, scan.wait)
    verdict = judge(findings, scan, image.application, datetime.now(UTC).date())
    for one in verdict.excepted:
        get_run_logger().warning("%s: %s (%s) counts not, by exception.", image.application, one.name, one.severity)
    if verdict.refused:
        found = ", ".join(f"{one.name} ({one.severity})" for one in verdict.refused)
        ended = "".join(f" The exception for {name} ended on {day}." for name, day in verdict.expired.items())
        raise RefusedImageError(
            f"The image of {image.application}, {image.reference}, is not let into {change.environment}: ECR's scan "
            f"found {found}, and {scan.refuse} or worse is refused.{ended} Build it on a base without, or give an "
            f"exception with a reason and a last day in environments.{change.environment}.supply_chain.scan.exceptions."
        )


def _sbom_problem(change: Change, image: Image, *, signed: bool) -> str:
    with oci_registry(change.target) as registry:
        found = registry.referrers(image.path, image.digest, SPDX)
    if not found:
        return "no SBOM"
    if not signed:
        return ""
    problems = [signature_problem(change, image, one.digest) for one in found]
    return "" if "" in problems else f"an SBOM with {problems[0]}"
