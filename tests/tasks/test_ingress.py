from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from symphony.errors import SymphonyError
from symphony.models import Image
from tasks import ingress
from tasks.ingress import ProbeError, Target, ask, probe, targets

DIGEST = "sha256:" + "d" * 64
IMAGE = Image(application="one", repository="r/one", tag="t", digest=DIGEST, built=True, commit="c" * 40)
ADDRESS = "http://ingress.example:8080"
Answer = Callable[[httpx.Request], httpx.Response]


def ingress_of(*paths: tuple[str, str], host: str = "one.dev.localhost", **more: Any) -> dict[str, Any]:
    listed = [{"path": path, "pathType": kind} for path, kind in paths]
    return {
        "metadata": {"name": "one"},
        "spec": {"rules": [{"host": host, "http": {"paths": listed}}], **more.pop("spec", {})},
        **more,
    }


def client(answer: Answer) -> httpx.Client:
    return httpx.Client(base_url=ADDRESS, transport=httpx.MockTransport(answer), headers={"Host": "one.dev.localhost"})


def version(digest: str = DIGEST) -> httpx.Response:
    return httpx.Response(200, json={"digest": digest, "version": "1"})


VERSION = Target("one", "one.dev.localhost", "/version", ADDRESS, DIGEST)
ROOT = Target("one", "one.dev.localhost", "/", ADDRESS)


def test_every_path_is_asked_and_each_host_for_its_version() -> None:
    found = targets(ingress_of(("/a", "Prefix"), ("/b", "Exact")), IMAGE, ADDRESS)
    assert [(one.url, one.digest) for one in found] == [
        ("http://one.dev.localhost:8080/a", ""),
        ("http://one.dev.localhost:8080/b", ""),
        ("http://one.dev.localhost:8080/a/version", DIGEST),
    ]


def test_without_an_address_of_the_environment_the_load_balancer_is_asked() -> None:
    status = {"loadBalancer": {"ingress": [{"hostname": "lb.example"}]}}
    tls = {"tls": [{"hosts": ["one.dev.localhost"]}]}
    assert targets(ingress_of(("/", "Prefix"), status=status), IMAGE, None)[0].base == "http://lb.example"
    assert targets(ingress_of(("/", "Prefix"), status=status, spec=tls), IMAGE, None)[0].base == "https://lb.example"
    with pytest.raises(SymphonyError, match="has no load balancer yet"):
        targets(ingress_of(("/", "Prefix")), IMAGE, None)


def test_a_good_answer_tells_status_time_and_version() -> None:
    found = ask(client(lambda _: version()), VERSION)
    assert found.passed
    assert (found.status, found.version) == (200, "1")
    assert found.milliseconds is not None


def test_the_host_is_asked_by_name_at_the_ingress_address() -> None:
    seen: list[httpx.Request] = []
    ask(client(lambda request: seen.append(request) or version()), VERSION)
    assert (seen[0].headers["Host"], str(seen[0].url)) == ("one.dev.localhost", f"{ADDRESS}/version")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (httpx.Response(404, text="404 page\nnot found"), "status 404: 404 page not found"),
        (httpx.Response(502, text=""), "status 502"),
        (version("sha256:" + "e" * 64), "it is sha256:eeeeeeeeeeee, not sha256:dddddddddddd, that answers"),
        (httpx.Response(200, text="hello"), "it does not tell its digest as JSON: hello"),
        (httpx.Response(200, json=["digest"]), "it does not tell its digest as JSON"),
        (httpx.Response(302, headers={"Location": "http://elsewhere.example/"}), "it does not tell its digest"),
    ],
)
def test_a_bad_answer_tells_what_is_wrong(answer: httpx.Response, problem: str) -> None:
    found = ask(client(lambda _: answer), VERSION)
    assert not found.passed
    assert problem in found.problem


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"Location": "http://elsewhere.example/"})

    assert ask(client(answer), ROOT).passed
    assert asked == [f"{ADDRESS}/"]


def test_no_answer_is_told_with_its_reason() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    found = ask(client(answer), ROOT)
    assert found.status is None
    assert found.problem == "no answer: ConnectError: connection refused"


def test_a_body_without_end_is_not_read_to_it() -> None:
    class Endless(httpx.SyncByteStream):
        read = 0

        def __iter__(self) -> Any:
            while True:
                self.read += 1024
                yield b"x" * 1024

    body = Endless()
    assert ask(client(lambda _: httpx.Response(200, stream=body)), ROOT).passed
    assert body.read < 256 * 1024


def test_several_good_answers_in_a_row_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = version("sha256:" + "e" * 64), version()
    answers = iter([old, new, new, old, new, new, new])
    asked: list[int] = []

    def answer(_: httpx.Request) -> httpx.Response:
        asked.append(1)
        return httpx.Response(200, content=json.dumps(next(answers).json()).encode())

    real = httpx.Client
    monkeypatch.setattr(ingress.httpx, "Client", lambda **more: real(transport=httpx.MockTransport(answer), **more))
    assert probe.fn(VERSION, 5).passed
    assert len(asked) == 7


def test_what_never_answers_well_ends_with_its_last_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    real = httpx.Client
    transport = httpx.MockTransport(lambda _: httpx.Response(503, text="no endpoints"))
    monkeypatch.setattr(ingress.httpx, "Client", lambda **more: real(transport=transport, **more))
    started = time.monotonic()
    with pytest.raises(ProbeError, match=r"^http://one\.dev\.localhost:8080/version: status 503: no endpoints$"):
        probe.fn(VERSION, 0.3)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("metadata", "belongs"),
    [
        ({"labels": {"app.kubernetes.io/name": "one"}}, True),
        ({"labels": {"app.kubernetes.io/name": "one-more"}}, False),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "dev-one:networking.k8s.io/Ingress:dev/one"}}, True),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "dev-one-more:networking.k8s.io/Ingress:dev/x"}}, False),
        ({}, False),
    ],
)
def test_an_ingress_belongs_by_label_or_by_tracking(
    monkeypatch: pytest.MonkeyPatch, delivery: Any, metadata: dict[str, Any], *, belongs: bool
) -> None:
    found = ingress_of(("/", "Prefix"))
    found["metadata"] = {"name": "x", **metadata}

    class Cluster:
        def objects(self, _: str) -> list[dict[str, Any]]:
            return [found]

    monkeypatch.setattr(ingress, "cluster", lambda _: Cluster())
    assert bool(ingress.read_targets.fn(delivery.change(), [IMAGE])) is belongs
