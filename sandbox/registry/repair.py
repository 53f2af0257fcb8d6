"""What the AWS API lost and the registry still holds, put back."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict, dataclass, field

from sandbox.registry.ecr import Books
from sandbox.registry.upstream import Upstream

_log = logging.getLogger(__name__)


@dataclass
class Restored:
    """What was put back.

    Attributes:
        repositories: Names of repositories made again.
        images: Images entered again, as ``repository:tag``.
    """

    repositories: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)


async def repair(books: Books, upstream: Upstream) -> dict[str, list[str]]:
    """Compare the registry with ECR's books and put back what is missing there; harmless where nothing is."""
    done = Restored()
    for name in await upstream.catalog():
        tags = await upstream.tags(name)
        if not tags:
            continue
        made_again: bool = await asyncio.to_thread(books.restore, name)
        if made_again:
            done.repositories.append(name)
        for tag in tags:
            found = await upstream.manifest(name, tag)
            known: str | None = await asyncio.to_thread(books.digest_of, name, tag)
            if found is None or known:
                continue
            digest, media_type, text = found
            await asyncio.to_thread(books.put, name, tag, digest, text, media_type)
            done.images.append(f"{name}:{tag}")
    if done.images:
        _log.warning("Put %d images back into ECR: %s.", len(done.images), ", ".join(done.images))
    return asdict(done)
