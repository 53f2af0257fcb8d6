from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from symphony.models import Image
from symphony.smoke import Expected
from tasks import answer as module
from tasks.answer import Answer, Target, ask, judge, open_client

DIGEST = "sha256:" + "d" * 64
IMAGE = Image(application="one", repository="r/one", tag="t", digest=DIGEST, built=True, commit="c" * 40)
ADDRESS = "http://ingress.example:8080"
HOST = "one.dev.localhost"
BASES = {f"http://{HOST}": ADDRESS, f"http://{HOST}:8080": ADDRESS, "https://*.dev.localhost": "https://lb.example"}
Reply = Callable[[httpx.Request], httpx.Response]


def target(path: str = "/", image: Image | None = None, *, served: bool = True, **expected: Any) -> Target:
    return Target("one", HOST, path, ADDRESS, Expected(**expected), image, served=served)


def asked(monkeypatch: pytest.MonkeyPatch, reply: Reply, what: Target) -> Answer:
    real = httpx.Client
    monkeypatch.setattr(
        module.httpx,
        "Client",
        lambda **more: real(transport=httpx.MockTransport(reply), **{**more, "limits": None} | {}),
    )
    with open_client(ssl.create_default_context()) as http:
        return ask(http, what, BASES)


def problem(answer: Answer, what: Target, recorded: str = "") -> str:
    return judge(answer, what, lambda: recorded)[1]


def said(status: int = 200, body: str = "", location: str = "", **headers: str) -> Answer:
    return Answer(status, tuple(headers.items()), body.encode(), 1.0, location)


def test_the_host_is_asked_by_name_at_the_ingress_address(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[httpx.Request] = []
    asked(monkeypatch, lambda request: seen.append(request) or httpx.Response(200), target("/a?b=c"))
    assert (seen[0].headers["Host"], str(seen[0].url)) == (HOST, f"{ADDRESS}/a?b=c")
    assert seen[0].extensions["sni_hostname"] == HOST


def test_an_answer_is_kept_with_its_secrets_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = httpx.Response(500, headers={"Set-Cookie": "s3cr3t", "X-Trace": "t"}, text="out of\nmemory")
    found = asked(monkeypatch, lambda _: reply, target())
    assert (found.status, found.first) == (500, "out of memory")
    assert ("x-trace", "t") in found.headers
    assert "s3cr3t" not in repr(found)


def test_a_redirect_within_the_environment_is_followed_and_takes_no_cookie_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[str, str]] = []

    def reply(request: httpx.Request) -> httpx.Response:
        seen.append((str(request.url), request.headers["Host"]))
        assert "Cookie" not in request.headers
        moved = {"/": "/home", "/home": "https://two.dev.localhost/x"}.get(request.url.path)
        headers = {"Location": moved, "Set-Cookie": "id=1"} if moved else {}
        return httpx.Response(302 if moved else 200, headers=headers)

    assert asked(monkeypatch, reply, target()).status == 200
    assert seen == [
        (f"{ADDRESS}/", HOST),
        (f"{ADDRESS}/home", HOST),
        ("https://lb.example/x", "two.dev.localhost"),
    ]


