"""The part ``kubernetes`` where people bring a cluster of their own (kind, k3d, EKS): nothing of it is started."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import urllib3
from kubernetes.client import ApiClient, CoreV1Api, V1Namespace, V1ObjectMeta
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException, new_client_from_config
from ruamel.yaml import YAML

from sandbox.part import NotReadyError, Part
from sandbox.world import ENVIRONMENTS, World
from symphony.errors import BadInputError

CONTEXT = "symphony"
NAMESPACES = (*ENVIRONMENTS, "argocd")
_CONFLICT = 409
_SECONDS = 1.0
_CHOICE = "kube-context"


class ExistingCluster(Part):
    """A cluster that the user has; ``down`` leaves it, and what was deployed into it, as it is."""

    name: ClassVar[str] = "kubernetes"
    limit: ClassVar[float] = 30.0
    hint: ClassVar[str] = (
        "Its nodes must be able to pull from your registry and this machine must reach its pods; "
        "the sandbox's registry listens on loopback alone."
    )

    def start(self, world: World) -> None:
        """Copy the chosen context into the sandbox's kubeconfig, as ``symphony``, and make the namespaces.

        Raises:
            BadInputError: The context is not in the user's kubeconfig.
        """
        choice = chosen(world)
        if choice is None:
            raise BadInputError("No cluster was chosen; say which by `symphony up --kube-context NAME`.")
        context, source = choice
        files = [Path(name).expanduser() for name in source.split(os.pathsep) if name]
        world.write(world.kubeconfig, json.dumps(copied(files, context), indent=1))
        with _connect(world) as connection:
            core = CoreV1Api(connection)
            for name in NAMESPACES:
                try:
                    core.create_namespace(V1Namespace(metadata=V1ObjectMeta(name=name)), _request_timeout=10)
                except ApiException as error:
                    if error.status != _CONFLICT:
                        raise self.failure(world, f"the namespace {name} cannot be made ({error.reason})") from error
                except urllib3.exceptions.HTTPError as error:
                    raise self.failure(world, f"the cluster of context {context!r} does not answer") from error

    def check(self, world: World) -> None:
        """Ask for the namespaces.

        Raises:
            NotReadyError: The cluster does not answer, or one is missing.
        """
        try:
            with _connect(world) as connection:
                listed = CoreV1Api(connection).list_namespace(_request_timeout=_SECONDS).items
        except (ConfigException, ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise NotReadyError(f"the cluster does not answer ({' '.join(str(error).split())[:200]})") from error
        if missing := sorted({*NAMESPACES} - {item.metadata.name for item in listed if item.metadata}):
            raise NotReadyError(f"the namespaces {', '.join(missing)} are missing")

    def stop(self, world: World) -> None:
        """Forget the copied kubeconfig."""
        world.kubeconfig.unlink(missing_ok=True)


def copied(files: Sequence[Path], context: str) -> dict[str, Any]:
    """One context of a kubeconfig as a whole kubeconfig of its own, called ``symphony``, that needs no other file.

    Args:
        files: The files of ``KUBECONFIG``, the first to have a name wins (as for kubectl).
        context: Name of the context.

    Raises:
        BadInputError: No file has the context, or what it names is missing.
    """
    documents = [(path, YAML(typ="safe").load(path) or {}) for path in files if path.is_file()]

    def find(kind: str, name: str) -> tuple[Path, dict[str, Any]]:
        for path, document in documents:
            for entry in document.get(kind) or ():
                if entry["name"] == name:
                    return path, dict(entry[kind.removesuffix("s")])
        known = [entry["name"] for _, document in documents for entry in document.get(kind) or ()]
        where = ", ".join(map(str, files))
        raise BadInputError(
            f"{where} has no {kind.removesuffix('s')} {name!r}; there are: {', '.join(known) or 'none'}."
        )

    _, chosen_context = find("contexts", context)
    parts = {}
    for kind in ("cluster", "user"):
        path, content = find(f"{kind}s", chosen_context[kind])
        for key in ("certificate-authority", "client-certificate", "client-key"):
            if key in content:
                data = (path.parent / content.pop(key)).read_bytes()
                content[f"{key}-data"] = base64.b64encode(data).decode()
        parts[kind] = content
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": parts["cluster"]}],
        "users": [{"name": CONTEXT, "user": parts["user"]}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "current-context": CONTEXT,
    }


def choose(world: World, context: str) -> None:
    """Remember the user's cluster: its context, and the kubeconfig that has it."""
    source = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    world.write(world.state / _CHOICE, f"{context}\n{source}\n")


def chosen(world: World) -> tuple[str, str] | None:
    """Context and kubeconfig of the user's cluster; None where the sandbox has its own."""
    path = world.state / _CHOICE
    if not path.exists():
        return None
    context, source = path.read_text().splitlines()
    return context, source


def _connect(world: World) -> ApiClient:
    connection: ApiClient = new_client_from_config(str(world.kubeconfig), context=CONTEXT)  # type: ignore[no-untyped-call]
    return connection
