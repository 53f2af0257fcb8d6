"""The charts on the real cluster: its own schemas, everything on at once, and a switch that nobody notices."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException
from ruamel.yaml import YAML

from sandbox import manifest, toolchain
from sandbox.world import HOST, World
from symphony.tool import run
from tasks.manifest_diff import parsed
from tests.charts import renders
from tests.charts.schemas import write
from tests.world.seat import NUMBERS, Seat, until

EVERYTHING = """\
rollout: blue-green
autoscaling: {{enabled: true, minReplicas: 1, maxReplicas: 2}}
disruptionBudget: {{enabled: true}}
networkPolicy:
  enabled: true
  from: [{{ipBlock: {{cidr: 0.0.0.0/0}}}}]
  egress: [{{to: [{{ipBlock: {{cidr: 10.0.0.0/8}}}}], ports: [{{port: 5432}}]}}]
serviceAccount: {{role: "arn:aws:iam::123456789012:role/dev-hello"}}
secrets: {{existing: [try-charts]}}
config: {{greeting.txt: "Hello {number}"}}
migration:
  command: [python3, -c, "{migration}"]
  activeDeadlineSeconds: {seconds}
env: {{{env}}}
"""
APPLICATION = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/dev-hello"
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/externalsecrets.external-secrets.io"
PUBLISHED = "/openapi/v3/apis/external-secrets.io/v1"
REFRESH = "argocd.argoproj.io/refresh"
MIGRATES = "import os; assert os.environ['TOKEN'] and open('/config/greeting.txt').read()"
FAILS = "raise SystemExit('no such table')"
HANGS = "import time; print('waits for a lock', flush=True); time.sleep(3600)"
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "try-charts", "namespace": "dev"},
    "stringData": {"TOKEN": "nobody's"},
}


def everything(env: str = "", migration: str = MIGRATES) -> Callable[[Path], None]:
    """Values for dev with everything turned on; each time another version."""
    # Only what is to hang has a short life: on a busy machine a pod takes seconds to start.
    seconds = 6 if migration == HANGS else 120
    values = EVERYTHING.format(number=next(NUMBERS), migration=migration, env=env, seconds=seconds)

    def edit(copy: Path) -> None:
        file = copy / "charts/hello/values.dev.yaml"
        file.write_text(file.read_text() + values)

    return edit


class Visitor:
    """Asks for the version again and again, each time by a new connection, until it is told to stop."""

    def __init__(self, world: World) -> None:
        self._url = f"http://{HOST}:{world.ports.ingress}/version"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._visit, daemon=True)
        self.told: list[str] = []
        self.failed: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(1)  # what comes after the switch counts too
        self._stop.set()
        self._thread.join()

    def _visit(self) -> None:
        deadline = time.monotonic() + 120
        headers, each = {"Host": "hello.dev.localhost"}, httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(headers=headers, limits=each, timeout=5) as http:
            while not self._stop.wait(0.03) and time.monotonic() < deadline:
                try:
                    self.told.append(http.get(self._url).raise_for_status().json()["commit"])
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))


@pytest.fixture(scope="module")
def connection(world: World) -> Iterator[ApiClient]:
    with manifest.api(world) as api:
        yield api


@pytest.fixture(scope="module")
def seat(world: World, connection: ApiClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seat]:
    """Hello with everything on; main's own is put there again in the end."""
    seat = Seat.take(world, tmp_path_factory.mktemp("charts"))
    manifest.apply(connection, SECRET)
    ended = seat.start("provision", commit="main")
    assert ended.succeeded, ended.message
    ended = seat.start("deploy", commit=seat.branch(everything()), applications=["hello"])
    assert ended.succeeded, ended.message
    yield seat
    ended = seat.start("deploy", commit="main", applications=["hello"], force=True)
    assert ended.succeeded, ended.message
    manifest.request(connection, "DELETE", manifest.path(SECRET))


def digest(seat: Seat) -> str:
    return str(json.loads(seat.answer("/version"))["digest"])


def own(connection: ApiClient, group: str, kind: str) -> list[dict[str, Any]]:
    """Hello's objects of a kind in dev."""
    query = {"labelSelector": "app.kubernetes.io/instance=dev-hello"}
    found = manifest.request(connection, "GET", f"/{group}/namespaces/dev/{kind}", query=query)
    return list(found["items"])


def application(connection: ApiClient) -> dict[str, Any]:
    return manifest.read(connection, APPLICATION) or {}


