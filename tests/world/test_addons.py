"""Addons by the real helm on the real cluster: installed once, upgraded when they differ, put back when broken."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config
from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner
from ruamel.yaml import YAML

from flows.provision import ProvisionError, provision_change
from sandbox.kubernetes import pause
from sandbox.kubernetes.container_runtime import pause_binary
from sandbox.kubernetes.layout import Layout
from sandbox.prefect import worker_environment
from sandbox.world import World
from symphony.change import Change
from symphony.config import load
from symphony.models import UnitResult
from symphony.tool import run
from tasks.kubernetes import DEPLOYMENTS, cluster
from tasks.outputs import publish_outputs
from tests.world.live_tree import lay_out

CHART = Path(__file__).parent / "charts" / "edge"
LABEL = "addon:edge"


@dataclass
class Platform:
    """A checkout whose environment has one addon and no unit that changes."""

    tree: Path
    environment: str
    image: str
    world: World

    def change(self, *changed: str) -> Change:
        configuration = load(self.tree / "symphony.yaml")
        return Change(configuration, self.environment, "c" * 40, None, self.tree, self.tree, "", changed)

    def results(self, *changed: str, **options: Any) -> dict[str, UnitResult]:
        @flow(name="provision", task_runner=ThreadPoolTaskRunner(max_workers=8))  # type: ignore[arg-type]
        def body() -> tuple[UnitResult, ...]:
            return provision_change(self.change(*changed), **options)

        return {result.unit: result for result in body()}

    def provision(self, *changed: str, **options: Any) -> UnitResult:
        """What became of the addon, where nothing else is touched."""
        results = self.results(*(changed or ("infra/addons/edge.yaml",)), **options)
        assert list(results) == [LABEL]
        return results[LABEL]

    def configure(self, edit: Callable[[Any], None]) -> None:
        """Change the environment's part of symphony.yaml."""
        yaml = YAML(typ="safe")
        configuration = yaml.load(self.tree / "symphony.yaml")
        edit(configuration["environments"][self.environment])
        yaml.dump(configuration, self.tree / "symphony.yaml")

    def values(self, **values: object) -> None:
        file = self.tree / "infra" / "addons" / "edge.yaml"
        file.parent.mkdir(exist_ok=True)
        YAML(typ="safe").dump({"image": self.image, **values}, file)

    def helm(self, *arguments: str) -> str:
        context = ("--namespace", self.environment, "--kube-context", "symphony")
        return run(["helm", *arguments, *context]).stdout

    @property
    def revisions(self) -> list[str]:
        """What became of each revision, the oldest first."""
        return [row["status"] for row in YAML(typ="safe").load(self.helm("history", "edge", "--output", "yaml"))]

    @property
    def deployment(self) -> Any:
        path = f"{DEPLOYMENTS.format(namespace=self.environment)}/edge"
        return cluster(self.change().target).get(path)

    @property
    def zone(self) -> str:
        return str(self.deployment["spec"]["template"]["metadata"]["annotations"]["zone"])


@pytest.fixture
def platform(world: World, prefect: None, tmp_path: Path) -> Iterator[Platform]:
    """The addon takes an output of the unit `network`; nothing is installed yet."""
    del prefect
    made = Platform(tmp_path / "tree", f"t{secrets.token_hex(4)}", pause.reference(pause_binary(Layout(world))), world)
    lay_out(made.tree, made.environment, world)
    shutil.copytree(CHART, made.tree / "charts" / "edge")
    edge = {
        "chart": "charts/edge",
        "namespace": made.environment,
        "files": ["infra/addons/edge.yaml"],
        "values": {"zone": "{network.zone}"},
        "after": "network",
        "timeout": 20,
    }
    made.configure(lambda environment: environment.update(addons={"edge": edge}))
    made.values()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in worker_environment(world).items():
            if not name.startswith("PREFECT_"):
                patch.setenv(name, value)
        publish_outputs.fn(made.tree, made.environment, {"network": {"zone": "eu-central-1a"}})
        try:
            yield made
        finally:
            made.helm("uninstall", "edge", "--ignore-not-found", "--wait")
            core = client.CoreV1Api(config.new_client_from_config(str(world.kubeconfig)))  # type: ignore[no-untyped-call]
            core.delete_namespace(made.environment)


