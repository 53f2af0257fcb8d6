"""The chart ``worker``: what Prefect makes Jobs of."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prefect.utilities.templating import apply_values
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration
from ruamel.yaml import YAML

from symphony.errors import ToolError
from symphony.tool import run
from tests.charts.renders import ROOT

IMAGE = "registry.example/symphony@sha256:" + "1" * 64
FACTS = {"image": IMAGE, "api": {"url": "https://prefect.example/api"}}


def rendered(folder: Path, **values: Any) -> dict[str, list[dict[str, Any]]]:
    file = folder / "values.json"
    file.write_text(json.dumps(values))
    chart = ROOT / "charts" / "worker"
    text = run(["helm", "template", "worker", chart, "--namespace", "symphony", "--values", file]).stdout
    found: dict[str, list[dict[str, Any]]] = {}
    for one in YAML(typ="safe", pure=True).load_all(text):
        found.setdefault(one["kind"], []).append(one)
    return found


def template(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return dict(json.loads(next(one["data"]["pool.json"] for one in found["ConfigMap"] if "pool.json" in one["data"])))


@pytest.mark.usefixtures("helm")
def test_prefect_makes_a_job_of_it_that_nobody_moves_and_that_is_nobody(tmp_path: Path) -> None:
    base = template(rendered(tmp_path, **FACTS))
    properties = base["variables"]["properties"]
    values = {name: one["default"] for name, one in properties.items()} | {"env": {"A": "b"}, "memory": "1Gi"}
    made = KubernetesWorkerJobConfiguration.model_validate(apply_values(base["job_configuration"], values))
    job = made.job_manifest["spec"]
    pod = job["template"]["spec"]
    assert job["backoffLimit"] == 0
    assert set(job["template"]["metadata"]["annotations"]) == {
        "cluster-autoscaler.kubernetes.io/safe-to-evict",
        "karpenter.sh/do-not-disrupt",
    }
    run_container = pod["containers"][0]
    assert run_container["image"] == pod["initContainers"][0]["image"] == IMAGE
    assert run_container["args"] == "python -m deployments.engine"
    assert run_container["resources"]["limits"] == {"memory": "1Gi"}
    assert pod["securityContext"]["runAsNonRoot"]
    assert run_container["securityContext"]["readOnlyRootFilesystem"]
    assert run_container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    mounts = {mount["name"] for one in (*pod["containers"], *pod["initContainers"]) for mount in one["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.usefixtures("helm")
def test_a_worker_serves_the_queues_of_its_environments_and_its_jobs_hold_no_credential(tmp_path: Path) -> None:
    found = rendered(tmp_path, **FACTS, environments=["prod"], jobs={"buildkit": {"enabled": False}})
    worker = found["Deployment"][0]["spec"]["template"]["spec"]["containers"][0]
    queues = [one for one in worker["args"] if one.startswith("--work-queue")]
    assert queues == ["--work-queue=deploy-prod", "--work-queue=check-prod"]
    variables = {one["name"]: one for one in worker["env"]}
    assert "value" not in variables["PREFECT_API_AUTH_STRING"]
    secret = "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_NAME"
    assert variables[secret]["value"] == "prefect-api"
    assert "initContainers" not in template(found)["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]


@pytest.mark.usefixtures("helm")
def test_the_values_that_the_documentation_shows_are_the_charts(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "production.md").read_text()
    (shown,) = re.findall(r"^```yml\n# worker.yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(shown.replace("…", "1" * 64))
    known = yaml.load((ROOT / "charts" / "worker" / "values.yaml").read_text())
    assert values.keys() <= known.keys()
    found = rendered(tmp_path, **values)
    accounts = {one["metadata"]["name"]: one["metadata"].get("annotations") for one in found["ServiceAccount"]}
    assert accounts == {"symphony-worker": None, "symphony-run": values["jobs"]["serviceAccount"]["annotations"]}
    assert [one["name"] for one in found["RoleBinding"][0]["subjects"]] == ["symphony-worker"]
    pod = template(found)["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "symphony-run"
    mounted = {one["subPath"]: one["mountPath"] for one in pod["containers"][0]["volumeMounts"] if "subPath" in one}
    assert mounted == values["files"]["paths"]
    environment = next(one["data"] for one in found["ConfigMap"] if "SYMPHONY_CONFIG" in one["data"])
    assert environment.items() >= values["environment"].items()


@pytest.mark.usefixtures("helm")
@pytest.mark.parametrize("missing", ["image", "api"])
def test_what_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    with pytest.raises(ToolError, match="is missing"):
        rendered(tmp_path, **{name: value for name, value in FACTS.items() if name != missing})


@pytest.mark.usefixtures("helm")
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"image": "registry.example/symphony:1"}, "image"),
        ({"serviceAccount": {"annotations": {}}}, "annotations"),
        ({"environment": {"A B": "c"}}, "A B"),
        ({"jobs": {"resources": {"limits": {"memory": None}}}}, "memory"),
        ({"jobs": {"buildKit": {"enabled": False}}}, "buildKit"),
        ({"files": {"paths": {"kubeconfig": "etc/kubeconfig"}}}, "kubeconfig"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_and_named(tmp_path: Path, values: dict[str, Any], said: str) -> None:
    with pytest.raises(ToolError, match=f"(?s)values don't meet the specifications.*{said}"):
        rendered(tmp_path, **(FACTS | values))
