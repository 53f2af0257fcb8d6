"""Traefik before the real cluster."""

from __future__ import annotations

import json
import os
import signal
import time

import httpx
import psutil
import pytest
from kubernetes.client import ApiClient, AuthorizationV1Api
from kubernetes.config import new_client_from_config

from sandbox import daemon, manifest
from sandbox.ingress import CLASS, NAMESPACE, PROBE_HOST, Ingress
from sandbox.world import World


def status(world: World, host: str) -> int:
    return httpx.get(f"http://127.0.0.1:{world.ports.ingress}/", headers={"Host": host}).status_code


@pytest.fixture
def account(world: World) -> ApiClient:
    """The cluster as Traefik may see it."""
    return new_client_from_config(str(world.state / "ingress" / "kubeconfig"))


def allowed(account: ApiClient, verb: str, resource: str, namespace: str = "", group: str = "") -> bool:
    asked = {"verb": verb, "resource": resource, "namespace": namespace, "group": group}
    review = {"spec": {"resourceAttributes": asked}}
    return bool(AuthorizationV1Api(account).create_self_subject_access_review(review).status.allowed)


def test_it_knows_the_hosts_of_the_cluster_and_no_other(world: World) -> None:
    assert status(world, PROBE_HOST) == 503
    assert status(world, "unknown.dev.localhost") == 404


def test_an_ingress_gets_its_address_from_it(world: World) -> None:
    with manifest.api(world) as connection:
        where = f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/ingresses/ready"
        found = manifest.read(connection, where)
    assert found is not None
    assert found["status"]["loadBalancer"]["ingress"] == [{"ip": "127.0.0.1"}]
    assert found["spec"]["ingressClassName"] == CLASS


def test_its_account_may_read_what_it_serves_and_no_more(account: ApiClient) -> None:
    assert allowed(account, "list", "ingresses", "dev", "networking.k8s.io")
    assert allowed(account, "list", "secrets", "dev")
    assert not allowed(account, "list", "secrets", "argocd")
    assert not allowed(account, "list", "secrets")
    assert not allowed(account, "update", "ingresses", "dev", "networking.k8s.io")
    assert not allowed(account, "create", "pods", "dev")


def test_it_listens_on_loopback_alone_and_opens_no_api(world: World) -> None:
    process = psutil.Process(daemon.recorded(world)["traefik"])
    addresses = {item.laddr for item in process.net_connections("tcp") if item.status == "LISTEN"}
    assert {address.ip for address in addresses} == {"127.0.0.1"}
    for address in addresses:
        assert httpx.get(f"http://127.0.0.1:{address.port}/api/rawdata").status_code == 404


def test_a_second_start_leaves_it_as_it_is(world: World) -> None:
    before = daemon.recorded(world)["traefik"]
    Ingress().bring_up(world)
    assert daemon.recorded(world)["traefik"] == before


def test_it_is_started_again_when_it_was_killed(world: World) -> None:
    before = daemon.recorded(world)["traefik"]
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while "traefik" in daemon.recorded(world) and time.monotonic() < deadline:
        time.sleep(0.05)
    Ingress().bring_up(world)
    assert daemon.recorded(world)["traefik"] != before
    assert status(world, PROBE_HOST) == 503


def test_a_token_that_the_cluster_refuses_is_replaced(world: World) -> None:
    path = world.state / "ingress" / "kubeconfig"
    content = json.loads(path.read_text())
    content["users"][0]["user"]["token"] = "stale"
    world.write(path, json.dumps(content))
    Ingress().bring_up(world)
    assert json.loads(path.read_text())["users"][0]["user"]["token"] != "stale"
    Ingress().check(world)