def hooks(connection: ApiClient) -> list[tuple[str, str]]:
    """Kind and phase of the hooks of the last sync."""
    result = application(connection)["status"]["operationState"]["syncResult"]
    return [(one["kind"], one.get("hookPhase", "")) for one in result["resources"] if one.get("hookType") == "PreSync"]


@pytest.fixture
def external_secrets(world: World, connection: ApiClient) -> Iterator[None]:
    """The definition of External Secrets Operator's resource, without the operator."""
    file = toolchain.external_secrets(world.cache) / "external-secrets.io_externalsecrets.yaml"
    manifest.apply_text(connection, DEFINITION, file.read_text())
    until(lambda: "ExternalSecret" in json.dumps(manifest.read(connection, PUBLISHED)), "its schema")
    yield
    manifest.request(connection, "DELETE", DEFINITION)


def tried(connection: ApiClient, one: dict[str, Any]) -> None:
    """Have the API server check an object as it would be applied, and not keep it."""
    query = {"fieldManager": "try", "dryRun": "All", "fieldValidation": "Strict"}
    kind = "application/apply-patch+yaml"
    manifest.request(connection, "PATCH", manifest.path(one), query=query, content_type=kind, body=json.dumps(one))


@pytest.mark.usefixtures("external_secrets")
def test_what_the_charts_render_fits_the_clusters_own_schemas(
    world: World, connection: ApiClient, tmp_path: Path
) -> None:
    branch = renders.lay_out(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", world.path)
        every = renders.manifests(branch)
    schemas = tmp_path / "schemas"
    schemas.mkdir()
    write(lambda path: manifest.request(connection, "GET", path), schemas)
    for name, text in every.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    where = f"{schemas}/{{{{.ResourceKind}}}}.json"
    kubeconform = [world.tool("kubeconform"), "-strict", "-summary", "-schema-location", where]
    files = [str(tmp_path / f"{name}.yaml") for name in every]
    told = run([*kubeconform, *files]).stdout
    assert "Invalid: 0, Errors: 0, Skipped: 0" in told
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(every["hello.dev"].replace("  replicas: 1\n", "  replicas: one\n  replica: 1\n"))
    said = run([*kubeconform, str(wrong)], ok=(1,)).stdout
    assert "replica" in said
    (secret,) = [one for name, one in parsed(every["hello.dev.external-secret"]).items() if "ExternalSecret" in name]
    tried(connection, secret)
    with pytest.raises(ApiException, match="storeRef"):
        tried(connection, {**secret, "spec": {**secret["spec"], "storeRef": {"name": "vault"}}})


def test_everything_on_is_what_the_cluster_has(seat: Seat, connection: ApiClient) -> None:
    (deployment,) = own(connection, "apis/apps/v1", "deployments")
    name = deployment["metadata"]["name"]
    assert name.startswith("hello-")
    (scaler,) = own(connection, "apis/autoscaling/v2", "horizontalpodautoscalers")
    assert scaler["spec"]["scaleTargetRef"]["name"] == name
    assert own(connection, "apis/policy/v1", "poddisruptionbudgets")
    assert own(connection, "apis/networking.k8s.io/v1", "networkpolicies")
    (account,) = own(connection, "api/v1", "serviceaccounts")
    assert account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].endswith("role/dev-hello")
    (service,) = own(connection, "api/v1", "services")
    assert service["spec"]["selector"]["symphony/colour"] == name.removeprefix("hello-")
    phases = hooks(connection)
    assert {kind for kind, _ in phases} == {"ServiceAccount", "ConfigMap", "Job"}
    assert {phase for _, phase in phases} == {"Succeeded"}
    assert json.loads(seat.answer("/version"))["commit"] == seat.git("rev-parse", "HEAD")


def test_two_applications_share_a_host_by_their_paths(seat: Seat) -> None:
    ended = seat.start("deploy", commit="main", applications=["greet"], force=True)
    assert ended.succeeded, ended.message
    assert seat.answer("/greet?name=Ada").endswith(", Ada!")
    told = [json.loads(seat.answer(path))["application"] for path in ("/version", "/greet/version")]
    assert told == ["hello", "greet"]
    smoked = seat.start("smoke", applications=["hello", "greet"])
    assert smoked.succeeded, smoked.message
    assert "/greet/version" in (seat.api.artifact(smoked.id, "smoke-dev") or "")