def test_an_addon_is_installed_once_and_upgraded_when_something_differs(platform: Platform) -> None:
    shown = platform.provision(plan_only=True)
    assert (shown.state, platform.helm("list", "--short")) == ("planned", "")
    assert shown.plan is not None
    assert "+  zone: eu-central-1a" in shown.plan.text
    assert "not-for-artifacts" not in shown.plan.text

    assert platform.provision().state == "applied"
    assert platform.deployment["status"]["readyReplicas"] == 1
    assert platform.provision().state == "unchanged"
    assert platform.provision("charts/edge/values.yaml").state == "unchanged"
    assert platform.revisions == ["deployed"]

    publish_outputs.fn(platform.tree, platform.environment, {"network": {"zone": "eu-central-1b"}})
    assert platform.provision().state == "applied"
    platform.values(replicas=2)
    assert platform.provision().state == "applied"
    assert platform.deployment["status"]["readyReplicas"] == 2
    assert (platform.zone, platform.revisions) == ("eu-central-1b", ["superseded", "superseded", "deployed"])


def test_an_addon_that_does_not_come_up_is_put_back_and_told(platform: Platform) -> None:
    platform.provision()
    platform.values(image="nowhere/nothing:1")
    with pytest.raises(ProvisionError, match=r"failed: addon:edge\. helm upgrade of the addon edge in symphony failed"):
        platform.provision()
    assert platform.revisions == ["superseded", "failed", "deployed"]
    assert platform.deployment["spec"]["template"]["spec"]["containers"][0]["image"] == platform.image
    platform.values()
    assert platform.provision().state == "applied"


def test_a_killed_upgrade_is_put_back_by_the_next_run(platform: Platform) -> None:
    platform.provision()
    values = ("--reuse-values", "--set", "image=nowhere/nothing:1", "--wait", "--timeout", "5m")
    with subprocess.Popen(
        [
            platform.world.tool("helm"),
            "upgrade",
            "edge",
            CHART,
            *values,
            "--namespace",
            platform.environment,
            "--kube-context",
            "symphony",
        ],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as helm:
        deadline = time.monotonic() + 30
        while platform.revisions[-1] != "pending-upgrade":
            assert time.monotonic() < deadline, "helm did not begin"
            time.sleep(0.2)
        os.killpg(helm.pid, signal.SIGKILL)
    result = platform.provision()
    assert result.state == "applied"
    assert result.plan is not None
    assert "left half-way (pending-upgrade)" in result.plan.text
    assert platform.revisions[-1] == "deployed"
    assert platform.deployment["spec"]["template"]["spec"]["containers"][0]["image"] == platform.image
    assert platform.provision().state == "unchanged"


def test_a_role_is_let_into_the_cluster_beside_those_that_are_there(platform: Platform) -> None:
    core = client.CoreV1Api(config.new_client_from_config(str(platform.world.kubeconfig)))  # type: ignore[no-untyped-call]
    nodes = "- rolearn: arn:aws:iam::123456789012:role/nodes\n  username: nodes\n"
    core.create_namespaced_config_map("kube-system", {"metadata": {"name": "aws-auth"}, "data": {"mapRoles": nodes}})  # type: ignore[arg-type]
    role = "arn:aws:iam::123456789012:role/workers"
    publish_outputs.fn(platform.tree, platform.environment, {"network": {"zone": "a", "role": role}})
    entry = {"role": "{network.role}", "username": "workers", "groups": ["deployers"]}
    platform.configure(lambda environment: environment["kubernetes"].update(access=[entry]))
    try:
        first, again = (platform.results("symphony.yaml") for _ in range(2))
        assert {unit: result.state for unit, result in first.items()} == {"aws-auth": "applied", LABEL: "applied"}
        assert {unit: result.state for unit, result in again.items()} == {"aws-auth": "unchanged", LABEL: "unchanged"}
        found = core.read_namespaced_config_map("aws-auth", "kube-system").data["mapRoles"]
    finally:
        core.delete_namespaced_config_map("aws-auth", "kube-system")
    entries = {entry["rolearn"]: entry for entry in YAML(typ="safe").load(found)}
    assert entries.keys() == {"arn:aws:iam::123456789012:role/nodes", role}
    assert (entries[role]["username"], entries[role]["groups"]) == ("workers", ["deployers"])
