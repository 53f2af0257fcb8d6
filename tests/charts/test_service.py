from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from symphony.errors import BadInputError, ToolError
from symphony.models import Desired
from symphony.tool import run
from tasks import helm as module
from tasks.desired import text
from tasks.helm import render_charts, template, templates
from tests.charts import renders
from tests.charts.renders import APPLICATIONS, ENVIRONMENTS, FEATURES, GOLDEN, ROOT, SCHEMA, desired

CHART = "charts/hello"


@pytest.fixture
def branch(tmp_path: Path, helm: Path) -> Path:
    """A folder laid out as an environment's branch."""
    del helm
    return renders.lay_out(tmp_path)


def rendered(branch: Path, environment: str, extra: str = "") -> str:
    entry = desired("hello", environment)
    (branch / "applications" / "hello.yaml").write_text(text(entry) + extra)
    return render_charts.fn([entry], branch, environment, {entry.application: CHART})[entry.application]


def objects(manifests: str) -> dict[str, Any]:
    return {one["kind"]: one for one in YAML(typ="safe", pure=True).load_all(manifests) if one}


def pod(found: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = found["Deployment"]["spec"]["template"]["spec"]
    return spec


def test_each_environment_and_feature_renders_as_before(branch: Path) -> None:
    """Changed on purpose? `make charts` writes them anew: it is what the cluster gets."""
    assert renders.golden(branch) == {path.name: path.read_text() for path in GOLDEN.iterdir()}


def many(branch: Path) -> list[Desired]:
    """Every application in every environment, and hello with each feature, each by a name of its own."""
    wanted = {f"{one}-{where}": (one, where, "") for one in APPLICATIONS for where in ENVIRONMENTS}
    wanted |= {f"hello-{name}": ("hello", "dev", values) for name, values in FEATURES.items()}
    entries = []
    for name, (application, environment, values) in wanted.items():
        entries.append(desired(application, environment).model_copy(update={"application": name}))
        (branch / "applications" / f"{name}.yaml").write_text(text(entries[-1]) + values)
    return entries


def test_many_are_rendered_at_once_to_the_very_text_that_helm_gives(
    branch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = many(branch)
    one_by_one = {entry.application: template(entry, branch, "dev") for entry in entries}
    monkeypatch.setattr(module, "template", lambda *_: pytest.fail("Helm itself was asked"))
    assert templates(entries, branch, "dev") == one_by_one


def test_where_one_of_many_is_wrong_helm_says_why_and_the_others_are_rendered(branch: Path) -> None:
    good, bad, *_ = many(branch)
    (branch / "applications" / f"{bad.application}.yaml").write_text(text(bad) + "replica: 3\n")
    found = templates([good, bad], branch, "dev")
    assert found[good.application] == template(good, branch, "dev")
    refused = found[bad.application]
    assert isinstance(refused, ToolError)
    assert "'replica' not allowed" in refused.output


def test_many_are_rendered_also_where_helm_is_all_there_is(branch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = many(branch)[:2]
    at_once = templates(entries, branch, "dev")
    monkeypatch.setattr(module, "_AT_ONCE", "not-there")
    assert templates(entries, branch, "dev") == at_once


@pytest.mark.parametrize("application", APPLICATIONS)
def test_every_application_takes_the_one_schema(application: str) -> None:
    copy = ROOT / "charts" / application / "values.schema.json"
    assert copy.read_text() == SCHEMA.read_text(), "run `make charts`"


@pytest.mark.parametrize("application", APPLICATIONS)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_helm_has_nothing_to_complain_about(branch: Path, helm: Path, application: str, environment: str) -> None:
    renders.rendered(branch, desired(application, environment))
    chart = f"charts/{application}"
    values = ["--values", f"{chart}/values.{environment}.yaml", "--values", f"applications/{application}.yaml"]
    assert "0 chart(s) failed" in run([helm, "lint", "--strict", chart, *values], cwd=branch).stdout


def test_the_schema_leaves_no_key_unchecked() -> None:
    def loose(node: Any, place: str) -> list[str]:
        if isinstance(node, list):
            return [one for item in node for one in loose(item, place)]
        if not isinstance(node, dict):
            return []
        found = [place] if node.get("type") == "object" and "additionalProperties" not in node else []
        return found + [one for key, item in node.items() for one in loose(item, f"{place}/{key}")]

    helms_own = {"/properties/service", "/properties/global"}
    assert set(loose(json.loads(SCHEMA.read_text()), "")) == helms_own


def test_every_default_is_documented() -> None:
    lines = (ROOT / "charts/service/values.yaml").read_text().splitlines()
    keys = [number for number, line in enumerate(lines) if line.startswith("  ") and line[2:3].isalpha()]
    assert len(keys) > 20
    alone = [lines[number] for number in keys if not lines[number - 1].lstrip().startswith("#")]
    plain = {"  secrets:", "  serviceAccount:", "  resources:", "  ingress:"}  # their own keys are told, or say it all
    assert set(alone) == plain


def test_the_container_runs_the_digest_and_may_do_nothing_it_does_not_need(branch: Path) -> None:
    spec = pod(objects(rendered(branch, "dev")))
    container = spec["containers"][0]
    assert container["image"] == "registry.example/dev/hello@sha256:" + "2" * 64
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {one["name"]: one["value"] for one in container["env"]}["COMMIT"] == "1" * 40


def test_a_service_selects_its_own_pods_alone(branch: Path) -> None:
    found = objects(rendered(branch, "dev", FEATURES["migration"]))
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selected = found["Service"]["spec"]["selector"].items()
    assert selected <= labels.items()
    assert found["Deployment"]["spec"]["selector"]["matchLabels"] == found["Service"]["spec"]["selector"]
    beside = [found["Pod"]["metadata"]["labels"], found["Job"]["spec"]["template"]["metadata"]["labels"]]
    assert not [one for one in beside if selected <= one.items()]


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("replica: 3\n", "'replica'"),
        ("ingress: {host: hello}\n", "'host'"),
        ("ingress: {hosts: [{host: a, paths: [{path: /, type: Exact}]}]}\n", "'type'"),
        ("networkPolicy: {from: [{ipBlock: {cidr: 10.0.0.0/8, but: []}}]}\n", "'but'"),
        ("service: {port: 8080}\n", "'port'"),
        ("replicas: many\n", "/replicas"),
        ("user: 0\n", "/user"),
        ("rollout: canary\n", "/rollout"),
        ("probes: {startup: {path: healthz}}\n", "/probes/startup/path"),
        ("serviceAccount: {role: admin}\n", "/serviceAccount/role"),
        ("migration: {command: [x], activeDeadlineSeconds: 0}\n", "/migration/activeDeadlineSeconds"),
        ("secrets: {external: {keys: {A: {key: a}}}}\n", "secrets.external.store"),
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


def test_a_default_can_be_turned_off(branch: Path) -> None:
    found = objects(rendered(branch, "dev", "replicas: 0\ntopologySpread: []\ntests: null\n"))
    assert found["Deployment"]["spec"]["replicas"] == 0
    assert "topologySpreadConstraints" not in pod(found)
    assert "Pod" not in found


def test_blue_green_names_what_runs_by_its_content_and_switches_to_it_a_wave_later(branch: Path) -> None:
    def of(extra: str) -> dict[str, Any]:
        return objects(rendered(branch, "dev", f"rollout: blue-green\n{extra}"))

    one, same, other = of("env: {A: 1}\n"), of("env: {A: 1}\nreplicas: 3\n"), of("env: {A: 2}\n")
    names = [found["Deployment"]["metadata"]["name"] for found in (one, same, other)]
    assert names[0] == names[1] != names[2]
    wave = "argocd.argoproj.io/sync-wave"
    for found, name in zip((one, other), (names[0], names[2]), strict=True):
        assert found["Service"]["spec"]["selector"]["symphony/colour"] == name.removeprefix("hello-")
        assert found["Service"]["spec"]["selector"] == found["Deployment"]["spec"]["selector"]["matchLabels"]
        assert found["Service"]["metadata"]["annotations"] == {wave: "1"}
        assert found["Ingress"]["metadata"]["annotations"] == {wave: "1"}
        assert found["Deployment"]["metadata"]["annotations"] == {"argocd.argoproj.io/sync-options": "PruneLast=true"}


def test_a_changed_file_is_another_config_map_that_the_pods_name(branch: Path) -> None:
    one, other = (objects(rendered(branch, "dev", f"config: {{a: {text}}}\n")) for text in ("one", "two"))
    names = [found["ConfigMap"]["metadata"]["name"] for found in (one, other)]
    assert names[0] != names[1]
    assert [pod(found)["volumes"][1]["configMap"]["name"] for found in (one, other)] == names
    sums = [found["Deployment"]["spec"]["template"]["metadata"]["annotations"] for found in (one, other)]
    assert sums[0]["checksum/config"] != sums[1]["checksum/config"]


def test_a_migration_has_all_it_needs_before_the_application_is_touched(branch: Path) -> None:
    manifests = rendered(branch, "dev", FEATURES["migration"])
    every = [one for one in YAML(typ="safe", pure=True).load_all(manifests) if one]
    hooks = [one for one in every if "pre-upgrade" in one["metadata"].get("annotations", {}).get("helm.sh/hook", "")]
    assert {one["kind"] for one in hooks} == {"ServiceAccount", "ConfigMap", "ExternalSecret", "Job"}
    assert {one["metadata"]["name"] for one in hooks} == {"hello-migrate"}
    job = next(one for one in hooks if one["kind"] == "Job")
    needed = [int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) for one in hooks if one is not job]
    assert max(needed) < int(job["metadata"]["annotations"]["helm.sh/hook-weight"])
    spec = job["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == "hello-migrate"
    assert spec["volumes"][1]["configMap"]["name"] == "hello-migrate"
    assert spec["containers"][0]["envFrom"] == [{"secretRef": {"name": "hello-migrate"}}]
    assert job["spec"]["activeDeadlineSeconds"] == 120


def test_without_hosts_there_is_no_ingress(branch: Path) -> None:
    assert "Ingress" not in objects(rendered(branch, "nowhere"))
