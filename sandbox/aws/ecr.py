"""Where moto's ECR differs from AWS's, put right in the server's own process."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from moto.core.responses import ActionResult
from moto.ecr.models import ECRBackend, Image, Repository
from moto.ecr.responses import ECRResponse

from sandbox.aws import login
from sandbox.aws.artifact import artifact_type
from sandbox.aws.ecr_names import PUSHED_AT, RESTORED
from sandbox.aws.settings import AwsSettings

_log = logging.getLogger(__name__)


def image_size(manifest: str) -> int | None:
    """Bytes of an image: its configuration and layers (ECR's ``imageSizeInBytes``); none for an index."""
    parsed = json.loads(manifest)
    if "layers" not in parsed:
        return None
    return int(parsed.get("config", {}).get("size", 0)) + sum(int(layer["size"]) for layer in parsed["layers"])


def correct(settings: AwsSettings) -> None:
    """Patch moto's ECR: logins, sizes, artifact types, addresses, moved tags, adoption of what was restored."""

    def get_authorization_token(self: Any) -> ActionResult:
        made = login.issue(settings.login_secret, time.time(), login.life(Path(settings.login_life)))
        entry = {
            "authorizationToken": made.token,
            "expiresAt": datetime.fromtimestamp(made.expires, UTC),
            "proxyEndpoint": f"http://{settings.registry}",
        }
        return ActionResult(
            {"authorizationData": [entry for _ in self._get_param("registryIds") or [settings.account]]}
        )

    _replace(ECRResponse, "get_authorization_token", get_authorization_token)
    _replace(Image, "artifact_media_type", property(lambda self: artifact_type(self.image_manifest) or None))
    _replace(Image, "get_image_size_in_bytes", lambda self: image_size(self.image_manifest))
    _address_repositories(settings.registry)
    _keep_images_whose_tag_moved()
    _adopt_restored_repositories()
    _date_restored_images()
    _delete_layers_too(settings)


def _replace(owner: type, name: str, method: Callable[..., Any] | property) -> None:
    setattr(owner, name, method)


def _address_repositories(registry: str) -> None:
    plain: Callable[..., None] = Repository.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        self.uri = f"{registry}/{self.name}"

    _replace(Repository, "__init__", init)


def _keep_images_whose_tag_moved() -> None:
    """An image whose tag moves on stays, untagged; moto would delete it."""
    plain: Callable[..., Any] = ECRBackend.put_image

    def put_image(self: Any, repository_name: str, image_manifest: str, image_tag: str, *rest: Any) -> Any:
        repository = self._get_repository(repository_name)
        if image_tag and repository.image_tag_mutability == "MUTABLE":
            for image in repository.images:
                if image_tag in image.image_tags and image.image_manifest != image_manifest:
                    image.remove_tag(image_tag)
                    image.image_tag = image.image_tags[-1] if image.image_tags else None
        return plain(self, repository_name, image_manifest, image_tag, *rest)

    _replace(ECRBackend, "put_image", put_image)


def _adopt_restored_repositories() -> None:
    """Provisioning that lost its state with the API creates a repository again; its images must outlive that."""
    plain: Callable[..., Any] = ECRBackend.create_repository

    def create_repository(self: Any, repository_name: str, *args: Any, **kwargs: Any) -> Any:
        lost = self.repositories.get(repository_name)
        tags = self.tagger.get_tag_dict_for_resource(lost.arn) if lost else {}
        if RESTORED not in tags:
            return plain(self, repository_name, *args, **kwargs)
        with contextlib.ExitStack() as undo:
            del self.repositories[repository_name]
            undo.callback(self.repositories.__setitem__, repository_name, lost)
            made = plain(self, repository_name, *args, **kwargs)
            undo.pop_all()
        self.tagger.untag_resource_using_names(made.arn, [RESTORED])
        made.images = lost.images
        return made

    _replace(ECRBackend, "create_repository", create_repository)


def _date_restored_images() -> None:
    """An image that is put back keeps the time at which it was pushed."""
    plain: Callable[..., ActionResult] = ECRResponse.put_image

    def put_image(self: Any) -> ActionResult:
        result = plain(self)
        if pushed := self.headers.get(PUSHED_AT):
            image: Any = result.result
            image["image"].image_pushed_at = int(pushed)
        return result

    _replace(ECRResponse, "put_image", put_image)


def _delete_layers_too(settings: AwsSettings) -> None:
    """What is deleted in ECR leaves the registry behind the gate as well, so that no repair brings it back."""
    for name in ("batch_delete_image", "delete_repository"):
        _replace(ECRBackend, name, _forgetting(getattr(ECRBackend, name), settings))


def _forgetting(plain: Callable[..., Any], settings: AwsSettings) -> Callable[..., Any]:
    def delete(self: Any, repository_name: str, *args: Any, **kwargs: Any) -> Any:
        before = _digests(self, repository_name)
        result = plain(self, repository_name, *args, **kwargs)
        for digest in before - _digests(self, repository_name):
            try:
                httpx.delete(
                    f"{settings.layers}/v2/{repository_name}/manifests/{digest}",
                    auth=(settings.layers_user, settings.layers_password),
                    timeout=2,
                    trust_env=False,
                )
            except httpx.HTTPError as error:
                _log.warning("The registry still holds %s@%s, deleted in ECR (%s).", repository_name, digest, error)
        return result

    return delete


def _digests(backend: Any, repository: str) -> set[str]:
    found = backend.repositories.get(repository)
    return {image.get_image_digest() for image in found.images} if found else set()
