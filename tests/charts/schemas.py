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
    "apis/external-secrets.io/v1",
    "apis/networking.k8s.io/v1",
    "apis/policy/v1",
)
_REF, _HERE = "#/components/schemas/", "#/$defs/"


def write(ask: Callable[[str], dict[str, Any]], folder: Path) -> None:
    """One schema a kind, which leaves no key unchecked, called as kubeconform looks for it.

    Args:
        ask: Reads a path of the API server.
        folder: Where to.
    """
    for group in GROUPS:
        for kind, schema in _of(ask(f"/openapi/v3/{group}"), group.removeprefix("apis/").removeprefix("api/")):
            (folder / f"{kind.lower()}.json").write_text(json.dumps(schema))


def _of(document: dict[str, Any], version: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The kinds of one group and version."""
    definitions = json.loads(json.dumps(document["components"]["schemas"]).replace(_REF, _HERE))
    _close(definitions)
    for name, definition in definitions.items():
        for one in definition.get("x-kubernetes-group-version-kind", []):
            if f"{one['group']}/{one['version']}".lstrip("/") == version:
                yield one["kind"], {"$ref": f"{_HERE}{name}", "$defs": definitions}


def _close(node: Any) -> None:
    """Allow no other keys where keys are named; what a custom resource definition says is nested."""
    for one in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _close(one)
    if isinstance(node, dict) and isinstance(node.get("properties"), dict) and node.get("type") == "object":
        node.setdefault("additionalProperties", False)
