"""ECR as AWS has it: pages, and refuses what moto lets pass; a real client of boto3 in front of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse

IMAGE = "application/vnd.oci.image.config.v1+json"
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class PagingEcr:
    """Repositories, and what was asked.

    Attributes:
        page: Images a page, whatever is asked for.
        repositories: Images by repository.
        asked: Each request's body.
        failures: By repository, HTTP status and code that it answers with, before it answers well.
    """

    page: int = 100
    repositories: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    failures: dict[str, list[tuple[int, str]]] = field(default_factory=dict)

    def push(self, repository: str, digest: str, *tags: str, at: float = 0, artifact: str = IMAGE) -> None:
        """One more image, pushed so many seconds after the start; its tags leave other images."""
        images = self.repositories.setdefault(repository, [])
        for other in images:
            other["imageTags"] = [tag for tag in other["imageTags"] if tag not in tags]
        images.append(
            {
                "imageDigest": digest,
                "imageTags": list(tags),
                "imagePushedAt": START.timestamp() + at,
                **({"artifactMediaType": artifact} if artifact else {}),
            }
        )

    def client(self) -> Any:
        made = boto3.client("ecr", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
        made.meta.events.register("before-send.ecr.DescribeImages", self._answer)
        return made

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        body = json.loads(request.body)
        self.asked.append(body)
        name = body["repositoryName"]
        if failing := self.failures.get(name):
            status, code = failing.pop(0)
            return _response(status, {"__type": code, "message": code})
        if name not in self.repositories:
            return _response(400, {"__type": "RepositoryNotFoundException", "message": name})
        images = self.repositories[name]
        if wanted := body.get("imageIds"):
            if "maxResults" in body or "nextToken" in body:
                return _response(400, {"__type": "InvalidParameterException", "message": "no pages of image ids"})
            found = [image for image in images for one in wanted if one["imageTag"] in image["imageTags"]]
            if len(found) < len(wanted):
                return _response(400, {"__type": "ImageNotFoundException", "message": str(wanted)})
            return _response(200, {"imageDetails": found})
        if body.get("filter", {}).get("tagStatus") == "TAGGED":
            images = [image for image in images if image["imageTags"]]
        begin = int(body.get("nextToken") or 0)
        end = begin + min(self.page, body.get("maxResults", 100))
        more = {"nextToken": str(end)} if end < len(images) else {}
        return _response(200, {"imageDetails": images[begin:end], **more})


class _Raw:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._content


def _response(status: int, body: dict[str, Any]) -> AWSResponse:
    return AWSResponse("https://ecr", status, {}, _Raw(json.dumps(body).encode()))
