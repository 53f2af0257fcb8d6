"""The password of an ECR login: signed, expiring, and checked without asking anybody."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from pathlib import Path

USER = "AWS"
"""The only user name that ECR knows."""
LIFE_SECONDS = 12 * 3600.0
"""How long a login holds on AWS (ECR's user guide, "Private registry authentication")."""


class LoginError(Exception):
    """A login that is not accepted; the message says why."""


class ExpiredLoginError(LoginError):
    """A login that was good once."""


@dataclass(frozen=True)
class Login:
    """A login as ECR hands it out.

    Attributes:
        password: What `docker login -u AWS` takes.
        expires: Unix time in seconds at which it ends.
    """

    password: str
    expires: float

    @property
    def token(self) -> str:
        """The ``authorizationToken`` of ECR's answer: base64 of ``AWS:<password>``."""
        return base64.b64encode(f"{USER}:{self.password}".encode()).decode()


def issue(secret: str, now: float, life: float) -> Login:
    """Make a login that holds for ``life`` seconds from ``now`` (Unix time)."""
    expires = now + life
    body = base64.urlsafe_b64encode(json.dumps({"expires": expires}).encode()).decode().rstrip("=")
    return Login(f"{body}.{_signature(secret, body)}", expires)


def check(secret: str, user: str, password: str, now: float) -> None:
    """Accept a login or say why not.

    Raises:
        ExpiredLoginError: Its time is over.
        LoginError: It is none that this sandbox issued.
    """
    body, _, signature = password.partition(".")
    if user != USER or not hmac.compare_digest(signature.encode(), _signature(secret, body).encode()):
        raise LoginError("the user name and password are no login of this registry")
    expires = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["expires"]
    if now >= expires:
        raise ExpiredLoginError("the ECR login has expired")


def life(path: Path) -> float:
    """Seconds a login holds: what the file says, or as on AWS where there is none."""
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return LIFE_SECONDS


def _signature(secret: str, body: str) -> str:
    return hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
