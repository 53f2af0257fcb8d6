"""The gate: an application in front of the OCI registry that lets in, refuses and remembers as ECR does."""

from __future__ import annotations

import asyncio
import base64
import hmac
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.aws import login
from sandbox.registry import errors, manifest
from sandbox.registry.ecr import Books, Repository
from sandbox.registry.notification import Intake, Push, pushes
from sandbox.registry.referrers import INDEX, Referrers, index
from sandbox.registry.settings import NOTIFICATIONS, SECRET_HEADER, GateSettings
from sandbox.registry.upstream import Upstream
from sandbox.world import ACCOUNT
from symphony.errors import SymphonyError

_log = logging.getLogger(__name__)
_INTAKE_SECONDS = 5.0
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True)
class Gate:
    """The gate's doings, one method a concern.

    Attributes:
        settings: What it was told.
        books: ECR's repositories and images.
        upstream: The registry behind it.
        intake: Takes the registry's notifications.
        referrers: What refers to images.
        clock: Unix time; a test's own where it plays with it.
    """

    settings: GateSettings
    books: Books
    upstream: Upstream
    intake: Intake
    referrers: Referrers
    clock: Callable[[], float] = time.time

    def application(self, repair: Callable[[], Awaitable[object]] | None = None) -> Starlette:
        """The ASGI application; ``repair`` is awaited at a POST to its own path."""
        tags: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

        async def serve(request: Request) -> Response:
            """A request of the distribution API."""
            try:
                return self._unwelcome(request) or await self._serve(request, tags)
            except (BotoCoreError, ClientError, httpx.TransportError) as error:
                _log.warning("%s %s: %s: %s", request.method, request.url.path, type(error).__name__, error)
                return errors.refusal(
                    503,
                    "UNAVAILABLE",
                    f"The registry cannot reach what stands behind it ({error}); see `symphony status --sandbox`.",
                )

        async def notified(request: Request) -> Response:
            """The registry's notifications; an error is answered with one, and the registry tells again."""
            if not self._ours(request):
                return Response(status_code=403)
            try:
                told = pushes(await request.body())
            except SymphonyError as error:
                return Response(str(error), status_code=400)
            for push in told:
                try:
                    await self.intake.take(push)
                except ClientError as refused:
                    # The registry repeats what is not acknowledged, and nothing behind it would get through.
                    _log.warning("ECR did not take %s@%s: %s", push.repository, push.digest, refused)
            return Response(status_code=200)

        async def repaired(request: Request) -> Response:
            """The sandbox's wish to put back what ECR lost."""
            if not self._ours(request) or repair is None:
                return Response(status_code=403)
            return JSONResponse(await repair())

        return Starlette(
            routes=[
                Route(NOTIFICATIONS, notified, methods=["POST"]),
                Route("/symphony/repair", repaired, methods=["POST"]),
                Route("/v2/{path:path}", serve, methods=_METHODS),
                Route("/v2", serve, methods=["GET", "HEAD"]),
            ]
        )

    def _ours(self, request: Request) -> bool:
        shown = request.headers.get(SECRET_HEADER, "")
        return hmac.compare_digest(shown.encode(), self.settings.notification_secret.encode())

    def _unwelcome(self, request: Request) -> Response | None:
        """The refusal of a request without a good login, or none."""
        realm = f"http://{self.settings.host}:{self.settings.port}/"
        kind, _, encoded = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return errors.unauthorized("Log in to ECR first (user AWS, password of get-login-password).", realm)
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
            login.check(self.settings.login_secret, user, password, self.clock())
        except login.ExpiredLoginError:
            return errors.unauthorized("Your ECR login has expired; get a new one and log in again.", realm)
        except (login.LoginError, ValueError):
            return errors.unauthorized("The user name and password are no ECR login of this account.", realm)
        return None

    async def _serve(  # noqa: PLR0911 - one a case of the distribution API
        self, request: Request, tags: defaultdict[tuple[str, str], asyncio.Lock]
    ) -> Response:
        path = request.scope["raw_path"].decode("ascii", "replace")
        if path in {"/v2", "/v2/"}:
            return JSONResponse({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})
        target = manifest.target(path)
        if target is None:
            return errors.refusal(404, "UNSUPPORTED", f"ECR has nothing at {path}.")
        if request.method == "DELETE" and target.reference:
            return errors.refusal(405, "UNSUPPORTED", "Images are deleted through ECR's API (batch-delete-image).")
        repository = await asyncio.to_thread(self.books.repository, target.repository)
        if repository is None:
            return errors.no_repository(target.repository, ACCOUNT)
        if target.reference and request.method == "PUT":
            async with tags[target.repository, target.reference]:
                return await self._put(request, repository, target.reference, target.tag)
        if target.subject:
            return await self._list(request, repository, target.subject)
        return await self._pass_on(request, repository, target.reference)

    async def _pass_on(self, request: Request, repository: Repository, reference: str | None) -> Response:
        """Everything but the put of a manifest; one that ECR does not have is not handed out."""
        if reference and not await asyncio.to_thread(self.books.digest_of, repository.name, reference):
            # Deleted through ECR's API, or never finished.
            return errors.no_image(repository.name, reference)
        _, response = await self.upstream.forward(request)
        return response

    async def _list(self, request: Request, repository: Repository, image: str) -> Response:
        """What refers to an image (OCI distribution specification 1.1, "Listing Referrers"); none is an empty list."""
        if request.method not in {"GET", "HEAD"}:
            return errors.refusal(405, "UNSUPPORTED", "Referrers are listed by GET.")
        found = await asyncio.to_thread(self.referrers.of, repository.name, image)
        headers = {}
        if kind := request.query_params.get("artifactType"):
            found = [entry for entry in found if entry["artifactType"] == kind]
            headers["OCI-Filters-Applied"] = "artifactType"
        # One that was deleted through ECR's API is listed no more.
        there = [await asyncio.to_thread(self.books.digest_of, repository.name, entry["digest"]) for entry in found]
        listed = [entry for entry, known in zip(found, there, strict=True) if known]
        return JSONResponse(index(listed), headers=headers, media_type=INDEX)

    async def _put(self, request: Request, repository: Repository, reference: str, tag: str | None) -> Response:
        """Put a manifest, unless its tag is taken for good; done when ECR's books have it."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > manifest.LARGEST:
                return errors.refusal(413, "SIZE_INVALID", f"A manifest has at most {manifest.LARGEST} bytes.")
        digest = manifest.digest(body)
        if tag and repository.immutable(tag):
            holder = await asyncio.to_thread(self.books.digest_of, repository.name, tag)
            if holder not in {None, digest}:
                return errors.taken_tag(repository.name, tag, str(holder))
        with self.intake.awaiting(Push(repository.name, digest, tag)) as entered:
            answer, response = await self.upstream.forward(request, body)
            if answer.is_success:
                kind = request.headers.get("content-type", "")
                put = manifest.Manifest(digest, kind, body.decode(errors="replace"))
                if image := await asyncio.to_thread(self.referrers.keep, repository.name, put):
                    response.headers["OCI-Subject"] = image  # tells the client to write no list by tag
                try:
                    await asyncio.wait_for(entered.wait(), _INTAKE_SECONDS)
                except TimeoutError:
                    _log.warning("The registry has not yet told of %s:%s, which was put.", repository.name, reference)
        return response
