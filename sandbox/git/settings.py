"""What the Git server's process and the hooks are told."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

TRIGGERS = ("github_actions", "api")
"""Who may start the release of a push; the first does so where nothing else is said."""


@dataclass(frozen=True)
class GitSettings:
    """Settings of the server and the hooks.

    Attributes:
        host: Address to listen on.
        port: Port to listen on.
        root: Folder of the bare repositories.
        user: User name.
        password: Its password.
        prefect: Base URL of Prefect's server.
        prefect_login: Login and credential of CI there.
        environment: Environment that a push to main is released to.
        state: State folder of the sandbox.
        trigger: Who starts the release of a push: `github_actions`, the commit's workflow `release.yml`, or `api`,
            the hook by Prefect's API. A push says otherwise by `--push-option trigger=...`.
        base_image: Image that the applications stand on here.
        main: Branch whose pushes are released.
    """

    host: str
    port: int
    root: str
    user: str
    password: str
    prefect: str
    prefect_login: str
    environment: str
    state: str
    trigger: str = TRIGGERS[0]
    base_image: str = ""
    main: str = "main"

    def text(self) -> str:
        """The file's content."""
        return json.dumps(asdict(self), indent=1)

    @property
    def mark(self) -> str:
        """An argument for the process, so that one that was told something else is replaced."""
        return hashlib.sha256(self.text().encode()).hexdigest()[:12]

    @classmethod
    def read(cls, path: Path) -> GitSettings:
        """Read the file."""
        return cls(**json.loads(path.read_text()))
