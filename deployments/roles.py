"""Who may ask Prefect's server for what: logins with a role and a credential of their own, in one file.

Credentials are made, never chosen: 256 random bits, of which the file keeps the SHA-256 alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, RootModel, StringConstraints, ValidationError

from symphony.errors import BadInputError
from symphony.models import Fact

FILE = "SYMPHONY_CREDENTIALS"
"""Variable with the path of the file; without it, the server's one credential is the only one."""
_ANY = "[^/]+"
_READS = "(filter|count|paginate|history|lateness|latest/filter|latest/count)"


class Role(StrEnum):
    """What a login is for; each may do what those before it may."""

    CI = "ci"
    APPROVER = "approver"
    ADMIN = "admin"


_MAY: tuple[tuple[Role, str, re.Pattern[str]], ...] = tuple(
    (role, method, re.compile(f"/api/{path}"))
    for role, method, path in (
        # Start a run of a deployment, and read runs, their logs and artifacts.
        (Role.CI, "GET", "(health|ready|version|hello|csrf-token|admin/version)"),
        (Role.CI, "GET", f"(deployments|flows)/(name/)?{_ANY}(/{_ANY})?"),
        (Role.CI, "GET", f"(flow_runs|task_runs|artifacts)/{_ANY}(/(graph|graph-v2|logs/download|latest))?"),
        (Role.CI, "POST", f"(deployments|flows|flow_runs|task_runs|logs|artifacts)/{_READS}"),
        (Role.CI, "POST", f"deployments/{_ANY}/create_flow_run"),
        # See what a run asks, answer it, end a run, and read all that the UI shows but blocks, which hold secrets.
        (Role.APPROVER, "GET", f"flow_runs/{_ANY}/input/{_ANY}"),
        (Role.APPROVER, "POST", f"flow_runs/{_ANY}/(resume|input/filter)"),
        (Role.APPROVER, "POST", f"flow_runs/{_ANY}/set_state"),
        (Role.APPROVER, "GET", "(?!block_|admin/storage|variables)[^/].*"),
        (Role.APPROVER, "POST", f"(?!block_|variables)[^/].*/{_READS}"),
        (Role.APPROVER, "POST", "(ui/.+|events/count-by/.+|work_(pools|queues)/.+/concurrency_status)"),
    )
)
"""The least role for each method and path, lesser roles first; all else is for `Role.ADMIN`."""


class Login(Fact):
    """One who may ask.

    Attributes:
        role: What for.
        sha256: Digest of the credential, in hexadecimal.
    """

    role: Role
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$")]


class Logins(RootModel[dict[Name, Login]]):
    """Everyone, by name."""


class Credentials:
    """The file of logins, read again when it has changed."""

    def __init__(self, path: Path) -> None:
        """Read nothing yet.

        Args:
            path: The file; where it is not there, nobody has a login.
        """
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._logins: dict[str, Login] = {}

    def logins(self) -> dict[str, Login]:
        """Everyone.

        Raises:
            BadInputError: The file cannot be read.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._logins, self._seen = {}, None
            return {}
        seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        if seen != self._seen:
            try:
                self._logins = Logins.model_validate_json(self._path.read_bytes()).root
            except (OSError, ValidationError) as error:
                raise BadInputError(f"{self._path} is no file of logins: {error}") from error
            self._seen = seen
        return self._logins

    def known(self, name: str, credential: str) -> Login | None:
        """The login that a name and a credential belong to."""
        login = self.logins().get(name)
        digest = login.sha256 if login else "0" * 64
        same = hmac.compare_digest(hashlib.sha256(credential.encode()).hexdigest(), digest)
        return login if login and same else None

    def give(self, name: str, role: Role) -> str:
        """Let somebody in, with a credential that replaces the one before at once.

        Args:
            name: The login.
            role: What for.

        Returns:
            The credential; it is kept nowhere.

        Raises:
            BadInputError: The name is none, or the file cannot be read.
        """
        made = secrets.token_urlsafe(32)
        login = Login(role=role, sha256=hashlib.sha256(made.encode()).hexdigest())
        try:
            everyone = Logins.model_validate({**self.logins(), name: login})
        except ValidationError as error:
            raise BadInputError(
                f"{name!r} is no login: take at most 100 letters, digits and . _ @ -, a letter or digit first."
            ) from error
        self._write(everyone.root)
        return made

    def take(self, name: str) -> None:
        """Let somebody in no more.

        Raises:
            BadInputError: There is no such login.
        """
        everyone = dict(self.logins())
        if everyone.pop(name, None) is None:
            raise BadInputError(f"{self._path} has no login {name!r}; it has {', '.join(sorted(everyone)) or 'none'}.")
        self._write(everyone)

    def _write(self, everyone: dict[str, Login]) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        half = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        half.touch(mode=0o600)
        content = {name: login.model_dump(mode="json") for name, login in sorted(everyone.items())}
        half.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        half.replace(self._path)


def may(role: Role, method: str, path: str) -> bool:
    """Whether a role may ask the API so; see `least`."""
    roles = list(Role)
    return roles.index(role) >= roles.index(least(method, path))


def least(method: str, path: str) -> Role:
    """The first role that may ask the API so.

    Args:
        method: HTTP method, in capitals.
        path: The request's path, decoded.
    """
    asked, place = "GET" if method == "HEAD" else method, path.rstrip("/")
    return next((role for role, one, pattern in _MAY if one == asked and pattern.fullmatch(place)), Role.ADMIN)


def named(header: str) -> tuple[str, str]:
    """Name and credential of an Authorization header of the scheme Basic (RFC 7617); blank where it has none."""
    scheme, _, encoded = header.partition(" ")
    try:
        name, _, credential = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:  # no base64, no UTF-8, or no ASCII
        return "", ""
    return (name, credential) if scheme.lower() == "basic" else ("", "")
