"""Runs as Jobs of the sandbox's cluster: the image of workers built and pushed, and the chart ``worker`` installed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from ruamel.yaml import YAML

from sandbox import manifest
from sandbox.aws.client import client
from sandbox.aws.credentials import config_file, credentials_file
from sandbox.docker import base_image
from sandbox.docker.engine import choose
from sandbox.git.credentials import configuration_file
from sandbox.manifest import Manifest
from sandbox.prefect.environment import POLL_SECONDS, USER, auth_string, worker_environment
from sandbox.prefect.part import POOL
from sandbox.tofu import configuration
from sandbox.toolchain import provider_mirror
from sandbox.world import BRIDGE_ADDRESS, HOST, World
from symphony import tool
from symphony.errors import SymphonyError

NAMESPACE = "symphony"
REPOSITORY = "symphony/worker"
_RELEASE = "worker"
_SOURCES = ("deployments", "flows", "symphony", "tasks", "requirements.lock", "prefect.yaml")
_MIRROR = Path("/opt/symphony/tools/share/mirror")
_FOLDER = "/etc/symphony"
_SECRETS = ("prefect-api", "environment", "files")
_BUILD_SECONDS = 900
# What the image itself says, or what only processes of this machine have.
_LEFT_OUT = frozenset(
    {
        *("PATH", "PYTHONPATH", "SYMPHONY_STATE", "SYMPHONY_CACHE", "SYMPHONY_LAUNCHER", "SYMPHONY_WORK"),
        *("DOCKER_HOST", "PREFECT_HOME", "PREFECT_PROFILES_PATH", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING"),
    }
)


def image(world: World) -> str:
    """The image of a worker's runs in the registry, by digest; built where these sources and tools have none.

    Raises:
        SymphonyError: It does not build, or the registry refuses it.
    """
    record, mark = world.folder("prefect") / "worker-image.json", _mark(world)
    if record.exists() and (kept := json.loads(record.read_text()))["mark"] == mark:
        return str(kept["image"])
    engine = choose(world)
    base_image.provide(world, engine, base=base_image.WORKER)
    with tempfile.TemporaryDirectory(prefix="worker-image-", dir=world.folder()) as folder:
        context = Path(folder) / "context"
        context.mkdir()
        asked = {"places": list(map(str, world.tools)), "shared": {"mirror": str(provider_mirror(world.cache))}}
        lay_out = [sys.executable, "-m", "deployments.worker_image", str(context)]
        tool.run(lay_out, cwd=world.source, stdin=json.dumps(asked), env={"PYTHONPATH": str(world.source)}, limit=120)
        docker = engine.client(timeout=_BUILD_SECONDS)
        try:
            name = f"{HOST}:{world.ports.ecr}/{REPOSITORY}"
            built, _ = docker.images.build(
                path=str(context), tag=f"{name}:built", buildargs={"BASE": base_image.WORKER.name}, rm=True
            )
            tag = str(built.id).removeprefix("sha256:")[:12]
            built.tag(name, tag)
            digest = _push(world, docker, REPOSITORY, tag)
            base = base_image.PYTHON
            docker.images.get(base.name).tag(*base_image.in_registry(world).rsplit(":", 1))
            _push(world, docker, base.repository, base.name.rpartition(":")[2])
        finally:
            docker.close()
    world.write(record, json.dumps({"mark": mark, "image": f"{name}@{digest}"}))
    return f"{name}@{digest}"


def _mark(world: World) -> str:
    """What the image is made of: sources, packages and tools."""
    digest = hashlib.sha256("\n".join(map(str, world.tools)).encode())
    sources = (path for name in _SOURCES for path in _below(world.source / name))
    for path in sorted(sources):
        digest.update(f"{path}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _below(path: Path) -> list[Path]:
    every = [path] if path.is_file() else path.rglob("*")
    return [one for one in every if one.is_file() and "__pycache__" not in one.parts]


def install(world: World, reference: str, pool: str = POOL) -> None:
    """Make the pool, and put Secrets and the chart into the cluster.

    Args:
        world: The sandbox.
        reference: The image of runs.
        pool: Its name.
    """
    objects = [*_secrets(world), *_chart(world, reference, pool)]
    template = next(one["data"]["pool.json"] for one in objects if "pool.json" in one.get("data", {}))
    body = {"base_job_template": json.loads(template)}
    login = (USER, world.secret("prefect-password"))
    with httpx.Client(base_url=f"{world.prefect_url}/api", auth=login, timeout=30, trust_env=False) as server:
        made = server.post("/work_pools/", json={"name": pool, "type": "kubernetes", **body})
        if made.status_code == httpx.codes.CONFLICT:
            made = server.patch(f"/work_pools/{pool}", json=body)
        made.raise_for_status()
    with manifest.api(world) as connection:
        for one in objects:
            manifest.apply(connection, one)


def _push(world: World, docker: Any, repository: str, tag: str) -> str:
    ecr = client(world, "ecr")
    with contextlib.suppress(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName=repository)
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    name = f"{HOST}:{world.ports.ecr}/{repository}"
    for line in docker.images.push(
        name, tag=tag, auth_config={"username": user, "password": password}, stream=True, decode=True
    ):
        if "error" in line:
            raise SymphonyError(f"The registry refuses {name}:{tag}: {line['error']}")
        if digest := line.get("aux", {}).get("Digest"):
            return str(digest)
    raise SymphonyError(f"The Docker engine told no digest of {name}:{tag}.")


def environment(world: World) -> dict[str, str]:
    """Variables of a run in the image, which name its files where `paths` has them."""
    return {name: _placed(world, value) for name, value in worker_environment(world).items() if name not in _LEFT_OUT}


def files(world: World) -> dict[str, str]:
    """What is in a run's files, by the names of `paths`."""
    texts = {name: _placed(world, path.read_text()) for name, path in _files(world).items() if name != "tofurc"}
    return texts | {"tofurc": configuration(_MIRROR)}


