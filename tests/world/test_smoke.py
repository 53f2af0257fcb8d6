"""What smoke finds through the real ingress of the real cluster, and what it makes of it."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient
from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows import smoke as module
from flows.smoke import smoke_applications
from sandbox import manifest
from sandbox.prefect import worker_environment
from sandbox.world import BRIDGE_ADDRESS, World
from symphony.change import Change
from symphony.config import load
from symphony.errors import SmokeError
from symphony.models import Image, Probe
from symphony.smoke import ANNOTATION
from tasks.chart_tests import OWNER
from tests.authority import Authority
from tests.world.backend import Said, ingress, service, serving, version
from tests.world.gateway_api import gateway, route, served
from tests.world.seat import Seat

ROOT = Path(__file__).parents[2]
DIGEST, OLD = f"sha256:{'d' * 64}", f"sha256:{'e' * 64}"
PATHS = ("/", *(f"/p{number}" for number in range(1, 10)))
OLD_POD = "try-old"


@dataclass
class Eye:
    """Smoke on dev as it is, and the last page it left."""

    world: World
    connection: ApiClient
    page: str = ""

    def smoke(
        self, application: str = "try", digest: str = DIGEST, tree: Path = ROOT, **settings: Any
    ) -> tuple[Probe, ...]:
        configuration = load(ROOT / "symphony.yaml")
        hello = configuration.applications["hello"]
        dev = configuration.environments["dev"]
        way = dev.ingress.model_copy(update={"timeout": 2.0, **settings})
        configuration = configuration.model_copy(
            update={
                "applications": {"hello": hello, application: hello},
                "environments": {"dev": dev.model_copy(update={"ingress": way})},
            }
        )
        change = Change(configuration, "dev", "c" * 40, None, tree, ROOT, "", None)
        image = Image(application=application, repository="r/x", tag="", digest=digest, built=False, commit="c" * 40)

        @flow(task_runner=ThreadPoolTaskRunner(max_workers=8))  # type: ignore[arg-type]
        def body() -> tuple[Probe, ...]:
            return smoke_applications(change, [image])

        return tuple(body())

    def refused(self, **more: Any) -> str:
        with pytest.raises(SmokeError) as failed:
            self.smoke(**more)
        return str(failed.value)


@pytest.fixture(scope="module")
def connection(world: World) -> Iterator[ApiClient]:
    with manifest.api(world) as api:
        yield api


@pytest.fixture
def eye(world: World, connection: ApiClient, prefect: None, monkeypatch: pytest.MonkeyPatch) -> Eye:
    del prefect
    for name, value in worker_environment(world).items():
        if not name.startswith("PREFECT_"):
            monkeypatch.setenv(name, value)
    eye = Eye(world, connection)
    real = module.report

    def report(change: Change, probes: Any, tests: Any, failures: Any) -> None:
        eye.page = "\n".join(one.page for one in failures)
        real(change, probes, tests, failures)

    monkeypatch.setattr(module, "report", report)
    return eye


@pytest.fixture(scope="module")
def seat(world: World, tmp_path_factory: pytest.TempPathFactory) -> Seat:
    """Main's hello, live in dev."""
    seat = Seat.take(world, tmp_path_factory.mktemp("smoke"))
    ended = seat.start("provision", commit="main")
    assert ended.succeeded, ended.message
    ended = seat.start("deploy", commit="main", applications=["hello"], force=True)
    assert ended.succeeded, ended.message
    return seat


def good(path: str) -> Said:
    return version(DIGEST) if path.endswith("/version") else (200, {}, f"here is {path}")


def test_ten_paths_of_which_one_is_broken(eye: Eye) -> None:
    def says(path: str) -> Said:
        return (500, {"X-Trace": "t-1", "Set-Cookie": "s3cr3t"}, "out of\nmemory") if path == "/p7" else good(path)

    with serving(says) as server, ingress(eye.world, eye.connection, server, "try-ten", *PATHS) as host:
        told = eye.refused()
        assert told == (
            f"1 of 12 URLs of dev did not answer as they should: http://{host}:8080/p7: status 500: out of memory "
            "(Service try-ten has 1 of 1 endpoints ready)."
        )
        assert "status 500\n" in eye.page
        assert "x-trace: t-1" in eye.page
        assert "out of\nmemory" in eye.page
        assert "s3cr3t" not in eye.page


