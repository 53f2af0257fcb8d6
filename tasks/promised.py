"""What an Ingress promises: each path of each host, and what leads to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from symphony.config import Ingress
from symphony.outside import understood
from tasks.kubernetes import Object

_AWS_METADATA = ip_address("fd00:ec2::254")
_ALB = "alb.ingress.kubernetes.io"
_PATTERN = frozenset("*(^$|[\\?+")
"""What a path that only its controller understands may have; what stands before it is a path that can be asked."""


@dataclass(frozen=True)
class Served:
    """One path of one host that an object of the cluster promises.

    Attributes:
        host: The host; empty for every one.
        path: The path.
        exact: Whether nothing below it is served.
        base: Scheme, host and port that lead to it; empty where there is no load balancer yet.
        backend: What lies behind it, as an Ingress says it.
    """

    host: str
    path: str
    exact: bool
    base: str
    backend: Object = field(default_factory=dict)

    def covers(self, path: str) -> bool:
        """Whether a path is this one, or below it."""
        plain = path.partition("?")[0]
        return plain == self.path if self.exact else f"{plain}/".startswith(f"{self.path.rstrip('/')}/")

    @property
    def name(self) -> str:
        """A host's name that may be asked: one of a wildcard's, or that of the address."""
        return self.host.replace("*", "smoke", 1) or urlsplit(self.base).hostname or ""


def served(ingress: Object, settings: Ingress) -> list[Served]:
    """What one Ingress promises.

    Args:
        ingress: The object.
        settings: How the environment is reached.
    """
    with understood("An Ingress"):
        return _served(ingress, settings)


def _served(ingress: Object, settings: Ingress) -> list[Served]:
    spec, found = ingress["spec"], list[Served]()
    place = _place(ingress)
    if backend := spec.get("defaultBackend"):
        leads = base(settings, place, secure=_is_secure(ingress, ""))
        found.append(Served("", "/", exact=False, base=leads, backend=backend))
    for rule in spec.get("rules") or []:
        host = str(rule.get("host", ""))
        leads = base(settings, place, secure=_is_secure(ingress, host))
        for one in (rule.get("http") or {}).get("paths") or []:
            path, kind = str(one.get("path") or "/"), one.get("pathType", "")
            plain = path if kind in {"Prefix", "Exact"} else before_pattern(path)
            found.append(Served(host, plain, exact=kind == "Exact", base=leads, backend=one.get("backend") or {}))
    return found


def base(settings: Ingress, place: str, *, secure: bool) -> str:
    """Scheme, host and port that lead to a host: the environment's own, or else the load balancer's; or empty.

    Args:
        settings: How the environment is reached.
        place: Host, and port where it is another than the scheme's, of the load balancer; empty where there is none.
        secure: Whether the host is served by TLS.
    """
    if given := (settings.tls_address if secure else None) or settings.address:
        return given
    return f"{'https' if secure else 'http'}://{place}" if place and not _is_the_machines(place) else ""


def before_pattern(path: str) -> str:
    """A path that can be asked: what stands before the first part that only its controller understands."""
    return "".join(_until(path)) or "/"


def bracketed(address: str) -> str:
    """An address as URLs have it."""
    return f"[{address}]" if ":" in address else address


def _is_the_machines(place: str) -> bool:
    """Whether an address is that of the machine's own cloud, which hands out credentials and is no load balancer's."""
    try:
        address = ip_address(urlsplit(f"//{place}").hostname or "")
    except ValueError:
        return False
    return address.is_link_local or address == _AWS_METADATA


def _is_secure(ingress: Object, host: str) -> bool:
    """Whether a host is served by TLS: the Ingress says so, or the ALB is told by annotations."""
    told = ingress["metadata"].get("annotations") or {}
    if told.get(f"{_ALB}/certificate-arn") or "HTTPS" in told.get(f"{_ALB}/listen-ports", ""):
        return True
    wide = f"*.{host.partition('.')[2]}"
    return any(not tls.get("hosts") or {host, wide} & {*tls["hosts"]} for tls in ingress["spec"].get("tls") or [])


def _until(path: str) -> Iterator[str]:
    for letter in path:
        if letter in _PATTERN:
            return
        yield letter


def _place(ingress: Object) -> str:
    for one in ingress.get("status", {}).get("loadBalancer", {}).get("ingress") or []:
        if place := one.get("hostname") or one.get("ip"):
            return bracketed(str(place))
    return ""
