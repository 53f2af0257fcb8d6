from __future__ import annotations

from typing import Any

import pytest

from symphony.config import Ingress
from symphony.errors import SmokeError
from symphony.models import Image
from symphony.smoke import ANNOTATION, Smoke
from tasks import ingress
from tasks.ingress import Entrance, bases, read_targets, ready_endpoints, targets, wrong_hosts
from tasks.kubernetes import MissingError
from tasks.promised import served

DIGEST = "sha256:" + "d" * 64
IMAGE = Image(application="one", repository="r/one", tag="t", digest=DIGEST, built=True, commit="c" * 40)
ADDRESS = "http://ingress.example:8080"
SETTINGS = Ingress(address=ADDRESS)
OURS = {"labels": {"app.kubernetes.io/name": "one"}}


def ingress_of(*paths: tuple[str, str], host: str = "one.dev.localhost", **more: Any) -> dict[str, Any]:
    listed = [{"path": path, "pathType": kind} for path, kind in paths]
    return {
        "metadata": {"name": "one", **more.pop("metadata", {})},
        "spec": {"rules": [{"host": host, "http": {"paths": listed}}], **more.pop("spec", {})},
        **more,
    }


def asked(found: dict[str, Any], smoke: Smoke | None = None, settings: Ingress = SETTINGS) -> list[tuple[str, bool]]:
    """Addresses, and whether each must tell the version."""
    return [(one.url, one.image is not None) for one in targets(served(found, settings), IMAGE, smoke or Smoke())]


def read(monkeypatch: pytest.MonkeyPatch, delivery: Any, *found: dict[str, Any], **smoke: Any) -> Entrance:
    class Cluster:
        def objects(self, path: str) -> list[dict[str, Any]]:
            if path.endswith("httproutes"):
                raise MissingError("the cluster has no such kind")
            return [] if path.endswith("endpointslices") else list(found)

    monkeypatch.setattr(ingress, "cluster", lambda _: Cluster())
    change = delivery.change()
    one = change.configuration.applications["one"].model_copy(update={"smoke": Smoke(**smoke)})
    object.__setattr__(change, "configuration", change.configuration.model_copy(update={"applications": {"one": one}}))
    return read_targets.fn(change, [IMAGE])


def test_every_path_is_asked_and_each_host_for_its_version() -> None:
    assert asked(ingress_of(("/a", "Prefix"), ("/b", "Exact"))) == [
        ("http://one.dev.localhost:8080/a", False),
        ("http://one.dev.localhost:8080/b", False),
        ("http://one.dev.localhost:8080/a/version", True),
    ]


def test_the_version_may_be_elsewhere_or_nowhere() -> None:
    found = ingress_of(("/", "Prefix"))
    assert asked(found, Smoke(version="/api/build"))[-1] == ("http://one.dev.localhost:8080/api/build", True)
    assert asked(found, Smoke(version=None)) == [("http://one.dev.localhost:8080/", False)]


def test_a_path_that_is_expected_below_another_is_asked_too_and_the_version_once() -> None:
    smoke = Smoke.model_validate({"paths": {"/health?deep=1": {}, "/version": {"status": 200}}})
    assert asked(ingress_of(("/", "Prefix")), smoke) == [
        ("http://one.dev.localhost:8080/", False),
        ("http://one.dev.localhost:8080/health?deep=1", False),
        ("http://one.dev.localhost:8080/version", True),
    ]


@pytest.mark.parametrize(("ready", "good"), [(0, 3), (1, 3), (2, 8), (9, 36), (80, 100)])
def test_the_version_is_asked_until_each_pod_was_met(ready: int, good: int) -> None:
    backend = {"service": {"name": "one", "port": {"number": 80}}}
    found = ingress_of(("/", "Prefix"))
    found["spec"]["rules"][0]["http"]["paths"][0]["backend"] = backend
    labels = {"labels": {"kubernetes.io/service-name": "one"}}
    slices = [
        {"metadata": labels, "endpoints": [{"conditions": {"ready": True}}] * ready},
        {"metadata": labels, "endpoints": [{"conditions": {"ready": False}}]},
    ]
    pods = ready_endpoints(slices)
    asked_for = {one.path: one.good for one in targets(served(found, SETTINGS), IMAGE, Smoke(), pods)}
    assert asked_for == {"/": 3, "/version": good}


@pytest.mark.parametrize(
    ("path", "url"), [("/*", "/"), ("/api(/|$)(.*)", "/api"), ("/users/[0-9]+", "/users/"), ("", "/")]
)
def test_of_a_pattern_what_stands_before_it_is_asked(path: str, url: str) -> None:
    assert asked(ingress_of((path, "ImplementationSpecific")))[0][0] == f"http://one.dev.localhost:8080{url}"


def test_a_host_of_a_wildcard_is_asked_and_a_default_backend_by_the_address() -> None:
    assert asked(ingress_of(("/", "Prefix"), host="*.dev.localhost"))[0][0] == "http://smoke.dev.localhost:8080/"
    found = {"metadata": {"name": "one"}, "spec": {"defaultBackend": {"service": {"name": "one"}}}}
    assert asked(found)[0][0] == "http://ingress.example:8080/"


