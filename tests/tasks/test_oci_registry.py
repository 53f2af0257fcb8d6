from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest

from symphony.config import Aws, Environment
from symphony.errors import SymphonyError, TransientError
from tasks.oci_registry import MANIFEST, OciRegistry, digest_of, plain

IMAGE = b'{"schemaVersion": 2}'


@dataclass
class Registry:
    """A registry in memory."""

    manifests: dict[str, bytes] = field(default_factory=lambda: {digest_of(IMAGE): IMAGE})
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: int = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        kind, _, rest = request.url.path.removeprefix("/v2/dev/one/").partition("/")
        if kind == "manifests" and request.method == "PUT":
            self.manifests[rest] = request.content
            return httpx.Response(201)
        if kind == "manifests":
            body = self.manifests.get(rest)
            return httpx.Response(200, content=body, headers={"Content-Type": MANIFEST}) if body else _missing()
        if request.method == "HEAD":
            return httpx.Response(200 if rest in self.blobs else 404)
        if request.method == "POST":
            self.uploads += 1
            return httpx.Response(202, headers={"Location": "/v2/dev/one/blobs/uploads/1?state=x"})
        if rest == "uploads/1" and request.url.params["state"] == "x":
            self.blobs[request.url.params["digest"]] = request.content
            return httpx.Response(201)
        return _missing()


def _missing() -> httpx.Response:
    return httpx.Response(404, json={"errors": [{"code": "MANIFEST_UNKNOWN"}]})


def speaking(answer: Callable[[httpx.Request], httpx.Response]) -> OciRegistry:
    return OciRegistry(httpx.Client(base_url="http://registry", transport=httpx.MockTransport(answer)))


def test_a_document_is_attached_to_its_image_and_the_same_again_is_the_same() -> None:
    behind = Registry()
    registry = speaking(behind)
    digest = registry.attach("dev/one", digest_of(IMAGE), "application/spdx+json", b"list")
    manifest = json.loads(behind.manifests[digest])
    assert manifest["artifactType"] == "application/spdx+json"
    assert manifest["subject"] == {"mediaType": MANIFEST, "digest": digest_of(IMAGE), "size": len(IMAGE)}
    assert behind.blobs[manifest["layers"][0]["digest"]] == b"list"
    before = behind.uploads
    assert registry.attach("dev/one", digest_of(IMAGE), "application/spdx+json", b"list") == digest
    assert behind.uploads == before


def test_nothing_is_attached_to_an_image_that_is_not_there() -> None:
    with pytest.raises(SymphonyError, match=r"refuses HEAD /v2/dev/one/manifests/sha256:.* status 404"):
        speaking(Registry()).attach("dev/one", digest_of(b"other"), "text/plain", b"x")


def test_all_pages_of_referrers_are_read_and_other_types_left_out() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("page", "0"))
        kind = "text/plain" if number == 1 else "application/spdx+json"
        entry = {"digest": digest_of(str(number).encode()), "artifactType": kind}
        link = {"Link": f'<{request.url.path}?page={number + 1}>; rel="next"'} if number < 2 else {}
        return httpx.Response(200, json={"manifests": [entry]}, headers=link)

    found = speaking(answer).referrers("dev/one", digest_of(IMAGE), "application/spdx+json")
    assert [one.digest for one in found] == [digest_of(b"0"), digest_of(b"2")]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_can_pass_is_tried_again(status: int) -> None:
    with pytest.raises(TransientError):
        speaking(lambda _: httpx.Response(status)).referrers("dev/one", digest_of(IMAGE))


def test_a_registry_out_of_reach_is_tried_again() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(TransientError, match="does not answer"):
        speaking(answer).referrers("dev/one", digest_of(IMAGE))


@pytest.mark.parametrize(
    ("registry", "without_tls"),
    [("127.0.0.1:5010", True), ("localhost:5010", True), ("registry.example", False), (None, False)],
)
def test_only_a_registry_on_loopback_is_asked_without_tls(registry: str | None, without_tls: bool) -> None:  # noqa: FBT001
    target = Environment.model_construct(aws=Aws(account="123456789012", region="eu-central-1", registry=registry))
    assert plain(target) is without_tls
