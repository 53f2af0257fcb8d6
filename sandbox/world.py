"""Where the sandbox lives: its state folder, ports, addresses, secrets and tools."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from symphony.errors import BadInputError

HOST = "127.0.0.1"
BRIDGE = "symphony0"
"""The CNI bridge; it exists only while the sandbox is up."""
POD_SUBNET = "10.213.0.0/24"
BRIDGE_ADDRESS = "10.213.0.1"
"""Address of the bridge: the node's own, and what pods may reach of the host (API server, DNS)."""
SERVICE_SUBNET = "10.214.0.0/24"
ACCOUNT = "123456789012"
"""The account that moto plays."""
REGION = "eu-central-1"
ENVIRONMENTS = ("dev", "staging", "prod")


@dataclass(frozen=True)
class Ports:
    """TCP ports, all on loopback unless said otherwise; the ones that people open are stable."""

    prefect: int = 4200
    prefect_server: int = 4201
    """This one and the three that follow are behind the first, where Prefect's server is several processes."""
    prefect_second: int = 4202
    prefect_database: int = 5439
    prefect_redis: int = 6391
    git: int = 4280
    aws: int = 4566
    ecr: int = 5010
    """The gate that behaves as ECR's registry does."""
    registry: int = 5011
    """The OCI registry behind the gate."""
    kubernetes: int = 6450
    """API server; on the bridge too, where pods reach it."""
    etcd: int = 2389
    etcd_peer: int = 2390
    redis: int = 6390
    ingress: int = 8080
    ingress_tls: int = 8443
    ingress_ping: int = 8089
    argocd: int = 8081
    argocd_repo: int = 8082
    argocd_metrics: int = 8083
    """First of five, for metrics and web hooks of Argo CD's processes."""


def state_home() -> Path:
    """Folder of everything the sandbox keeps: ``SYMPHONY_STATE``, or the user's state folder."""
    default = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "symphony"
    return Path(os.environ.get("SYMPHONY_STATE") or default)


def cache_home() -> Path:
    """Folder of what may be kept between sandboxes (tools, base image): ``SYMPHONY_CACHE``, or the user's cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "symphony"
    return Path(os.environ.get("SYMPHONY_CACHE") or default)


@dataclass(frozen=True)
class World:
    """One sandbox.

    Attributes:
        source: The clone whose ``apps``, ``charts``, ``infra`` and ``symphony.yaml`` seed the Git remote.
        state: State folder, mode 0700.
        cache: Cache folder.
        tools: Folders with the toolchain's programs, searched before PATH.
        ports: Ports of the parts.
    """

    source: Path
    state: Path = field(default_factory=state_home)
    cache: Path = field(default_factory=cache_home)
    tools: tuple[Path, ...] = ()
    ports: Ports = field(default_factory=Ports)

    def folder(self, *names: str) -> Path:
        """A folder below the state folder, made with mode 0700 where it is missing."""
        path = self.state.joinpath(*names)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def log(self, daemon: str) -> Path:
        """Log file of a daemon."""
        return self.folder("logs") / f"{daemon}.log"

    def secret(self, name: str) -> str:
        """A generated secret (URL-safe text), the same until ``down``; kept with mode 0600."""
        path = self.folder("secrets") / name
        if not path.exists():
            half = self.write(path.with_name(f".{name}.{secrets.token_hex(4)}"), secrets.token_urlsafe(24))
            with contextlib.suppress(FileExistsError):  # parts start side by side: the first to make it decides
                path.hardlink_to(half)
            half.unlink()
        return path.read_text()

    def write(self, path: Path, text: str, mode: int = 0o600) -> Path:
        """Write a file whole or not at all, readable by the owner alone unless ``mode`` says otherwise."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        half = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
        half.replace(path)
        return path

    def tool(self, name: str) -> Path:
        """Path of a program of the toolchain or the system.

        Raises:
            BadInputError: It is nowhere.
        """
        places = [
            *self.tools,
            *map(Path, os.environ.get("PATH", "").split(os.pathsep)),
            Path("/usr/sbin"),
            Path("/sbin"),
            # Debian's PostgreSQL is on nobody's PATH.
            *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        ]
        for place in places:
            if os.access(place / name, os.X_OK):
                return place / name
        raise BadInputError(f"The program {name!r} is missing; `make setup` installs all that the sandbox needs.")

    @property
    def path(self) -> str:
        """PATH for the sandbox's processes: the toolchain first."""
        return os.pathsep.join([*map(str, self.tools), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of the sandbox's cluster, context ``symphony``."""
        return self.state / "kubernetes" / "kubeconfig"

    @property
    def docker_host(self) -> str:
        """Docker engine that builds: the one chosen at ``up``, remembered in the state folder."""
        choice = self.state / "docker" / "engine.json"
        if choice.exists():
            return str(json.loads(choice.read_text())["host"])
        return os.environ.get("DOCKER_HOST") or f"unix://{self.state / 'docker' / 'docker.sock'}"

    @property
    def aws_endpoint(self) -> str:
        """Address of the AWS API."""
        return f"http://{HOST}:{self.ports.aws}"

    @property
    def git_remote(self) -> str:
        """URL of the Git remote, without its credentials."""
        return f"http://{HOST}:{self.ports.git}/platform.git"

    @property
    def prefect_url(self) -> str:
        """Address of the Prefect UI; its API is below ``/api``."""
        return f"http://{HOST}:{self.ports.prefect}"
