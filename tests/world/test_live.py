"""The units of `infra/live` and all that `infra/units` has besides, on an AWS API of their own.

It knows AWS's own policies, which EKS needs, and ends with the tests: nothing has to be destroyed.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.provision import provision_change
from sandbox.aws.part import Aws
from sandbox.prefect import worker_environment
from sandbox.world import ACCOUNT, REGION, Ports, World
from symphony.change import Change
from symphony.config import load
from symphony.models import UnitResult
from tasks.outputs import known_outputs
from tests.world.live_tree import lay_out, sign_in

pytestmark = pytest.mark.apart

ENVIRONMENTS = ("dev", "staging", "prod")
WHOLE = "whole"
UNIT = """\
include "root" {{
  path = find_in_parent_folders("root.hcl")
}}

include "unit" {{
  path = find_in_parent_folders("units/{name}.hcl")
}}

inputs = {{
{inputs}
}}
"""
# What an environment says itself, as an HCL expression by input.
UNITS: dict[str, dict[str, str]] = {
    "network": {"dns_hostnames": "true", "nat": '"single"', "s3_endpoint": "true"},
    "registry": {"pull_accounts": '["210987654321"]'},
    "access": {},
    # moto carries Fargate; of groups of nodes it tells things that nobody asked for.
    "cluster": {"node_groups": "{}", "fargate_namespaces": '["kube-system", "shop"]'},
    "ci": {"repository": '"example/shop"'},
    # Nobody delegates this domain, so no certificate is ever issued.
    "dns": {"domain": '"shop.symphony.test"', "wait": "false"},
    # moto's CloudFormation makes no API destination.
    "events": {"destination_arn": f'"arn:aws:events:{REGION}:{ACCOUNT}:api-destination/prefect/1"'},
    "argocd-role": {},
    "workers-role": {},
    "ingress-role": {},
}
NODES = {"node_groups": '{ general = { instance_types = ["m7i.large"] } }'}


def write(tree: Path, name: str, inputs: dict[str, str]) -> str:
    """Write a unit of the whole environment; its path."""
    file = Path("infra", "live", WHOLE, name, "terragrunt.hcl")
    (tree / file).parent.mkdir(exist_ok=True)
    lines = "\n".join(f"  {key} = {value}" for key, value in inputs.items())
    (tree / file).write_text(UNIT.format(name=name, inputs=lines))
    return file.as_posix()


def provision(tree: Path, environment: str, *changed: str, **options: Any) -> dict[str, UnitResult]:
    """What became of each affected unit; everything without paths that changed."""
    configuration = load(tree / "symphony.yaml")
    change = Change(configuration, environment, "c" * 40, None, tree, tree, "", changed or None)

    @flow(name="provision", task_runner=ThreadPoolTaskRunner(max_workers=8))  # type: ignore[arg-type]
    def body() -> tuple[UnitResult, ...]:
        return provision_change(change, **options)

    return {result.unit: result for result in body()}


@pytest.fixture(scope="module")
def account(machine: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    apart = replace(machine, state=tmp_path_factory.mktemp("apart"), ports=Ports(aws=port))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
        try:
            Aws().bring_up(apart)
            for name, value in worker_environment(apart).items():
                if not name.startswith("PREFECT_"):
                    patch.setenv(name, value)
            yield apart
        finally:
            Aws().stop(apart)


@pytest.fixture(scope="module")
def whole(account: World, prefect: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with an environment that has every unit."""
    del prefect
    sign_in()
    tree = tmp_path_factory.mktemp("whole") / "tree"
    lay_out(tree, WHOLE, account)
    for name, inputs in UNITS.items():
        write(tree, name, inputs)
    return tree


def states(results: dict[str, UnitResult]) -> dict[str, str]:
    return {unit: result.state for unit, result in results.items()}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_is_live_is_planned_from_nothing_and_passes_the_policy(
    account: World, prefect: None, tmp_path: Path, environment: str
) -> None:
    """A plan that the policy denies would have failed."""
    del prefect
    sign_in()
    tree = tmp_path / "tree"
    lay_out(tree, environment, account)
    results = provision(tree, environment, plan_only=True)
    assert states(results) == {"network": "planned", "registry": "planned", "access": "planned"}
    assert all(result.plan and result.plan.count("add") for result in results.values())


def test_every_unit_is_tried(whole: Path) -> None:
    assert {path.stem for path in (whole / "infra" / "units").glob("*.hcl")} == UNITS.keys()


def test_an_environment_with_every_unit_is_applied_and_settles(whole: Path) -> None:
    results = provision(whole, WHOLE)
    assert states(results) == dict.fromkeys(results, "applied")
    assert results.keys() == UNITS.keys()
    known = known_outputs(whole, WHOLE)
    assert known["cluster"]["cluster_name"] == WHOLE
    session: Any = boto3.Session()
    for unit in ("argocd-role", "workers-role", "ingress-role"):
        role = session.client("iam").get_role(RoleName=f"{WHOLE}-{unit.removesuffix('-role')}")["Role"]
        assert known[unit]["role_arn"] == role["Arn"]
        trusted = role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Federated"]
        assert trusted == known["cluster"]["oidc_provider_arn"]
    policy = session.client("iam").get_role_policy(RoleName=f"{WHOLE}-ingress", PolicyName="answer-challenges")
    assert known["dns"]["zone_id"] in json.dumps(policy["PolicyDocument"])

    again = provision(whole, WHOLE)
    assert states(again) == dict.fromkeys(UNITS, "unchanged")

    nodes = provision(whole, WHOLE, write(whole, "cluster", NODES), plan_only=True)
    assert nodes["cluster"].state == "planned"
    assert nodes["cluster"].plan is not None
    added = {change.address for change in nodes["cluster"].plan.changes if change.action == "add"}
    assert 'aws_eks_node_group.this["general"]' in added
