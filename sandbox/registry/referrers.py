"""What refers to an image (signature, SBOM), as ECR lists it; the registry behind the gate knows no referrers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.registry.manifest import Manifest, descriptor, subject

INDEX = "application/vnd.oci.image.index.v1+json"


class Referrers:
    """A folder with one file a referrer, below its repository and subject; it outlives the gate and the AWS API."""

    def __init__(self, folder: Path) -> None:
        """Keep the files below ``folder``."""
        self._folder = folder

    def keep(self, repository: str, found: Manifest) -> str | None:
        """Remember a manifest where it refers to an image; returns that image's digest."""
        image = subject(found.text)
        if image is None:
            return None
        path = self._place(repository, image) / found.digest.replace(":", "-")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        half = path.with_name(f".{path.name}.{os.getpid()}")
        half.write_text(json.dumps(descriptor(found)))
        half.replace(path)
        return image

    def of(self, repository: str, image: str) -> list[dict[str, Any]]:
        """Descriptors of all that refers to an image, the oldest first."""
        files = [path for path in self._place(repository, image).glob("sha256-*") if path.is_file()]
        return [json.loads(path.read_text()) for path in sorted(files, key=lambda path: path.stat().st_mtime_ns)]

    def everything(self) -> Iterator[tuple[str, str]]:
        """Repository and digest of every referrer."""
        for path in sorted(self._folder.rglob("_referrers/sha256-*/sha256-*")):
            yield str(path.parents[2].relative_to(self._folder)), path.name.replace("-", ":", 1)

    def _place(self, repository: str, image: str) -> Path:
        # No component of a repository's name begins with an underscore.
        return self._folder / repository / "_referrers" / image.replace(":", "-")


def index(descriptors: list[dict[str, Any]]) -> dict[str, Any]:
    """The image index that answers a request for referrers."""
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors}