@pytest.mark.parametrize(
    "elsewhere",
    [
        "http://elsewhere.example/",
        f"http://{HOST}:9999/",
        f"https://{HOST}.evil.example/",
        "ftp://one.dev.localhost/",
        "http://[broken/",
        "//elsewhere.example/x",
    ],
)
def test_a_redirect_off_the_environments_hosts_is_told_and_never_followed(
    monkeypatch: pytest.MonkeyPatch, elsewhere: str
) -> None:
    seen: list[str] = []

    def reply(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(302, headers={"Location": elsewhere})

    found = asked(monkeypatch, reply, target())
    assert "which is none of the environment's hosts" in problem(found, target())
    assert seen == [f"{ADDRESS}/"]


def test_a_circle_of_redirects_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(monkeypatch, lambda _: httpx.Response(302, headers={"Location": "/"}), target())
    assert "it redirects more than 5 times" in problem(found, target())


def test_no_answer_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def reply(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    assert asked(monkeypatch, reply, target()).failure == "no answer: ConnectError: connection refused"


def test_one_that_takes_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def reply(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("timed out")

    assert asked(monkeypatch, reply, target(seconds=2)).failure == "no answer within 2.0 s"


class Endless(httpx.SyncByteStream):
    def __init__(self, pause: float = 0) -> None:
        self.pause, self.read = pause, 0

    def __iter__(self) -> Any:
        while True:
            time.sleep(self.pause)
            self.read += 1024
            yield b"x" * 1024


def test_a_body_without_end_is_not_read_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    body = Endless()
    found = asked(monkeypatch, lambda _: httpx.Response(200, stream=body), target())
    assert problem(found, target()) == ""
    assert len(found.body) == 64 * 1024
    assert body.read < 256 * 1024


def test_a_body_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(monkeypatch, lambda _: httpx.Response(200, stream=Endless(0.02)), target(seconds=0.2))
    assert "its body does not end within 0.2 s" in problem(found, target())


@pytest.mark.parametrize(
    ("answer", "expected", "told"),
    [
        (said(404, "404 page\nnot found"), {}, "status 404: 404 page not found"),
        (said(204), {}, ""),
        (said(401), {"status": 401}, ""),
        (said(200, "hello"), {"status": 401}, "status 200, not 401: hello"),
        (said(200, "hello"), {"body": "hell"}, ""),
        (said(200, "hello"), {"body": "bye"}, "its body lacks 'bye': hello"),
        (said(200, server="nginx/1"), {"headers": {"Server": "nginx"}}, ""),
        (said(200), {"headers": {"Server": "nginx"}}, "its header Server is 'missing', without 'nginx'"),
        (said(200, '{"a": [{"b": 1}, {"b": 2}]}'), {"fields": {"$.a[*].b": 2}}, ""),
        (said(200, '{"a": {"b": 1}}'), {"fields": {"$.a.b": 2}}, "$.a.b is 1, not 2"),
        (said(200, "{}"), {"fields": {"$.a": None}}, "$.a is missing, not null"),
        (said(200, "hello"), {"fields": {"$.a": 1}}, "it is no JSON: hello"),
        (said(302, location="http://one.dev.localhost/new?x=1"), {"redirect": "/new"}, ""),
        (said(302, location="http://sso.example/login?s=1"), {"redirect": "http://sso.example/login"}, ""),
        (
            said(302, location="http://sso.example/login?s=1"),
            {"redirect": "http://sso.example/login?s=2"},
            "it redirects to http://sso.example/login?s=1, and does not redirect to http://sso.example/login?s=2",
        ),
        (said(200), {"redirect": "/new"}, "it has status 200, and does not redirect to /new"),
    ],
)
def test_an_answer_is_held_against_what_is_expected(answer: Answer, expected: dict[str, Any], told: str) -> None:
    assert problem(answer, target(**expected)) == told


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (f'{{"digest": "{DIGEST}", "version": "1"}}', ""),
        (f'{{"digest": "sha256:{"e" * 64}"}}', "it is sha256:eeeeeeeeeeee, not sha256:dddddddddddd, that answers"),
        (f'{{"digest": "", "commit": "{"a" * 40}"}}', ""),
        (f'{{"commit": "{"b" * 40}"}}', "it is commit bbbbbbbbbbbb, not aaaaaaaaaaaa, that answers"),
        ('{"version": "1"}', 'it tells neither digest nor commit as JSON: {"version": "1"}'),
        ('["digest"]', 'it tells neither digest nor commit as JSON: ["digest"]'),
        ("hello", "it tells neither digest nor commit as JSON: hello"),
    ],
)
def test_the_version_is_told_by_digest_or_by_the_commit_recorded_in_the_image(body: str, told: str) -> None:
    assert problem(said(200, body), target("/version", IMAGE), recorded="a" * 40) == told


def test_the_image_is_asked_for_its_commit_only_where_no_digest_is_told() -> None:
    body = f'{{"digest": "{DIGEST}", "version": "1"}}'
    assert judge(said(200, body), target("/version", IMAGE), pytest.fail) == ("1", "")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (said(404), ""),
        (Answer(failure="no answer"), ""),
        (said(301, location=f"https://{HOST}/"), ""),
        (said(200, "welcome"), "status 200 for a host that no Ingress names: welcome"),
        (said(302, location="http://elsewhere.example/"), "status 302 for a host that no Ingress names: "),
    ],
)
def test_a_wrong_host_must_not_be_served(answer: Answer, told: str) -> None:
    assert problem(answer, target(served=False)) == told
