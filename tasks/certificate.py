"""Certificates that hosts show: whom they are trusted by, and how long they last."""

from __future__ import annotations

import functools
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from symphony.change import Change
from symphony.errors import SmokeError

_DAY = 24 * 3600


@dataclass(frozen=True)
class Certificate:
    """A certificate that was found good: its chain, its host's name and its time.

    Attributes:
        issuer: Who gave it.
        ends: When it ends, in seconds since 1970.
    """

    issuer: str
    ends: float

    @property
    def days(self) -> float:
        """Days that are left of it."""
        return (self.ends - time.time()) / _DAY

    def __str__(self) -> str:
        """What is left of it, as a clause for people."""
        day = datetime.fromtimestamp(self.ends, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return f"by {self.issuer} ends in {self.days:.1f} days, on {day}"


def trust(change: Change) -> ssl.SSLContext:
    """Whom the environment's certificates are checked by: the public authorities, and its own where it names one.

    Raises:
        SmokeError: The file that it names is missing, or is none.
    """
    own = change.target.ingress.authority
    try:
        return _context(change.tree / own if own else None)
    except (OSError, ssl.SSLError) as error:
        raise SmokeError(
            f"{own}, which symphony.yaml names as ingress.authority of {change.environment}, is no file of "
            f"certificates in PEM ({error}); correct it."
        ) from error


@functools.lru_cache(maxsize=8)
def _context(own: Path | None) -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    if own:
        context.load_verify_locations(own)
    return context


def read(stream: Any) -> Certificate | None:
    """The certificate by which a connection was opened; None where it is no TLS.

    Args:
        stream: httpx's ``network_stream``.
    """
    tls = stream.get_extra_info("ssl_object") if stream else None
    if tls is None:
        return None
    told = tls.getpeercert()
    names = {key: value for part in told["issuer"] for key, value in part}
    issuer = names.get("organizationName") or names.get("commonName") or "an issuer without a name"
    return Certificate(issuer, float(ssl.cert_time_to_seconds(told["notAfter"])))


def refusal(error: BaseException) -> str:
    """Why a certificate was found not to be good, where that is what ended a request; else empty."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not good: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    return ""
