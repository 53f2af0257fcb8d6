from __future__ import annotations

from typing import Any

import pytest

from symphony.config import Ingress
from symphony.errors import SymphonyError
from tasks.kubernetes import MissingError
from tasks.routes import read_routes, served_by_route

HOST = "one.dev.example"
HTTP: dict[str, Any] = {"name": "web", "port": 80, "protocol": "HTTP"}
HTTPS: dict[str, Any] = {"name": "secure", "port": 443, "protocol": "HTTPS", "hostname": "*.dev.example"}


def gateway(*listeners: dict[str, Any], address: str = "10.0.0.1") -> dict[tuple[str, str], Any]:
    status = {"addresses": [{"value": address}]} if address else {}
    return {("dev", "gate"): {"spec": {"listeners": list(listeners)}, "status": status}}


def route(*matches: dict[str, Any], hosts: tuple[str, ...] = (HOST,), **parent: Any) -> dict[str, Any]:
    rule = {"matches": list(matches), "backendRefs": [{"name": "one", "port": 80}]}
    spec = {"parentRefs": [{"name": "gate", **parent}], "hostnames": list(hosts), "rules": [rule]}
    return {"metadata": {"name": "one", "namespace": "dev"}, "spec": spec}


def base(gateways: Any, settings: Ingress | None = None, **parent: Any) -> str:
    return served_by_route(route(**parent), gateways, settings or Ingress())[0].base


def test_every_match_that_a_plain_get_takes_is_promised() -> None:
    found = served_by_route(
        route(
            {"path": {"type": "PathPrefix", "value": "/a"}},
            {"path": {"type": "Exact", "value": "/b"}},
            {"path": {"type": "RegularExpression", "value": "/c/[0-9]+"}},
            {"path": {"value": "/post"}, "method": "POST"},
            {"path": {"value": "/beta"}, "headers": [{"name": "beta", "value": "1"}]},
            {},
        ),
        gateway(HTTP),
        Ingress(),
    )
    assert [(one.host, one.path, one.exact) for one in found] == [
        (HOST, "/a", False),
        (HOST, "/b", True),
        (HOST, "/c/", False),
        (HOST, "/", False),
    ]
    assert found[0].backend == {"service": {"name": "one", "port": {"number": 80}}}


def test_what_leads_there_is_the_gateways_address_by_tls_where_a_listener_has_it() -> None:
    assert base(gateway(HTTP)) == "http://10.0.0.1"
    assert base(gateway(HTTP, HTTPS)) == "https://10.0.0.1"
    assert base(gateway(HTTP, HTTPS), sectionName="web") == "http://10.0.0.1"
    assert base(gateway({**HTTP, "port": 8000}, address="fd00::1")) == "http://[fd00::1]:8000"
    assert base(gateway(HTTP, {**HTTPS, "hostname": "*.prod.example"})) == "http://10.0.0.1"
    assert base(gateway(HTTP, address="")) == ""


def test_the_environments_own_address_wins() -> None:
    settings = Ingress(address="http://x:1", tls_address="https://x:2")
    assert base(gateway(HTTP), settings) == "http://x:1"
    assert base(gateway(HTTPS), settings) == "https://x:2"
    assert base({}, settings) == "http://x:1"


def test_a_route_without_hosts_has_those_of_its_listeners() -> None:
    assert [one.host for one in served_by_route(route(hosts=()), gateway(HTTP, HTTPS), Ingress())] == [
        "",
        "*.dev.example",
    ]


class Cluster:
    def __init__(self, *routes: dict[str, Any], knows: bool = True) -> None:
        self.routes, self.knows = routes, knows

    def objects(self, path: str) -> list[dict[str, Any]]:
        assert path.endswith("/namespaces/dev/httproutes")
        if not self.knows:
            raise MissingError("no such kind")
        return list(self.routes)

    def get(self, path: str) -> dict[str, Any] | None:
        if "/namespaces/hidden/" in path:
            raise SymphonyError("forbidden")
        return {"path": path}


@pytest.mark.parametrize("knows", [True, False])
def test_a_cluster_without_the_gateway_api_has_no_routes(*, knows: bool) -> None:
    assert read_routes(Cluster(knows=knows), "dev") == ([], {})  # type: ignore[arg-type]


def test_the_gateways_of_routes_are_read_where_they_may_be() -> None:
    both = Cluster(route(), route(namespace="shared"), route(namespace="hidden"))
    routes, gateways = read_routes(both, "dev")  # type: ignore[arg-type]
    assert len(routes) == 3
    assert sorted(gateways) == [("dev", "gate"), ("shared", "gate")]
