"""What the AWS server's process is told: one file, because process lists show arguments."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class AwsSettings:
    """Settings of the server.

    Attributes:
        host: Address to listen on.
        port: Port to listen on.
        account: The account that is played, 12 digits.
        access_key: The access key id whose requests are answered.
        login_secret: Signs ECR logins; the gate checks with the same.
        login_life: File that may hold another life of a login, in seconds; read at each request.
        registry: Host and port that image names begin with.
        layers: Base URL of the OCI registry that holds the images.
        layers_user: Its user.
        layers_password: The user's password.
    """

    host: str
    port: int
    account: str
    access_key: str
    login_secret: str
    login_life: str
    registry: str
    layers: str
    layers_user: str
    layers_password: str

    def text(self) -> str:
        """The file's content."""
        return json.dumps(asdict(self), indent=1)

    @property
    def mark(self) -> str:
        """An argument for the process, so that one that was told something else is replaced."""
        return hashlib.sha256(self.text().encode()).hexdigest()[:12]

    @classmethod
    def read(cls, path: Path) -> AwsSettings:
        """Read the file."""
        return cls(**json.loads(path.read_text()))
