"""JSON schemas of Kubernetes objects, out of what an API server publishes (OpenAPI 3)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

GROUPS = (
    "api/v1",
    "apis/apps/v1",
    "apis/autoscaling/v2",
    "apis/batch/v1",
    "apis/networking.k8s.io/v1",
    "apis/policy/v1",
)
_REF, _HERE = "#/components/schemas/", "#/$defs/"


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    # Kubeconform reads draft 4, which has neither an empty `required` nor `const`.
    needed = {"required": required} if required else {}
    return {"type": "object", "additionalProperties": False, "properties": properties, **needed}


_TEXT = {"type": "string"}
_REMOTE = _object(["key"], key=_TEXT, property=_TEXT, version=_TEXT)
EXTERNAL_SECRET = _object(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"enum": ["external-secrets.io/v1"]},
    kind={"enum": ["ExternalSecret"]},
    metadata={"type": "object"},
    spec=_object(
        ["secretStoreRef"],
        refreshInterval=_TEXT,
        secretStoreRef=_object(["name"], name=_TEXT, kind={"enum": ["SecretStore", "ClusterSecretStore"]}),
        target=_object([], name=_TEXT, creationPolicy={"enum": ["Owner", "Orphan", "Merge", "None"]}),
        data={"type": "array", "items": _object(["secretKey", "remoteRef"], secretKey=_TEXT, remoteRef=_REMOTE)},
    ),
)
"""Those fields of External Secrets Operator's own that the charts set; the sandbox's cluster has no operator."""


def write(ask: Callable[[str], dict[str, Any]], folder: Path) -> None:
    """One schema a kind, which leaves no key unchecked, called as kubeconform looks for it.

    Args:
        ask: Reads a path of the API server.
        folder: Where to.
    """
    (folder / "externalsecret.json").write_text(json.dumps(EXTERNAL_SECRET))
    for group in GROUPS:
        for kind, schema in _of(ask(f"/openapi/v3/{group}"), group.removeprefix("apis/").removeprefix("api/")):
            (folder / f"{kind.lower()}.json").write_text(json.dumps(schema))


def _of(document: dict[str, Any], version: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The kinds of one group and version."""
    definitions = json.loads(json.dumps(document["components"]["schemas"]).replace(_REF, _HERE))
    for definition in definitions.values():
        if "properties" in definition:
            definition.setdefault("additionalProperties", False)
    for name, definition in definitions.items():
        for one in definition.get("x-kubernetes-group-version-kind", []):
            if f"{one['group']}/{one['version']}".lstrip("/") == version:
                yield one["kind"], {"$ref": f"{_HERE}{name}", "$defs": definitions}
