"""The event of a push, shaped as EventBridge's "ECR Image Action", and its way to Prefect."""

from __future__ import annotations

import asyncio
import logging
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx

_log = logging.getLogger(__name__)

NAME = "aws.ecr.image-action"
"""Name of the event in Prefect."""
_ATTEMPTS = 6
_FIRST_PAUSE = 0.5


def image_action(  # noqa: PLR0913 - the event's own fields
    *,
    account: str,
    region: str,
    repository: str,
    digest: str,
    tag: str | None,
    media_type: str,
    artifact: str,
    at: datetime,
) -> dict[str, Any]:
    """The event that AWS sends for a completed push (Amazon ECR user guide, "Amazon ECR events and EventBridge")."""
    tagged = {"image-tag": tag} if tag else {}
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "ECR Image Action",
        "source": "aws.ecr",
        "account": account,
        "time": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [],
        "detail": {
            "action-type": "PUSH",
            "result": "SUCCESS",
            "repository-name": repository,
            "image-digest": digest,
            **tagged,
            "manifest-media-type": media_type,
            **({"artifact-media-type": artifact} if artifact else {}),
        },
    }


def prefect_event(action: dict[str, Any], registry: str) -> dict[str, Any]:
    """The same as Prefect's events API takes it; an automation matches on the repository's resource id."""
    detail = action["detail"]
    repository = detail["repository-name"]
    resource = {
        "prefect.resource.id": f"aws.ecr.repository.{repository}",
        "prefect.resource.name": repository,
        "aws.ecr.registry": registry,
        "aws.ecr.image-digest": detail["image-digest"],
    }
    if "image-tag" in detail:
        resource["aws.ecr.image-tag"] = detail["image-tag"]
    return {
        "id": action["id"],
        "occurred": action["time"],
        "event": NAME,
        "resource": resource,
        "related": [],
        "payload": action,
    }


class PrefectEvents:
    """Sends events to Prefect in the background: a push never waits for it, and a lost event is logged."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        """Send to ``url`` (Prefect's base URL) with a client that knows its password."""
        self._client = client
        self._url = url
        self._sending: set[asyncio.Task[None]] = set()

    def send(self, event: dict[str, Any]) -> None:
        """Send one event, trying again for a while where Prefect is not there."""
        task = asyncio.create_task(self._send(event))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def drain(self) -> None:
        """Wait until nothing is on its way."""
        await asyncio.gather(*self._sending)

    async def _send(self, event: dict[str, Any]) -> None:
        reason = ""
        for attempt in range(_ATTEMPTS):
            try:
                answer = await self._client.post(f"{self._url}/api/events", json=[event], timeout=5)
            except httpx.HTTPError as error:
                reason = f"{type(error).__name__} {error}".strip()
            else:
                if answer.is_success:
                    return
                reason = f"HTTP {answer.status_code}"
                if answer.is_client_error:
                    break
            if attempt + 1 < _ATTEMPTS:
                await asyncio.sleep(_FIRST_PAUSE * 2**attempt)
        what = event["payload"]["detail"]
        _log.warning(
            "The event of %s@%s did not reach Prefect at %s (%s); the push stands.",
            what["repository-name"],
            what["image-digest"],
            self._url,
            reason,
        )


def now() -> datetime:
    """The time of an event."""
    return datetime.now(UTC)
