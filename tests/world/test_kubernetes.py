"""The real cluster: what it refuses, what its network does, and that it comes back from the death of any process."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest
from kubernetes import client, config

from sandbox import daemon
from sandbox.kubernetes import dns, pause
from sandbox.kubernetes.certificates import AUTHORITY
from sandbox.kubernetes.container_runtime import pause_binary
from sandbox.kubernetes.layout import API_SERVICE_ADDRESS, Layout
from sandbox.kubernetes.part import KubernetesPart
from sandbox.part import NotReadyError
from sandbox.world import BRIDGE_ADDRESS, World

NAMESPACE, POD = "default", "kubernetes-probe"
LIMIT_SECONDS = 60


@pytest.fixture
def core(world: World) -> client.CoreV1Api:
    api = config.new_client_from_config(str(world.kubeconfig))  # type: ignore[no-untyped-call]
    return client.CoreV1Api(api)


def running(core: client.CoreV1Api) -> client.V1Pod | None:
    pod = core.read_namespaced_pod(POD, NAMESPACE)
    ready = any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or [])
    return pod if ready and pod.status.phase == "Running" else None


def until_running(core: client.CoreV1Api) -> client.V1Pod:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not (pod := running(core)):
        assert time.monotonic() < deadline, "the pod did not become Ready"
        time.sleep(0.1)
    return pod


@pytest.fixture
def pod(world: World, core: client.CoreV1Api) -> Iterator[client.V1Pod]:
    """A pod that does nothing, with a memory-backed volume and a port of the host."""
    container = {
        "name": "wait",
        "image": pause.reference(pause_binary(Layout(world))),
        "imagePullPolicy": "Never",
        "ports": [{"containerPort": 8000, "hostPort": 31999}],
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    }
    volumes = [{"name": "scratch", "emptyDir": {"medium": "Memory"}}]
    spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 0}
    core.create_namespaced_pod(NAMESPACE, {"metadata": {"name": POD}, "spec": spec})  # type: ignore[arg-type]
    try:
        yield until_running(core)
    finally:
        core.delete_namespaced_pod(POD, NAMESPACE, grace_period_seconds=0)


def until_gone(pid: int) -> None:
    """A killed process with much memory takes a moment to end."""
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"process {pid} outlives its kill"
        time.sleep(0.02)


def test_the_api_server_answers_nobody_without_credentials(world: World) -> None:
    layout = Layout(world)
    tls = ssl.create_default_context(cafile=str(layout.certificate(AUTHORITY)))
    assert httpx.get(f"{layout.server}/readyz", verify=tls, trust_env=False).status_code == 401


def test_etcd_takes_no_connection_without_a_client_certificate(world: World) -> None:
    layout = Layout(world)
    tls = ssl.create_default_context(cafile=str(layout.certificate(AUTHORITY)))
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{layout.etcd}/health", verify=tls, trust_env=False)


def test_a_service_leads_to_its_endpoint_through_kube_proxy(world: World) -> None:
    layout = Layout(world)
    tls = ssl.create_default_context(cafile=str(layout.certificate(AUTHORITY)))
    tls.load_cert_chain(layout.certificate("admin"), layout.key("admin"))
    answer = httpx.get(f"https://{API_SERVICE_ADDRESS}/readyz", verify=tls, trust_env=False)
    assert (answer.status_code, answer.text) == (200, "ok")


@pytest.mark.parametrize(("name", "known"), [("kubernetes.default", True), ("nothing.default", False)])
def test_dns_knows_the_services_that_there_are(name: str, known: bool) -> None:  # noqa: FBT001 - a case of the table
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.sendto(dns.question(f"{name}.svc.cluster.local", 1), (BRIDGE_ADDRESS, dns.PORT))
        assert (dns.answers(asking.recv(1500), 1) > 0) is known


@pytest.mark.parametrize("name", KubernetesPart.daemons)
def test_the_death_of_a_process_is_noticed_and_repaired_and_the_pod_lives_on(
    world: World, core: client.CoreV1Api, pod: client.V1Pod, name: str
) -> None:
    part = KubernetesPart()
    killed = daemon.recorded(world)[name]
    os.kill(killed, signal.SIGKILL)
    until_gone(killed)
    try:
        with pytest.raises(NotReadyError, match=name):
            part.check(world)
    finally:
        part.bring_up(world)
    after = until_running(core)
    assert after.metadata.uid == pod.metadata.uid
    assert [one.restart_count for one in after.status.container_statuses] == [0]


def test_the_death_of_all_processes_at_once_is_repaired_and_the_pod_lives_on(
    world: World, core: client.CoreV1Api, pod: client.V1Pod
) -> None:
    part = KubernetesPart()
    alive = daemon.recorded(world)
    for name in part.daemons:
        os.kill(alive[name], signal.SIGKILL)
    for name in part.daemons:
        until_gone(alive[name])
    part.bring_up(world)
    after = until_running(core)
    assert after.metadata.uid == pod.metadata.uid
    assert [one.restart_count for one in after.status.container_statuses] == [0]
