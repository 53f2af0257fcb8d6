"""One request through the ingress, and what is wrong with its answer."""

from __future__ import annotations

import contextlib
import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from symphony.models import Image
from symphony.outside import read_json
from symphony.smoke import Expected, parse_json_path
from tasks.certificate import Certificate, read, refusal
from tasks.kubernetes import Object

_BODY_BYTES = 64 * 1024
_REDIRECTS = 5
_FIRST = 200
_ERRORS = 400
_SECRET = frozenset({"set-cookie", "authorization", "proxy-authorization", "www-authenticate", "x-api-key"})


@dataclass(frozen=True)
class Target:
    """One path of one host.

    Attributes:
        application: Whose it is.
        host: What the Host header, and TLS, say.
        path: The path, with its query.
        base: Scheme, host and port that lead to it.
        expected: What the answer must be.
        image: The application's image, whose digest or commit the answer must tell; None where any answer will do.
        good: Good answers in a row that count.
        served: False where nobody may answer, since no Ingress names the host.
        backend: The Ingress's backend.
    """

    application: str
    host: str
    path: str
    base: str
    expected: Expected = field(default_factory=Expected)
    image: Image | None = None
    good: int = 3
    served: bool = True
    backend: Object = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """Scheme, host and port as people know it: the ingress's scheme and port, and the host's own name."""
        parts = urlsplit(self.base)
        return f"{parts.scheme}://{self.host}{f':{parts.port}' if parts.port else ''}"

    @property
    def url(self) -> str:
        """The address as people open it."""
        return f"{self.origin}{self.path}"


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        status: Its status; None where none came.
        headers: Its headers, those that hold secrets masked.
        body: The beginning of its body.
        milliseconds: Time it took, with all redirects that were followed.
        location: Address that it redirects to; empty where it does not.
        failure: Why none came, or why it is none.
        certificate: What the host showed, where it was asked by TLS.
    """

    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    milliseconds: float | None = None
    location: str = ""
    failure: str = ""
    certificate: Certificate | None = None

    @property
    def first(self) -> str:
        """The beginning of the body, as one line."""
        return " ".join(self.body[:_FIRST].decode(errors="replace").split())


def open_client(trusted: ssl.SSLContext) -> httpx.Client:
    """A client that keeps and sends no cookie, reads no netrc, and asks by a new connection each time.

    A connection that is kept would lead to the same load balancer, and to the host it was opened for.
    """
    nobody = CookieJar(policy=DefaultCookiePolicy(allowed_domains=()))
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(verify=trusted, cookies=nobody, limits=limits, trust_env=False, follow_redirects=False)


def ask(http: httpx.Client, target: Target, bases: Mapping[str, str]) -> Answer:
    """Ask once; a redirect to one of the environment's hosts is followed, unless one is expected.

    Args:
        http: From `open_client`.
        target: What to ask.
        bases: What leads to each of the environment's origins; no other is ever asked.
    """
    started = time.monotonic()
    url, base, seen = target.url, target.base, 0
    while True:
        answer = _once(http, url, base, started + target.expected.seconds)
        if not answer.location or not target.served or target.expected.redirect:
            return answer
        next_base = base_of(answer.location, bases)
        if next_base is None:
            return _failing(answer, f"it redirects to {answer.location}, which is none of the environment's hosts")
        seen += 1
        if seen > _REDIRECTS:
            return _failing(answer, f"it redirects more than {_REDIRECTS} times, now to {answer.location}")
        url, base = answer.location, next_base


def base_of(url: str, bases: Mapping[str, str]) -> str | None:
    """What leads to a URL's origin; None where it is none of the environment's."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        for host in (parts.hostname or "", f"*.{(parts.hostname or '').partition('.')[2]}"):
            if found := bases.get(f"{parts.scheme}://{host}{port}"):
                return found
    return None


