"""What the gate's process is told, and the configuration of the OCI registry behind it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

NOTIFICATIONS = "/symphony/notifications"
"""Path at which the gate takes the registry's push notifications."""
SECRET_HEADER = "X-Symphony-Registry"  # noqa: S105 - a header's name
"""Header by which the registry shows that a notification is its own."""
REGISTRY_USER = "gate"
"""The one user of the registry behind the gate."""


@dataclass(frozen=True)
class GateSettings:
    """Settings of the gate.

    Attributes:
        host: Address to listen on.
        port: Port to listen on.
        registry: Base URL of the registry behind it.
        registry_password: The registry's password for the gate.
        notification_secret: Value of the secret header.
        login_secret: Checks ECR logins.
        prefect: Base URL of Prefect's server.
        prefect_password: Password of its user ``admin``.
        ledger: File that remembers the repositories' settings.
        storage: Folder of the registry's blobs.
    """

    host: str
    port: int
    registry: str
    registry_password: str
    notification_secret: str
    login_secret: str
    prefect: str
    prefect_password: str
    ledger: str
    storage: str

    def text(self) -> str:
        """The file's content."""
        return json.dumps(asdict(self), indent=1)

    @property
    def mark(self) -> str:
        """An argument for the process, so that one that was told something else is replaced."""
        return hashlib.sha256(self.text().encode()).hexdigest()[:12]

    @classmethod
    def read(cls, path: Path) -> GateSettings:
        """Read the file."""
        return cls(**json.loads(path.read_text()))


def registry_configuration(settings: GateSettings, *, listen: str, htpasswd: Path, secret: str) -> str:
    """The registry's configuration file (distribution 2.8); JSON is YAML, and quotes what needs it.

    Args:
        settings: The gate's settings.
        listen: Host and port to listen on.
        htpasswd: File with the gate's password.
        secret: Signs the state of uploads, so that they outlive a restart.
    """
    endpoint = {
        "name": "gate",
        "url": f"http://{settings.host}:{settings.port}{NOTIFICATIONS}",
        "headers": {SECRET_HEADER: [settings.notification_secret]},
        "timeout": "5s",
        "threshold": 3,
        "backoff": "1s",
        "ignore": {"mediatypes": ["application/octet-stream"], "actions": ["pull"]},
    }
    configuration = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": settings.storage},
            "cache": {"blobdescriptor": "inmemory"},
            "delete": {"enabled": True},
        },
        "auth": {"htpasswd": {"realm": "gate", "path": str(htpasswd)}},
        "http": {"addr": listen, "relativeurls": True, "secret": secret},
        "notifications": {"endpoints": [endpoint]},
    }
    return json.dumps(configuration, indent=1)
