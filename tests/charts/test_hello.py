from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from symphony.errors import BadInputError
from symphony.models import Desired
from symphony.tool import run
from tasks.desired import text
from tasks.helm import render, value_files, vendor

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
CHART = "charts/hello"


def desired(environment: str) -> Desired:
    return Desired(
        application="hello",
        environment=environment,
        chart=CHART,
        values=value_files(ROOT, CHART, environment),
        commit="1" * 40,  # digits alone, which YAML would take for a number
        repository=f"registry.example/{environment}/hello",
        digest="sha256:" + "2" * 64,
    )


@pytest.fixture
def branch(tmp_path: Path, helm: Path) -> Path:
    """A folder laid out as an environment's branch."""
    del helm
    vendor(ROOT, CHART, tmp_path / CHART)
    (tmp_path / "applications").mkdir()
    return tmp_path


def rendered(branch: Path, environment: str, extra: str = "") -> str:
    entry = desired(environment)
    (branch / "applications" / "hello.yaml").write_text(text(entry) + extra)
    return render.fn(entry, branch, environment, CHART)


def objects(manifests: str) -> dict[str, Any]:
    return {one["kind"]: one for one in YAML(typ="safe", pure=True).load_all(manifests) if one}


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_each_environment_renders_as_before(branch: Path, environment: str) -> None:
    """Changed on purpose? Write the new text there: it is what the cluster gets."""
    golden = GOLDEN / f"hello.{environment}.yaml"
    assert rendered(branch, environment) == golden.read_text()


def test_helm_has_nothing_to_complain_about(branch: Path, helm: Path) -> None:
    rendered(branch, "dev")
    values = ["--values", f"{CHART}/values.dev.yaml", "--values", "applications/hello.yaml"]
    assert "0 chart(s) failed" in run([helm, "lint", "--strict", CHART, *values], cwd=branch).stdout


def test_the_container_runs_the_digest_and_may_do_nothing_it_does_not_need(branch: Path) -> None:
    found = objects(rendered(branch, "dev"))
    pod = found["Deployment"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert container["image"] == "registry.example/dev/hello@sha256:" + "2" * 64
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {one["name"]: one["value"] for one in container["env"]}["COMMIT"] == "1" * 40


def test_a_service_selects_its_own_pods_alone(branch: Path) -> None:
    found = objects(rendered(branch, "dev"))
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Service"]["spec"]["selector"].items() <= labels.items()
    assert found["Deployment"]["spec"]["selector"]["matchLabels"] == found["Service"]["spec"]["selector"]


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("replica: 3\n", "replica"),
        ("ingress: {host: hello}\n", "host"),
        ("replicas: many\n", "/replicas"),
        ("user: 0\n", "/user"),
        ("probes: {startup: {path: healthz}}\n", "/probes/startup/path"),
    ],
)
def test_a_mistake_in_the_values_is_refused_and_named(branch: Path, extra: str, said: str) -> None:
    with pytest.raises(BadInputError, match="does not render for dev") as refused:
        rendered(branch, "dev", extra)
    assert said in str(refused.value)
    assert "Nothing has been deployed" in str(refused.value)


def test_the_value_file_with_the_mistake_is_named(branch: Path) -> None:
    values = branch / CHART / "values.staging.yaml"
    values.write_text(values.read_text() + "replica: 3\n")
    with pytest.raises(BadInputError, match=r"does not render for staging in hello/values\.staging\.yaml: .*'replica'"):
        rendered(branch, "staging")


def test_a_template_that_is_wrong_is_named_with_its_place(branch: Path) -> None:
    (branch / CHART / "templates" / "wrong.yaml").write_text('{{ fail "no such thing" }}\n')
    with pytest.raises(BadInputError, match=r"in hello/templates/wrong\.yaml:1:3: .*no such thing"):
        rendered(branch, "dev")


def test_hosts_paths_and_certificates_reach_the_ingress(branch: Path) -> None:
    extra = """\
ingress:
  annotations: {example: "yes"}
  hosts: [{host: a.example, paths: [{path: /, pathType: Prefix}, {path: /x, pathType: Exact}]}]
  tls: [{secretName: a, hosts: [a.example]}]
"""
    ingress = objects(rendered(branch, "dev", extra))["Ingress"]
    assert ingress["metadata"]["annotations"] == {"example": "yes"}
    assert [(one["path"], one["pathType"]) for one in ingress["spec"]["rules"][0]["http"]["paths"]] == [
        ("/", "Prefix"),
        ("/x", "Exact"),
    ]
    assert ingress["spec"]["tls"] == [{"secretName": "a", "hosts": ["a.example"]}]


def test_without_hosts_there_is_no_ingress(branch: Path) -> None:
    assert "Ingress" not in objects(rendered(branch, "nowhere"))