def _once(http: httpx.Client, url: str, base: str, deadline: float) -> Answer:
    started = time.monotonic()
    seconds = max(0.1, deadline - started)
    parts = urlsplit(url)
    host = parts.hostname or ""
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    body = b""
    try:
        with http.stream(
            "GET", f"{base}{path}", headers={"Host": host}, timeout=seconds, extensions={"sni_hostname": host}
        ) as got:
            shown_by = read(got.extensions.get("network_stream"))
            for chunk in got.iter_bytes():
                body += chunk
                if len(body) > _BODY_BYTES or time.monotonic() > deadline:
                    break
    except httpx.TimeoutException:
        return Answer(failure=f"no answer within {seconds:.1f} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = refusal(error) or f"no answer: {type(error).__name__}: {error}".rstrip(": ")
        return Answer(failure=why)
    milliseconds = round((time.monotonic() - started) * 1000, 1)
    failure = f"its body does not end within {seconds:.1f} s" if time.monotonic() > deadline else ""
    location = got.headers["Location"] if got.has_redirect_location else ""
    try:
        location = location and urljoin(url, location)
    except ValueError:
        location, failure = "", f"it redirects to {location}, which is none of the environment's hosts, and no URL"
    shown = tuple((name, "***" if name.lower() in _SECRET else value) for name, value in got.headers.items())
    return Answer(got.status_code, shown, body[:_BODY_BYTES], milliseconds, location, failure, shown_by)


def _failing(answer: Answer, why: str) -> Answer:
    return replace(answer, failure=why)


def judge(answer: Answer, target: Target, recorded: Callable[[], str]) -> tuple[str, str]:
    """What an answer tells of its version, and what is wrong with it.

    Args:
        answer: The answer.
        target: What was asked.
        recorded: Looks up the commit recorded in the target's image; called only where the answer tells no digest.
    """
    if not target.served:
        return "", _served(answer, target)
    if answer.failure:
        return "", answer.failure
    if problem := _unlike(answer, target):
        return "", problem
    return _version(answer, target.image, recorded) if target.image else ("", "")


def _served(answer: Answer, target: Target) -> str:
    """What is wrong where nobody should have answered; all of an ingress may be redirected to HTTPS."""
    secure = answer.location.startswith(f"https://{target.host}/")
    if answer.status is None or answer.status >= _ERRORS or secure:
        return ""
    return f"status {answer.status} for a host that no Ingress names: {answer.first}"


def _unlike(answer: Answer, target: Target) -> str:
    """What is other than expected."""
    expected, status = target.expected, answer.status or 0
    if expected.redirect and not _same(answer.location, urljoin(target.url, expected.redirect)):
        where = f"redirects to {answer.location}" if answer.location else f"has status {status}"
        return f"it {where}, and does not redirect to {expected.redirect}"
    if status != expected.status if expected.status else status >= _ERRORS:
        return f"status {status}{f', not {expected.status}' if expected.status else ''}: {answer.first}"
    if expected.body is not None and expected.body not in answer.body.decode(errors="replace"):
        return f"its body lacks {expected.body!r}: {answer.first}"
    headers = httpx.Headers(list(answer.headers))
    for name, text in expected.headers.items():
        if text not in headers.get(name, ""):
            return f"its header {name} is {headers.get(name, 'missing')!r}, without {text!r}"
    return _other_fields(answer, expected.fields)


def _other_fields(answer: Answer, fields: Mapping[str, Any]) -> str:
    if not fields:
        return ""
    try:
        told = read_json(answer.body)
    except ValueError:
        return f"it is no JSON: {answer.first}"
    for path, value in fields.items():
        found = [match.value for match in parse_json_path(path).find(told)]
        if value not in found:
            said = ", ".join(json.dumps(one) for one in found) or "missing"
            return f"{path} is {said}, not {json.dumps(value)}"
    return ""


def _same(location: str, expected: str) -> bool:
    try:
        told, wanted = urlsplit(location), urlsplit(expected)
    except ValueError:
        return False
    alike = (told.scheme, told.hostname, told.path or "/") == (wanted.scheme, wanted.hostname, wanted.path or "/")
    return alike and (not wanted.query or told.query == wanted.query)


def _version(answer: Answer, image: Image, recorded: Callable[[], str]) -> tuple[str, str]:
    try:
        told = read_json(answer.body)
        digest, commit = str(told.get("digest") or ""), str(told.get("commit") or "")
        version = str(told.get("version") or commit[:12])
    except (ValueError, AttributeError):
        return "", f"it tells neither digest nor commit as JSON: {answer.first}"
    if digest:
        wrong = digest != image.digest
        return version, f"it is {digest[:19]}, not {image.digest[:19]}, that answers" if wrong else ""
    if not commit:
        return version, f"it tells neither digest nor commit as JSON: {answer.first}"
    wanted = recorded()
    if commit == wanted:
        return version, ""
    return version, f"it is commit {commit[:12]}, not {wanted[:12] or 'one that the image records'}, that answers"