def paths(world: World) -> dict[str, str]:
    """Where a run in the image finds its files."""
    return {name: f"{_FOLDER}/{name}" for name in _files(world)}


def _secrets(world: World) -> list[Manifest]:
    contents = {
        "prefect-api": {"auth": auth_string(world)},
        "environment": environment(world),
        "files": files(world),
    }
    space: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    return [space, *(_secret(name, contents[name]) for name in _SECRETS)]


def _secret(name: str, data: Mapping[str, str]) -> Manifest:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": encoded}


def _files(world: World) -> dict[str, Path]:
    """Files of this machine that runs read."""
    return {
        "aws-credentials": credentials_file(world),
        "aws-config": config_file(world),
        "gitconfig": configuration_file(world),
        "git-credentials": world.state / "git" / "credentials",
        "kubeconfig": world.kubeconfig,
        "symphony.yaml": world.source / "symphony.yaml",
        "tofurc": world.state / "tofu" / "tofurc",
    }


def _placed(world: World, text: str) -> str:
    """A text with those files named as runs find them."""
    for name, path in _files(world).items():
        text = text.replace(str(path), f"{_FOLDER}/{name}")
    return text


def _chart(world: World, reference: str, pool: str) -> list[Manifest]:
    values = {
        "image": reference,
        "pool": pool,
        "api": {"url": f"{world.prefect_url}/api"},
        "environmentSecrets": ["environment"],
        # Of the node's network, which may have no way to the address of a Service.
        "workerEnvironment": {
            "KUBERNETES_SERVICE_HOST": BRIDGE_ADDRESS,
            "KUBERNETES_SERVICE_PORT": str(world.ports.kubernetes),
            "PREFECT_WORKER_QUERY_SECONDS": POLL_SECONDS,
        },
        "files": {"secret": "files", "paths": paths(world)},
        # Everything that a run asks listens on this machine's loopback, which is the node's.
        "jobs": {
            "hostNetwork": True,
            "resources": {"requests": {"cpu": "50m"}},
            "buildkit": {"resources": {"requests": {"cpu": "50m"}}},
        },
    }
    with tempfile.TemporaryDirectory(dir=world.folder()) as folder:
        file = Path(folder) / "values.json"
        file.write_text(json.dumps(values), encoding="utf-8")
        chart = world.source / "charts" / "worker"
        rendered = tool.run(
            [world.tool("helm"), "template", _RELEASE, chart, "--namespace", NAMESPACE, "--values", file], limit=60
        ).stdout
    objects: list[dict[str, Any]] = [one for one in YAML(typ="safe", pure=True).load_all(rendered) if one]
    for one in objects:
        one["metadata"].setdefault("namespace", NAMESPACE)
    return list(objects)
