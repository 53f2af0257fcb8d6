"""Manifests: the media types that are images, and where a request's path points."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from sandbox.aws.artifact import artifact_type, read

MEDIA_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)
"""What ECR counts as an image (OCI image specification 1.0, Docker image manifest version 2, schema 2)."""
LARGEST = 4 * 1024 * 1024
"""Bytes a manifest may have (OCI distribution specification 1.1, "Pushing manifests")."""

_NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
_PATH = re.compile(
    rf"/v2/(?P<name>{_NAME})/(?:"
    r"manifests/(?P<reference>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|sha256:[0-9a-f]{64})"
    r"|blobs/(?:sha256:[0-9a-f]{64}|uploads/[A-Za-z0-9._=-]*)"
    r"|referrers/(?P<subject>sha256:[0-9a-f]{64})"
    r"|tags/list)"
)


@dataclass(frozen=True)
class Target:
    """What a request of the distribution API is about.

    Attributes:
        repository: The repository's name.
        reference: Tag or digest of the manifest, where the request is about one.
        subject: Digest of the image whose referrers are asked for, where the request is about them.
    """

    repository: str
    reference: str | None
    subject: str | None = None

    @property
    def tag(self) -> str | None:
        """The tag, where the reference is one."""
        return self.reference if self.reference and ":" not in self.reference else None


@dataclass(frozen=True)
class Manifest:
    """A manifest as the registry holds it.

    Attributes:
        digest: Its digest.
        media_type: Its media type.
        text: Its bytes as text; the digest is of exactly these.
    """

    digest: str
    media_type: str
    text: str


def target(path: str) -> Target | None:
    """Read a path of the distribution API; none where it is no such path."""
    found = _PATH.fullmatch(path)
    return Target(found["name"], found["reference"], found["subject"]) if found else None


def digest(manifest: bytes) -> str:
    """Digest of a manifest's bytes."""
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def subject(text: str | bytes) -> str | None:
    """Digest of the image that a manifest refers to (OCI image specification 1.1, ``subject``); none for an image."""
    named = read(text).get("subject")
    return str(named["digest"]) if isinstance(named, dict) and "digest" in named else None


def descriptor(found: Manifest) -> dict[str, Any]:
    """A manifest as a referrers list names it (OCI distribution specification 1.1, "Listing Referrers")."""
    annotations = read(found.text).get("annotations")
    return {
        "mediaType": found.media_type,
        "digest": found.digest,
        "size": len(found.text.encode()),
        "artifactType": artifact_type(found.text),
        **({"annotations": annotations} if annotations else {}),
    }
