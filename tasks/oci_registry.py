"""An environment's registry by the OCI distribution API: what refers to an image, and putting more there."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import ipaddress
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from symphony.config import Environment
from symphony.errors import SymphonyError, TransientError
from symphony.models import Digest, Fact
from tasks.ecr import Login, login

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_ACCEPTED = (
    MANIFEST,
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
"""Media type of a configuration that says nothing (OCI image specification 1.1)."""
_REQUEST_SECONDS = 60.0


class Referrer(Fact):
    """A manifest that refers to an image.

    Attributes:
        digest: Its digest.
        artifact_type: What it is.
    """

    digest: Digest
    artifact_type: str


@dataclass(frozen=True)
class OciRegistry:
    """One repository's registry, logged in to.

    Attributes:
        client: HTTP client with the login.
    """

    client: httpx.Client

    def referrers(self, repository: str, digest: Digest, artifact_type: str = "") -> tuple[Referrer, ...]:
        """List what refers to an image (OCI distribution specification 1.1, "Listing Referrers").

        Args:
            repository: Repository in the registry, without host.
            digest: The image.
            artifact_type: Only those of this type; all by default.

        Raises:
            SymphonyError: The registry refuses, or knows no referrers.
            TransientError: The registry was out of reach.
        """
        found: list[Referrer] = []
        path: str | None = f"/v2/{repository}/referrers/{digest}"
        query: Mapping[str, str] | None = {"artifactType": artifact_type} if artifact_type else None
        while path:
            answer = self._ask("GET", path, params=query)
            found += [
                Referrer(digest=entry["digest"], artifact_type=entry.get("artifactType", ""))
                for entry in answer.json().get("manifests") or []
            ]
            path, query = answer.links.get("next", {}).get("url"), None
        # A registry may leave the choice to its caller.
        return tuple(one for one in found if not artifact_type or one.artifact_type == artifact_type)

    def platforms(self, repository: str, digest: Digest) -> frozenset[str]:
        """What an image runs on, such as ``linux/amd64`` or ``linux/arm64/v8``, each also without its variant.

        Args:
            repository: Repository in the registry, without host.
            digest: The image, or an index of images.

        Raises:
            SymphonyError: The registry refuses, or lacks the image.
            TransientError: The registry was out of reach.
        """
        path, accept = f"/v2/{repository}/manifests/{digest}", {"Accept": ", ".join(_ACCEPTED)}
        manifest = self._ask("GET", path, headers=accept).json()
        if "manifests" in manifest:
            each = [one.get("platform") or {} for one in manifest["manifests"]]
        else:
            blob = f"/v2/{repository}/blobs/{manifest['config']['digest']}"
            each = [self._ask("GET", blob, follow_redirects=True).json()]
        named = [[str(one[key]) for key in ("os", "architecture", "variant") if one.get(key)] for one in each]
        return frozenset("/".join(parts[:length]) for parts in named for length in (2, len(parts)) if len(parts) > 1)

    def attach(self, repository: str, image: Digest, artifact_type: str, content: bytes) -> Digest:
        """Put a document into the registry as a referrer of an image; the same document twice is the same referrer.

        Args:
            repository: Repository in the registry, without host.
            image: Digest of the image.
            artifact_type: Media type of the document.
            content: The document.

        Returns:
            The referrer's digest.

        Raises:
            SymphonyError: The registry refuses, or lacks the image.
            TransientError: The registry was out of reach.
        """
        head = self._ask("HEAD", f"/v2/{repository}/manifests/{image}", headers={"Accept": ", ".join(_ACCEPTED)})
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact_type,
            "config": _descriptor(_EMPTY_TYPE, self._blob(repository, _EMPTY), len(_EMPTY)),
            "layers": [_descriptor(artifact_type, self._blob(repository, content), len(content))],
            "subject": _descriptor(head.headers["Content-Type"], image, int(head.headers["Content-Length"])),
        }
        body = json.dumps(manifest).encode()
        digest = digest_of(body)
        self._ask("PUT", f"/v2/{repository}/manifests/{digest}", content=body, headers={"Content-Type": MANIFEST})
        return digest

    def tag(self, repository: str, digest: Digest, tag: str) -> None:
        """Give an image another tag; one that it has already is no error.

        Args:
            repository: Repository in the registry, without host.
            digest: The image.
            tag: The tag.

        Raises:
            SymphonyError: The registry refuses, such as where another image has the tag for good.
            TransientError: The registry was out of reach.
        """
        manifest = self._manifest(repository, digest)
        headers = {"Content-Type": manifest.headers["Content-Type"]}
        self._ask("PUT", f"/v2/{repository}/manifests/{tag}", content=manifest.content, headers=headers)

    def labels(self, repository: str, digest: Digest) -> dict[str, str]:
        """Labels of an image; of one for several platforms, those of the first.

        Raises:
            SymphonyError: The registry refuses, or lacks the image.
            TransientError: The registry was out of reach.
        """
        manifest = self._manifest(repository, digest).json()
        if "manifests" in manifest:
            manifest = self._manifest(repository, manifest["manifests"][0]["digest"]).json()
        blob = f"/v2/{repository}/blobs/{manifest['config']['digest']}"
        config = self._ask("GET", blob, follow_redirects=True).json()  # ECR's lie in S3
        return dict(config.get("config", {}).get("Labels") or {})

    def _manifest(self, repository: str, digest: Digest) -> httpx.Response:
        return self._ask("GET", f"/v2/{repository}/manifests/{digest}", headers={"Accept": ", ".join(_ACCEPTED)})

    def _blob(self, repository: str, content: bytes) -> Digest:
        """Upload content that the registry lacks."""
        digest = digest_of(content)
        if self._ask("HEAD", f"/v2/{repository}/blobs/{digest}", ok=(404,)).is_success:
            return digest
        begun = self._ask("POST", f"/v2/{repository}/blobs/uploads/")
        target = self.client.base_url.join(begun.headers["Location"]).copy_merge_params({"digest": digest})
        self._ask("PUT", str(target), content=content, headers={"Content-Type": "application/octet-stream"})
        return digest

    def _ask(self, method: str, path: str, ok: tuple[int, ...] = (), **request: Any) -> httpx.Response:
        try:
            answer = self.client.request(method, path, **request)
        except httpx.TransportError as error:
            raise TransientError(f"The registry {self.client.base_url.host} does not answer ({error}).") from error
        if answer.is_success or answer.status_code in ok:
            return answer
        passing = answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS
        kind = TransientError if passing else SymphonyError
        raise kind(
            f"The registry {self.client.base_url.host} refuses {method} {httpx.URL(path).path} "
            f"with status {answer.status_code}: {answer.text.strip() or 'it says no more'}"
        )


@contextlib.contextmanager
def oci_registry(target: Environment) -> Iterator[OciRegistry]:
    """The environment's registry, with a fresh ECR login.

    Raises:
        SymphonyError: ECR refused the login.
        TransientError: ECR was throttling or out of reach.
    """
    given = login(target)
    scheme = "http" if plain(target) else "https"
    with httpx.Client(
        base_url=f"{scheme}://{target.aws.registry_host}",
        auth=(given.username, given.password.get_secret_value()),
        timeout=_REQUEST_SECONDS,
        follow_redirects=True,  # ECR hands blobs out from S3; httpx leaves the login out there
    ) as client:
        yield OciRegistry(client)


def plain(target: Environment) -> bool:
    """Whether the registry speaks HTTP: on loopback, as Docker has it, and nowhere else."""
    host = target.aws.registry_host.partition(":")[0]
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


@contextlib.contextmanager
def login_environment(target: Environment) -> Iterator[dict[str, str]]:
    """Variables by which syft and cosign find a fresh login: a Docker configuration of their own, in a private folder.

    Raises:
        SymphonyError: ECR refused the login.
        TransientError: ECR was throttling or out of reach.
    """
    with tempfile.TemporaryDirectory(prefix="symphony-login-") as folder:
        path = Path(folder) / "config.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps({"auths": {target.aws.registry_host: {"auth": _basic(login(target))}}}))
        yield {"DOCKER_CONFIG": folder}


def digest_of(content: bytes) -> Digest:
    """Digest of content, as registries name it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _basic(given: Login) -> str:
    return base64.b64encode(f"{given.username}:{given.password.get_secret_value()}".encode()).decode()


def _descriptor(media_type: str, digest: Digest, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}