@pytest.mark.parametrize(
    ("more", "base"),
    [
        ({}, "http://lb.example"),
        ({"spec": {"tls": [{"hosts": ["one.dev.localhost"]}]}}, "https://lb.example"),
        ({"spec": {"tls": [{"hosts": ["*.dev.localhost"]}]}}, "https://lb.example"),
        ({"spec": {"tls": [{"secretName": "any"}]}}, "https://lb.example"),
        ({"spec": {"tls": [{"hosts": ["two.dev.localhost"]}]}}, "http://lb.example"),
        ({"metadata": {"annotations": {"alb.ingress.kubernetes.io/certificate-arn": "arn"}}}, "https://lb.example"),
    ],
)
def test_without_an_address_of_the_environment_the_load_balancer_is_asked(more: dict[str, Any], base: str) -> None:
    found = ingress_of(("/", "Prefix"), status={"loadBalancer": {"ingress": [{"hostname": "lb.example"}]}}, **more)
    assert served(found, Ingress())[0].base == base


def test_an_ingress_without_a_load_balancer_is_told(monkeypatch: pytest.MonkeyPatch, delivery: Any) -> None:
    found = ingress_of(("/", "Prefix"), metadata=OURS)
    assert served(found, Ingress())[0].base == ""
    monkeypatch.setattr(ingress, "served", lambda one, _: served(one, Ingress()))
    with pytest.raises(SmokeError, match="Nothing leads to one yet: its Ingress has no load balancer"):
        read(monkeypatch, delivery, found)
    six = ingress_of(("/", "Prefix"), status={"loadBalancer": {"ingress": [{"ip": "fd00::1"}]}})
    assert served(six, Ingress())[0].base == "http://[fd00::1]"


def test_beside_each_host_one_is_asked_that_nobody_serves() -> None:
    both = [
        *targets(served(ingress_of(("/a", "Prefix"), ("/b", "Prefix")), SETTINGS), IMAGE, Smoke()),
        *targets(served(ingress_of(("/", "Prefix"), host="*.x.example"), SETTINGS), IMAGE, Smoke()),
    ]
    found = wrong_hosts(both)
    assert [(one.host, one.path) for one in found] == [
        ("one.dev.localhost.invalid", "/a"),
        ("smoke.x.example.invalid", "/"),
    ]
    assert not any(one.served for one in found)


def test_where_every_host_is_answered_none_is_wrong(monkeypatch: pytest.MonkeyPatch, delivery: Any) -> None:
    own = ingress_of(("/", "Prefix"), metadata=OURS)
    assert not read(monkeypatch, delivery, own).targets[-1].served
    everything = ingress_of(("/", "Prefix"), host="", metadata={"name": "landing-page"})
    assert all(one.served for one in read(monkeypatch, delivery, own, everything).targets)


def test_redirects_may_lead_to_the_hosts_of_all_ingresses() -> None:
    others = [ingress_of(("/", "Prefix")), ingress_of(("/", "Prefix"), host="*.x.example")]
    assert bases([path for one in others for path in served(one, SETTINGS)]) == dict.fromkeys(
        [
            "http://one.dev.localhost",
            "http://one.dev.localhost:8080",
            "http://*.x.example",
            "http://*.x.example:8080",
        ],
        ADDRESS,
    )


def test_an_annotation_wins_over_symphony_yaml(monkeypatch: pytest.MonkeyPatch, delivery: Any) -> None:
    told = {"annotations": {ANNOTATION: "{good: 5, paths: {/a: {status: 401}}}"}}
    found = read(
        monkeypatch,
        delivery,
        ingress_of(("/", "Prefix"), metadata=OURS | told),
        paths={"/a": {"status": 200}, "/b": {"status": 204}},
    )
    expected = {one.path: (one.expected.status, one.good) for one in found.targets if one.served}
    assert expected == {"/": (None, 5), "/a": (401, 5), "/b": (204, 5), "/version": (None, 5)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("paths: {/a: {status: 1000}}", "breaks a rule: .*less than or equal to 599"),
        ("[1", "breaks a rule"),
        ("nonsense", "breaks a rule"),
        ("paths: {/elsewhere: {}}", "expects /elsewhere of one, which no Ingress of one in dev serves"),
    ],
)
def test_an_annotation_that_is_wrong_is_told(
    monkeypatch: pytest.MonkeyPatch, delivery: Any, text: str, said: str
) -> None:
    found = ingress_of(("/x", "Prefix"), metadata=OURS | {"annotations": {ANNOTATION: text}})
    with pytest.raises(SmokeError, match=said):
        read(monkeypatch, delivery, found)


def test_a_path_that_is_expected_and_that_nobody_serves_is_told(monkeypatch: pytest.MonkeyPatch, delivery: Any) -> None:
    with pytest.raises(SmokeError, match=r"^symphony\.yaml expects /gone of one, which no Ingress of one in dev"):
        read(monkeypatch, delivery, ingress_of(("/gone-too", "Prefix"), metadata=OURS), paths={"/gone": {}})


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
    found = read(monkeypatch, delivery, ingress_of(("/", "Prefix"), metadata=metadata))
    assert bool(found.targets) is belongs
