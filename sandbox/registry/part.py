"""The part ``registry``: the OCI registry and the gate before it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import ClassVar

import bcrypt
import httpx

from sandbox.aws.credentials import aws_environment
from sandbox.aws.part import SOURCE_ROOT
from sandbox.daemon import Daemon, recorded
from sandbox.part import NotReadyError, Part
from sandbox.registry.settings import REGISTRY_USER, SECRET_HEADER, GateSettings, registry_configuration
from sandbox.world import HOST, World

_GATE = "registry-gate"
_REGISTRY = "registry"
_REPAIR_SECONDS = 120.0


class Registry(Part):
    """ECR's registry: `docker-registry` for the layers, the gate for everything that makes it ECR."""

    name: ClassVar[str] = "registry"
    needs: ClassVar[tuple[str, ...]] = ("aws",)
    daemons: ClassVar[tuple[str, ...]] = (_REGISTRY, _GATE)

    def ports(self, world: World) -> Mapping[str, int]:
        """Ports of the registry and of its gate."""
        return {_REGISTRY: world.ports.registry, _GATE: world.ports.ecr}

    def start(self, world: World) -> None:
        """Start both, and put back into ECR what the AWS API lost since."""
        folder = world.folder("registry")
        settings = gate_settings(world)
        htpasswd = folder / "htpasswd"
        password = settings.registry_password.encode()
        if not htpasswd.exists() or not bcrypt.checkpw(password, htpasswd.read_bytes().strip().partition(b":")[2]):
            # The password is random and long, so a cheap hash is as strong, and it is checked at each request.
            hashed = bcrypt.hashpw(password, bcrypt.gensalt(4)).decode()
            world.write(htpasswd, f"{REGISTRY_USER}:{hashed}\n")
        configuration = registry_configuration(
            settings,
            listen=f"{HOST}:{world.ports.registry}",
            htpasswd=htpasswd,
            secret=world.secret("registry-http"),
        )
        config = world.write(folder / "config.json", configuration)
        Daemon(_REGISTRY, [world.tool("docker-registry"), "serve", config], {"OTEL_TRACES_EXPORTER": "none"}).start(
            world
        )
        path = world.write(folder / "gate.json", settings.text())
        environment = {**aws_environment(world), "PYTHONPATH": str(SOURCE_ROOT), "PYTHONUNBUFFERED": "1"}
        Daemon(_GATE, [sys.executable, "-m", "sandbox.registry.server", path, settings.mark], environment).start(world)
        self.wait(world, lambda: self._answers(world))
        self._repair_once(world)

    def check(self, world: World) -> None:
        """Ask the gate and the registry behind it.

        Raises:
            NotReadyError: One of them does not answer as it should.
        """
        self._answers(world)

    def _answers(self, world: World) -> None:
        settings = gate_settings(world)
        try:
            gate = httpx.get(f"http://{HOST}:{world.ports.ecr}/v2/", timeout=1, trust_env=False)
            behind = httpx.get(
                f"{settings.registry}/v2/", auth=(REGISTRY_USER, settings.registry_password), timeout=1, trust_env=False
            )
        except httpx.HTTPError as error:
            raise NotReadyError(f"the registry does not answer ({error})") from error
        if gate.status_code != httpx.codes.UNAUTHORIZED or "Basic" not in gate.headers.get("WWW-Authenticate", ""):
            raise NotReadyError(
                f"the gate on port {world.ports.ecr} answers {gate.status_code} instead of asking for a login"
            )
        if behind.status_code != httpx.codes.OK:
            raise NotReadyError(f"the registry behind the gate answers {behind.status_code}")

    def _repair_once(self, world: World) -> None:
        """Repair once for each process of the AWS API: what people delete while it lives stays deleted."""
        process = recorded(world).get("aws")
        record = world.state / "run" / "aws.json"
        life = json.loads(record.read_text())["born"] if record.exists() else None
        mark = world.folder("registry") / "repaired"
        if mark.exists() and mark.read_text() == f"{process} {life}":
            return
        try:
            restore(world)
        except httpx.HTTPError as error:
            raise self.failure(world, f"what ECR lost could not be put back ({error})", _GATE) from error
        world.write(mark, f"{process} {life}")


def gate_settings(world: World) -> GateSettings:
    """What the gate of this world is told."""
    return GateSettings(
        host=HOST,
        port=world.ports.ecr,
        registry=f"http://{HOST}:{world.ports.registry}",
        registry_password=world.secret("registry-password"),
        notification_secret=world.secret("registry-notifications"),
        login_secret=world.secret("ecr-login"),
        prefect=world.prefect_url,
        prefect_password=world.secret("prefect-password"),
        ledger=str(world.state / "registry" / "repositories.json"),
        storage=str(world.folder("registry", "storage")),
    )


def restore(world: World) -> dict[str, list[str]]:
    """Put back into ECR what the registry holds and the AWS API lost.

    Returns:
        ``repositories`` made again and ``images`` entered again.
    """
    answer = httpx.post(
        f"http://{HOST}:{world.ports.ecr}/symphony/repair",
        headers={SECRET_HEADER: world.secret("registry-notifications")},
        timeout=_REPAIR_SECONDS,
        trust_env=False,
    )
    found: dict[str, list[str]] = answer.raise_for_status().json()
    return found