@pytest.mark.usefixtures("seat")
def test_argo_cd_leaves_the_number_of_pods_to_the_autoscaler(connection: ApiClient) -> None:
    (deployment,) = own(connection, "apis/apps/v1", "deployments")
    scale = f"/apis/apps/v1/namespaces/dev/deployments/{deployment['metadata']['name']}/scale"
    # There is no metrics server, so the test is the autoscaler that finds more load.
    body = {"spec": {"replicas": 2}}
    query = {"fieldManager": "kube-controller-manager"}
    kind = "application/merge-patch+json"
    manifest.request(connection, "PATCH", scale, query=query, content_type=kind, body=body)
    manifest.merge(connection, APPLICATION, {"metadata": {"annotations": {REFRESH: "normal"}}})
    deadline = time.monotonic() + 30
    while REFRESH in (compared := application(connection))["metadata"].get("annotations", {}):
        assert time.monotonic() < deadline, "Argo CD does not look"
        time.sleep(0.1)
    assert compared["status"]["sync"]["status"] == "Synced"
    (after,) = own(connection, "apis/apps/v1", "deployments")
    assert after["spec"]["replicas"] == 2


def test_a_blue_green_switch_fails_no_request_and_goes_over_at_once(seat: Seat, connection: ApiClient) -> None:
    before = json.loads(seat.answer("/version"))["commit"]
    branch = seat.branch(everything())
    with Visitor(seat.world) as visitor:
        ended = seat.start("deploy", commit=branch, images={"hello": digest(seat)})
    assert ended.succeeded, ended.message
    assert visitor.failed == []
    changes = [one for one, other in zip(visitor.told, ["", *visitor.told], strict=False) if one != other]
    assert changes == [before, seat.git("rev-parse", "HEAD")]
    assert len(own(connection, "apis/apps/v1", "deployments")) == 1
    assert len(own(connection, "api/v1", "configmaps")) == 1


def test_a_version_that_does_not_come_up_is_never_switched_to(seat: Seat, connection: ApiClient) -> None:
    (before,) = own(connection, "api/v1", "services")
    branch = seat.branch(everything(env="HELLO_CRASH: no database today"))
    with Visitor(seat.world) as visitor:
        ended = seat.start("deploy", commit=branch, images={"hello": digest(seat)})
    assert ended.state_type == "FAILED"
    assert "its last log line: hello cannot start: no database today" in ended.message
    assert "Put back: hello is back at" in ended.message
    assert visitor.failed == []
    assert len(set(visitor.told)) == 1
    (after,) = own(connection, "api/v1", "services")
    assert after["spec"]["selector"] == before["spec"]["selector"]


@pytest.mark.parametrize(
    ("migration", "why"),
    [(HANGS, "hello-migrate failed: .*deadline"), (FAILS, "its last log line: no such table")],
    ids=["hangs", "fails"],
)
def test_a_migration_that_does_not_end_well_is_told_and_nothing_of_the_application_is_touched(
    seat: Seat, connection: ApiClient, migration: str, why: str
) -> None:
    (before,) = own(connection, "apis/apps/v1", "deployments")
    ended = seat.start("deploy", commit=seat.branch(everything(migration=migration)), images={"hello": digest(seat)})
    assert ended.state_type == "FAILED"
    assert re.search(why, ended.message), ended.message
    assert "Put back: hello is back at" in ended.message
    (after,) = own(connection, "apis/apps/v1", "deployments")
    assert (after["metadata"]["uid"], after["metadata"]["generation"]) == (
        before["metadata"]["uid"],
        before["metadata"]["generation"],
    )


def test_helm_installs_it_too_and_its_tests_pass(seat: Seat, tmp_path: Path) -> None:
    branch = renders.lay_out(tmp_path)
    name = f"try-{next(NUMBERS)}"
    version = json.loads(seat.answer("/version"))
    values = {
        "application": name,
        "environment": "dev",
        "commit": version["commit"],
        "image": {"repository": f"{HOST}:{seat.world.ports.ecr}/dev/hello", "digest": version["digest"]},
        "migration": {"command": ["env"]},
    }
    with (branch / "values.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(values, file)
    environment = {"KUBECONFIG": str(seat.world.kubeconfig), "PATH": seat.world.path}
    helm = [seat.world.tool("helm"), "--namespace", "dev", "--kube-context", "symphony"]

    def call(*arguments: str) -> str:
        return run([*helm, *arguments], cwd=branch, env=environment, limit=60).stdout

    try:
        notes = call("install", name, "charts/hello", "--values", "values.yaml", "--wait", "--timeout", "45s")
        assert f"{name} at {version['commit'][:12]} in dev" in notes
        assert "Succeeded" in call("test", name, "--timeout", "30s")
    finally:
        call("uninstall", name, "--wait")
