"""ECR's scan of an image, and whether its findings let the image in."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field

from symphony.config import Environment
from symphony.errors import SymphonyError
from symphony.models import Digest, Fact
from symphony.supply_chain import Scan
from tasks.aws import client, code_of, told

_POLL_SECONDS = 0.5
_RUNNING = {"IN_PROGRESS", "PENDING"}
_DONE = {"COMPLETE", "ACTIVE"}
"""ECR's words for a scan that is done: basic scanning's, and enhanced scanning's, which goes on for ever."""


class Finding(Fact):
    """A vulnerability that ECR found in an image.

    Attributes:
        name: Such as ``CVE-2026-12345``.
        severity: ECR's word in small letters.
    """

    name: str
    severity: str


class Verdict(Fact):
    """What findings mean for an image.

    Attributes:
        refused: Those that keep it out.
        excepted: Those that would, but for an exception that holds.
        expired: The last day of an exception that holds no more, by finding.
    """

    refused: tuple[Finding, ...] = ()
    excepted: tuple[Finding, ...] = ()
    expired: dict[str, date] = Field(default_factory=dict)


def judge(findings: Sequence[Finding], scan: Scan, application: str, today: date) -> Verdict:
    """Weigh findings against an environment's gate.

    Args:
        findings: What ECR found.
        scan: The gate.
        application: The image's application.
        today: The day that exceptions are measured by, UTC.
    """
    lasting: dict[str, date] = {}
    for one in scan.exceptions:
        if not one.applications or application in one.applications:
            lasting[one.finding] = max(one.expires, lasting.get(one.finding, one.expires))
    counting = [finding for finding in findings if scan.counts(finding.severity)]
    excepted = [one for one in counting if one.name in lasting and lasting[one.name] >= today]
    refused = [one for one in counting if one not in excepted]
    return Verdict(
        refused=tuple(refused),
        excepted=tuple(excepted),
        expired={one.name: lasting[one.name] for one in refused if one.name in lasting},
    )


def scan_findings(target: Environment, repository: str, digest: Digest, limit: float) -> tuple[Finding, ...]:
    """Wait for ECR's scan of an image, begun here where ECR has none, and read what it found.

    Args:
        target: The environment.
        repository: ECR repository.
        digest: The image.
        limit: Seconds to wait for a scan that is not done.

    Returns:
        Findings by name, each once with its worst severity first in ECR's order.

    Raises:
        SymphonyError: The scan failed, does not support the image, or was not done in time.
        TransientError: ECR was throttling or out of reach.
    """
    ecr, began = client(target, "ecr"), False
    image = {"repositoryName": repository, "imageId": {"imageDigest": digest}}
    deadline = time.monotonic() + limit
    while True:
        status, why, findings = _read(ecr, image)
        if status in _DONE:
            return findings
        if not status and not began:
            began = True
            _begin(ecr, image)
        elif status and status not in _RUNNING:
            raise SymphonyError(
                f"ECR's scan of {repository}@{digest} ended as {status}{f' ({why})' if why else ''}, so its findings "
                "are not known; scan it again, or take `scan` out of the environment's supply_chain."
            )
        if time.monotonic() > deadline:
            raise SymphonyError(
                f"ECR's scan of {repository}@{digest} is not done after {limit:.0f} s; deploy again once it is, or "
                "raise supply_chain.scan.wait."
            )
        time.sleep(_POLL_SECONDS)


def _read(ecr: Any, image: dict[str, Any]) -> tuple[str, str, tuple[Finding, ...]]:
    """Status (empty where there is no scan), its description, and what was found; all pages of it."""
    found: dict[tuple[str, str], Finding] = {}
    status, why, token = "", "", ""
    try:
        while True:
            page = ecr.describe_image_scan_findings(**image, **({"nextToken": token} if token else {}))
            status = page.get("imageScanStatus", {}).get("status", "")
            why = page.get("imageScanStatus", {}).get("description", "")
            for one in _findings(page.get("imageScanFindings", {})):
                found[one.name, one.severity] = one
            token = page.get("nextToken", "")
            if not token:
                return status, why, tuple(found.values())
    except (BotoCoreError, ClientError) as error:
        if code_of(error) == "ScanNotFoundException":
            return "", "", ()
        raise told(error, f"the scan findings of {image['repositoryName']}") from error


def _findings(page: dict[str, Any]) -> list[Finding]:
    basic = [Finding(name=one["name"], severity=one["severity"].lower()) for one in page.get("findings", [])]
    enhanced = [
        Finding(
            name=one.get("packageVulnerabilityDetails", {}).get("vulnerabilityId") or one.get("title", "unnamed"),
            severity=one.get("severity", "").lower(),
        )
        for one in page.get("enhancedFindings", [])
    ]
    return basic + enhanced


def _begin(ecr: Any, image: dict[str, Any]) -> None:
    """Begin a scan; one that ECR has begun by itself meanwhile is as good."""
    try:
        ecr.start_image_scan(**image)
    except (BotoCoreError, ClientError) as error:
        if code_of(error) not in {"LimitExceededException", "ScanInProgressException"}:
            raise told(error, f"a scan of {image['repositoryName']}") from error
