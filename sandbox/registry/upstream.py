"""The registry behind the gate, asked in the gate's own name."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from sandbox.registry.manifest import MEDIA_TYPES, Manifest

_HOP_BY_HOP = {
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
"""Headers of one connection alone (RFC 9110, section 7.6.1)."""


class Upstream:
    """Passes requests on without keeping their bodies."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        """Use a client whose base URL and credentials are the registry's."""
        self.client = client

    async def forward(self, request: Request, body: bytes | None = None) -> tuple[httpx.Response, Response]:
        """Send a request on and stream its answer back; ``body`` replaces what was read of the request already."""
        headers = [
            (name, value)
            for name, value in request.headers.raw
            if name not in _HOP_BY_HOP and name not in {b"authorization", b"expect"}
        ]
        url = httpx.URL(self.client.base_url).copy_with(
            raw_path=request.scope["raw_path"] + (b"?" + request.url.query.encode() if request.url.query else b"")
        )
        has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
        content: bytes | AsyncIterator[bytes] | None = body
        if body is None and has_body:
            content = request.stream()
        outgoing = self.client.build_request(request.method, url, headers=headers, content=content)
        answer = await self.client.send(outgoing, stream=True)
        response = StreamingResponse(_chunks(answer), status_code=answer.status_code)
        response.raw_headers = [
            (name.lower(), value)
            for name, value in answer.headers.raw
            if name.lower() not in _HOP_BY_HOP | {b"www-authenticate", b"server", b"date"}
        ]
        return answer, response

    async def catalog(self) -> list[str]:
        """Names of all repositories that hold anything."""
        names: list[str] = []
        path: str | None = "/v2/_catalog?n=500"
        while path:
            answer = (await self.client.get(path)).raise_for_status()
            names += answer.json()["repositories"] or []
            path = answer.links.get("next", {}).get("url")
        return names

    async def tags(self, repository: str) -> list[str]:
        """Tags of a repository."""
        answer = await self.client.get(f"/v2/{repository}/tags/list")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        return list(answer.raise_for_status().json()["tags"] or [])

    async def manifest(self, repository: str, reference: str) -> Manifest | None:
        """A manifest by tag or digest, or none where the registry has none."""
        answer = await self.client.get(
            f"/v2/{repository}/manifests/{reference}", headers={"Accept": ", ".join(MEDIA_TYPES)}
        )
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        return Manifest(answer.headers["Docker-Content-Digest"], answer.headers["Content-Type"], answer.text)


async def _chunks(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()
