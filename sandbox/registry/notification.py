"""The registry's push notifications: what came in is entered in ECR's books, and told to Prefect."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sandbox.aws.artifact import artifact_type
from sandbox.registry import event
from sandbox.registry.ecr import Books
from sandbox.registry.manifest import MEDIA_TYPES
from sandbox.registry.upstream import Upstream
from sandbox.world import ACCOUNT, REGION
from symphony.outside import read_json, understood

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Push:
    """One manifest that came in.

    Attributes:
        repository: Where to.
        digest: The manifest's digest.
        tag: The tag it was put under; none for a push by digest.
    """

    repository: str
    digest: str
    tag: str | None


def pushes(envelope: bytes) -> list[Push]:
    """The manifests that an envelope of notifications tells of; blobs, pulls and deletions are none.

    Raises:
        SymphonyError: It is none of the registry's.
    """
    with understood("The notification"):
        return [
            Push(str(entry["target"]["repository"]), str(entry["target"]["digest"]), entry["target"].get("tag") or None)
            for entry in read_json(envelope).get("events", [])
            if entry.get("action") == "push" and entry.get("target", {}).get("mediaType") in MEDIA_TYPES
        ]


class Intake:
    """Enters pushes in ECR's books, so that a push has an image in ECR when it is done, as on AWS."""

    def __init__(self, books: Books, upstream: Upstream, events: event.PrefectEvents, registry: str) -> None:
        """Write to ``books`` what ``upstream`` has; ``registry`` is the host that image names begin with."""
        self._books = books
        self._upstream = upstream
        self._events = events
        self._registry = registry
        self._awaited: dict[Push, asyncio.Event] = {}

    async def take(self, push: Push) -> None:
        """Enter one push and raise its event."""
        found = await self._upstream.manifest(push.repository, push.digest)
        if found is None:
            _log.warning("The registry told of %s@%s and has it no more.", push.repository, push.digest)
            return
        await asyncio.to_thread(self._books.put, push.repository, push.tag, found)
        if waiting := self._awaited.get(push):
            waiting.set()
        action = event.image_action(
            account=ACCOUNT,
            region=REGION,
            repository=push.repository,
            digest=found.digest,
            tag=push.tag,
            media_type=found.media_type,
            artifact=artifact_type(found.text),
            at=event.now(),
        )
        self._events.send(event.prefect_event(action, self._registry))

    @contextmanager
    def awaiting(self, push: Push) -> Iterator[asyncio.Event]:
        """An event that is set once this push is in the books; to be asked for before the manifest is put."""
        waiting = self._awaited.setdefault(push, asyncio.Event())
        try:
            yield waiting
        finally:
            self._awaited.pop(push, None)
