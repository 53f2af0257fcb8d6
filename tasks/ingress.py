"""The way in: what an application's Ingresses promise, asked through the real ingress."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from prefect import task

from symphony.change import Change
from symphony.errors import SmokeError, SymphonyError
from symphony.models import Image, Probe
from tasks.argocd import application_name
from tasks.kubernetes import INGRESSES, Object, cluster
from tasks.pods import selector
from tasks.retry import ONCE, TRANSIENT

_GOOD = 3
"""Good answers in a row that count: an old pod may still be among those that answer."""
_PAUSE = 0.1
_REQUEST_SECONDS = 5.0
_BODY_BYTES = 64 * 1024
_TRACKING = "argocd.argoproj.io/tracking-id"
_HTTP_ERRORS = 400


@dataclass(frozen=True)
class Target:
    """One path of one host.

    Attributes:
        application: Whose it is.
        host: What the Host header says.
        path: The path.
        base: Scheme, host and port that lead to it.
        digest: The image whose digest the answer must tell as JSON; empty where any answer will do.
    """

    application: str
    host: str
    path: str
    base: str
    digest: str = ""

    @property
    def url(self) -> str:
        """The address as people open it: the ingress's scheme and port, and the host's own name."""
        parts = urlsplit(self.base)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{self.host}{port}{self.path}"


class ProbeError(SmokeError):
    """A URL did not answer as it should.

    Attributes:
        probe: The last answer.
    """

    def __init__(self, probe: Probe) -> None:
        """Tell URL and problem."""
        self.probe = probe
        super().__init__(f"{probe.url}: {probe.problem}")


@task(name="read ingresses", task_run_name="read ingresses of {change.environment}", **TRANSIENT)
def read_targets(change: Change, images: Iterable[Image]) -> tuple[Target, ...]:
    """Everything that the Ingress objects of these applications promise, and each host's ``/version``.

    Args:
        change: The commit being released.
        images: The applications, and the digest each must tell.

    Returns:
        One target a host and path, in order; none for an application without an Ingress.

    Raises:
        TransientError: The cluster could not be reached.
        SymphonyError: It refused, or an Ingress has no address and the environment names none.
    """
    path = INGRESSES.format(namespace=change.target.kubernetes.namespace)
    every = cluster(change.target).objects(path)
    return tuple(
        target
        for image in images
        for ingress in every
        if _belongs(ingress, change.environment, image.application)
        for target in targets(ingress, image, change.target.ingress.address)
    )


def targets(ingress: Object, image: Image, address: str | None) -> list[Target]:
    """What one Ingress promises.

    Args:
        ingress: The object.
        image: The application, and the digest it must tell.
        address: The environment's own ingress address; the Ingress's load balancer is asked where there is none.

    Raises:
        SymphonyError: There is no address to ask.
    """
    found: list[Target] = []
    secure = {host for tls in ingress["spec"].get("tls") or [] for host in tls.get("hosts", [])}
    for rule in ingress["spec"].get("rules") or []:
        host = rule.get("host", "")
        base = address or _load_balancer(ingress, "https" if host in secure else "http")
        name = host or urlsplit(base).hostname or ""
        paths = rule.get("http", {}).get("paths") or []
        found += [Target(image.application, name, one.get("path") or "/", base) for one in paths]
        prefixes = sorted(one.get("path") or "/" for one in paths if one.get("pathType") != "Exact")
        if prefixes:
            version = f"{prefixes[0].rstrip('/')}/version"
            found.append(Target(image.application, name, version, base, image.digest))
    return list(dict.fromkeys(found))


@task(name="probe", task_run_name="probe {target.url}", **ONCE)
def probe(target: Target, seconds: float) -> Probe:
    """Ask one URL until it answered well several times in a row, or the time is over.

    A redirect is an answer, and is not followed; of a body no more than 64 KiB is read.

    Args:
        target: What to ask.
        seconds: Limit for settling.

    Returns:
        The last answer.

    Raises:
        ProbeError: It was not a good one.
    """
    deadline = time.monotonic() + seconds
    good = 0
    with httpx.Client(base_url=target.base, headers={"Host": target.host}, timeout=_REQUEST_SECONDS) as http:
        while True:
            found = ask(http, target)
            good = good + 1 if found.passed else 0
            if good >= _GOOD:
                return found
            if not found.passed:
                if time.monotonic() > deadline:
                    raise ProbeError(found)
                time.sleep(_PAUSE)


def ask(http: httpx.Client, target: Target) -> Probe:
    """Ask once."""
    started = time.monotonic()
    asked = {"application": target.application, "url": target.url}
    try:
        with http.stream("GET", target.path, follow_redirects=False) as answer:
            body = b""
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > _BODY_BYTES or time.monotonic() - started > _REQUEST_SECONDS:
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        problem = f"no answer: {type(error).__name__}: {error}".rstrip(": ")
        return Probe(**asked, status=None, milliseconds=None, problem=problem)
    milliseconds = round((time.monotonic() - started) * 1000, 1)
    version, problem = _read(answer.status_code, body, target.digest)
    return Probe(**asked, status=answer.status_code, milliseconds=milliseconds, version=version, problem=problem)


def _read(status: int, body: bytes, digest: str) -> tuple[str, str]:
    """The version that an answer tells, and what is wrong with the answer."""
    first = " ".join(body[:200].decode(errors="replace").split())
    if status >= _HTTP_ERRORS:
        return "", f"status {status}: {first}"
    if not digest:
        return "", ""
    try:
        told = json.loads(body)
        said, version = str(told["digest"]), str(told.get("version", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", f"it does not tell its digest as JSON: {first}"
    if said != digest:
        return version, f"it is {said[:19] or 'no digest'}, not {digest[:19]}, that answers"
    return version, ""


def _belongs(ingress: Object, environment: str, application: str) -> bool:
    """By Kubernetes' recommended label, or else by Argo CD's tracking."""
    label, value = selector(application).split("=")
    meta = ingress["metadata"]
    if label in (meta.get("labels") or {}):
        return bool(meta["labels"][label] == value)
    tracked = (meta.get("annotations") or {}).get(_TRACKING, "")
    return str(tracked).startswith(f"{application_name(environment, application)}:")


def _load_balancer(ingress: Object, scheme: str) -> str:
    for one in ingress.get("status", {}).get("loadBalancer", {}).get("ingress") or []:
        if place := one.get("hostname") or one.get("ip"):
            return f"{scheme}://{place}"
    raise SymphonyError(
        f"The Ingress {ingress['metadata']['name']} has no load balancer yet, and symphony.yaml names no "
        "ingress.address; look at the ingress controller."
    )
