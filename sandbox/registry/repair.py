"""What the AWS API lost and the registry still holds, put back."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sandbox.registry.ecr import Books
from sandbox.registry.referrers import Referrers
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


async def repair(books: Books, upstream: Upstream, referrers: Referrers, storage: Path) -> dict[str, list[str]]:
    """Compare the registry with ECR's books and put back what is missing there; harmless where nothing is.

    Args:
        books: ECR's repositories and images.
        upstream: The registry.
        referrers: Signatures and SBOMs, which have no tags.
        storage: Its folder, whose files tell when an image came in.
    """
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
            pushed = pushed_at(storage, name, found.digest)
            await asyncio.to_thread(books.put, name, tag, found, pushed)
            done.images.append(f"{name}:{tag}")
    for name, digest in referrers.everything():
        if await asyncio.to_thread(books.repository, name) is None:
            continue
        known = await asyncio.to_thread(books.digest_of, name, digest)
        if known is None and (found := await upstream.manifest(name, digest)):
            await asyncio.to_thread(books.put, name, None, found, pushed_at(storage, name, digest))
            done.images.append(f"{name}@{digest}")
    if done.images:
        _log.warning("Put %d images back into ECR: %s.", len(done.images), ", ".join(done.images))
    return asdict(done)


def pushed_at(storage: Path, repository: str, digest: str) -> float | None:
    """Unix time at which the registry first took a manifest (the storage layout of distribution 2.8)."""
    algorithm, _, value = digest.partition(":")
    link = (
        storage / "docker/registry/v2/repositories" / repository / "_manifests/revisions" / algorithm / value / "link"
    )
    return link.stat().st_mtime if link.exists() else None