def test_an_ingress_that_hangs_is_given_up_in_time(eye: Eye) -> None:
    def says(path: str) -> Said:
        if path == "/slow":
            time.sleep(5)
        return good(path)

    expects = {ANNOTATION: "paths: {/slow: {seconds: 1}}"}
    with (
        serving(says) as server,
        ingress(eye.world, eye.connection, server, "try-slow", "/", "/slow", annotations=expects) as host,
    ):
        started = time.monotonic()
        assert f"http://{host}:8080/slow: no answer within 1.0 s" in eye.refused()
        assert time.monotonic() - started < 12


def test_a_redirect_to_another_host_is_never_followed(eye: Eye) -> None:
    with serving(good) as elsewhere:

        def says(path: str) -> Said:
            moved = {"/": "/home", "/away": f"http://127.0.0.1:{elsewhere.port}/login?to=x"}
            return (302, {"Location": moved[path], "Set-Cookie": "id=1"}, "") if path in moved else good(path)

        with serving(says) as server, ingress(eye.world, eye.connection, server, "try-away", "/", "/away") as host:
            told = eye.refused()
            assert told.startswith(f"1 of 4 URLs of dev did not answer as they should: http://{host}:8080/away: ")
            assert f"it redirects to http://127.0.0.1:{elsewhere.port}/login?to=x, which is none of" in told
            assert (host, "/home") in server.asked
        expects = {ANNOTATION: f"paths: {{/away: {{redirect: 'http://127.0.0.1:{elsewhere.port}/login'}}}}"}
        with (
            serving(says) as server,
            ingress(eye.world, eye.connection, server, "try-away", "/", "/away", annotations=expects),
        ):
            assert all(one.passed for one in eye.smoke())
        assert elsewhere.asked == []


def test_a_certificate_two_days_before_its_end_is_told_and_one_that_is_not_good_is_a_failure(
    eye: Eye, tmp_path: Path
) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    cert, key = authority.give("try-tls.dev.localhost", 2.04)
    data = {"tls.crt": base64.b64encode(cert).decode(), "tls.key": base64.b64encode(key).decode()}
    meta = {"name": "try-tls", "namespace": "dev"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "kubernetes.io/tls", "data": data}
    manifest.apply(eye.connection, secret)
    try:
        with serving(good) as server, ingress(eye.world, eye.connection, server, "try-tls", "/", tls="try-tls") as host:
            found = eye.smoke(tree=tmp_path, authority="ca.pem")
            assert [one.url for one in found[:2]] == [f"https://{host}:8443/", f"https://{host}:8443/version"]
            assert f"the certificate of {host} by Tests ends in 2.0 days, on " in found[0].warning
            told = eye.refused(tree=tmp_path)
            assert "its certificate is not good: unable to get local issuer certificate" in told
    finally:
        manifest.request(eye.connection, "DELETE", manifest.path(secret))


def test_a_route_of_the_gateway_api_is_asked_at_the_address_of_its_gateway(eye: Eye, tmp_path: Path) -> None:
    with socket.create_server((BRIDGE_ADDRESS, 0)) as free:
        port = free.getsockname()[1]
    broken = False

    def says(path: str) -> Said:
        return (503, {}, "later") if broken and path == "/broken" else good(path)

    host, matches = "try-route.dev.localhost", (("PathPrefix", "/"), ("Exact", "/broken"))
    with (
        gateway(eye.world, eye.connection, tmp_path, port),
        serving(says) as server,
        service(eye.connection, server, "try-route"),
    ):
        labels = {"app.kubernetes.io/name": "routed"}
        led = [{"path": {"type": kind, "value": path}} for kind, path in matches]
        route(eye.connection, "try-route", labels, host, *led)
        served(host, port, "/broken")
        settings = {"application": "routed", "address": None, "tls_address": None}
        assert [one.url for one in eye.smoke(**settings)][:2] == [
            f"http://{host}:{port}/",
            f"http://{host}:{port}/broken",
        ]
        broken = True
        told = eye.refused(**settings)
    assert told.startswith(
        f"1 of 4 URLs of dev did not answer as they should: http://{host}:{port}/broken: "
        "status 503: later (Service try-route has 1 of 1 endpoints ready)"
    )


