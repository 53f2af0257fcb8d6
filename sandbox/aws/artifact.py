"""What a manifest in ECR is of: an image, or something that belongs to one."""

from __future__ import annotations

import json
from typing import Any


def artifact_type(manifest: str | bytes) -> str:
    """ECR's ``artifactMediaType``: the manifest's artifact type, or else its configuration's media type.

    It is empty for an index (OCI image specification 1.1, "Guidelines for Artifact Usage").
    """
    parsed = read(manifest)
    config = parsed.get("config")
    return str(parsed.get("artifactType") or (config.get("mediaType", "") if isinstance(config, dict) else ""))


def read(manifest: str | bytes) -> dict[str, Any]:
    """A manifest's content; empty where it is no JSON object."""
    try:
        parsed = json.loads(manifest)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
