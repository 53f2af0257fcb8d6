"""Traefik's settings and account."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Self

import pytest

from sandbox.ingress import PROBE_HOST, Ingress, objects, settings
from sandbox.part import NotReadyError
from sandbox.world import Ports, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(source=tmp_path, state=tmp_path)


def test_only_loopback_is_listened_on_and_no_api_is_opened(world: World) -> None:
    content = settings(world)
    assert {point["address"] for point in content["entryPoints"].values()} == {
        "127.0.0.1:8080",
        "127.0.0.1:8443",
        "127.0.0.1:8089",
    }
    assert "api" not in content


def test_an_ingress_gets_an_address_so_that_argo_cd_finds_it_healthy(world: World) -> None:
    provider = settings(world)["providers"]["kubernetesIngress"]
    assert provider["ingressEndpoint"] == {"ip": "127.0.0.1"}
    assert provider["ingressClass"] == "traefik"


def test_its_account_reads_secrets_in_the_environments_alone() -> None:
    everywhere = [item for item in objects() if item["kind"] == "ClusterRoleBinding"]
    assert [item["roleRef"]["name"] for item in everywhere] == ["traefik-classes"]
    rules = next(item["rules"] for item in objects() if item["metadata"]["name"] == "traefik-classes")
    assert not [rule for rule in rules if "secrets" in rule["resources"]]
    bound = {item["metadata"]["namespace"] for item in objects() if item["kind"] == "RoleBinding"}
    assert bound == {"dev", "staging", "prod", "ingress"}


def test_its_account_writes_nothing_but_an_ingress_status() -> None:
    rules = [rule for item in objects() if item["kind"] == "ClusterRole" for rule in item["rules"]]
    writes = [rule["resources"] for rule in rules if set(rule["verbs"]) - {"get", "list", "watch"}]
    assert writes == [["ingresses/status"]]


class Answering:
    """A server that answers every page with one status, in Traefik's place."""

    def __init__(self, status: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.server.hosts.append(self.headers["Host"])  # type: ignore[attr-defined]
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                del format, args

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.hosts: list[str] = []
        self.server.hosts = self.hosts  # type: ignore[attr-defined]
        self.port = self.server.server_port

    def __enter__(self) -> Self:
        Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def asked(tmp_path: Path, ping: int, web: int) -> None:
    with Answering(ping) as first, Answering(web) as second:
        ports = Ports(ingress=second.port, ingress_ping=first.port)
        Ingress().check(World(source=tmp_path, state=tmp_path, ports=ports))
        assert second.hosts == [PROBE_HOST]


def test_it_is_ready_when_it_knows_the_route_that_the_cluster_alone_tells_it(tmp_path: Path) -> None:
    asked(tmp_path, ping=200, web=503)


def test_it_is_not_ready_before_it_has_read_the_cluster(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="has not read"):
        asked(tmp_path, ping=200, web=404)


def test_it_is_not_ready_when_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="does not answer on port 1"):
        Ingress().check(World(source=tmp_path, state=tmp_path, ports=Ports(ingress_ping=1)))