def test_an_old_pod_that_still_answers_is_a_failure(eye: Eye, seat: Seat) -> None:
    told = json.loads(seat.answer("/version"))
    pod = _old_pod(eye.connection, told["digest"])
    manifest.apply(eye.connection, pod)
    try:
        deadline = time.monotonic() + 20
        while json.loads(seat.answer("/version"))["digest"] != OLD and time.monotonic() < deadline:
            time.sleep(0.1)
        said = eye.refused(application="hello", digest=told["digest"])
        assert f"it is {OLD[:19]}, not {told['digest'][:19]}, that answers" in said
        assert "Service hello has 2 of 2 endpoints ready" in said
        assert OLD_POD in eye.page.replace("\\", "")
    finally:
        manifest.request(eye.connection, "DELETE", manifest.path(pod), query={"gracePeriodSeconds": "0"})


def _old_pod(connection: ApiClient, digest: str) -> dict[str, Any]:
    """A pod like hello's that tells another digest."""
    query = {"labelSelector": "app.kubernetes.io/instance=dev-hello"}
    live = manifest.request(connection, "GET", "/api/v1/namespaces/dev/pods", query=query)["items"]
    like = next(one for one in live if digest in one["spec"]["containers"][0]["image"])
    container = {key: value for key, value in like["spec"]["containers"][0].items() if key != "volumeMounts"}
    container["env"] = [one if one["name"] != "DIGEST" else {**one, "value": OLD} for one in container["env"]]
    labels = {key: value for key, value in like["metadata"]["labels"].items() if key != "pod-template-hash"}
    spec = {"automountServiceAccountToken": False, "containers": [container]}
    if security := like["spec"].get("securityContext"):
        spec["securityContext"] = security
    meta = {"name": OLD_POD, "namespace": "dev", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def test_the_charts_test_pod_is_run_read_and_removed(seat: Seat, connection: ApiClient) -> None:
    ended = seat.start("smoke", applications=["hello"])
    assert ended.succeeded, ended.message
    table = seat.api.artifact(ended.id, "smoke-dev") or ""
    assert "test pod hello-test-version" in table
    assert "Succeeded" in table
    assert pods_left(connection) == []


def test_a_deploy_whose_urls_and_test_pods_fail_is_undone(seat: Seat, connection: ApiClient) -> None:
    tree, digest = seat.desired(), json.loads(seat.answer("/version"))["digest"]

    def edit(copy: Path) -> None:
        file = copy / "symphony.yaml"
        address = "      address: http://127.0.0.1:8080\n"
        text = file.read_text().replace(address, f"{address}      timeout: 2\n", 1)
        smoke = "    smoke: {paths: {/: {body: nobody says this}}}\n"
        file.write_text(text.replace("    chart: charts/hello\n", f"    chart: charts/hello\n{smoke}", 1))
        values = copy / "charts/hello/values.dev.yaml"
        values.write_text(
            values.read_text() + "tests: {broken: {command: [python3, -c, raise SystemExit('no table')]}}\n"
        )

    ended = seat.start("deploy", commit=seat.branch(edit), images={"hello": digest}, force=True)
    assert ended.state_type == "FAILED"
    assert "its body lacks 'nobody says this'" in ended.message
    assert "test pod hello-test-broken of hello: container hello ended with exit code 1" in ended.message
    assert "its last log line: no table" in ended.message
    assert "Put back: hello is back at" in ended.message
    assert seat.desired() == tree
    assert pods_left(connection) == []


def pods_left(connection: ApiClient) -> list[str]:
    found = manifest.request(connection, "GET", "/api/v1/namespaces/dev/pods", query={"labelSelector": OWNER})
    return [one["metadata"]["name"] for one in found["items"] if "deletionTimestamp" not in one["metadata"]]
