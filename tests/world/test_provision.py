"""Real Terragrunt, OpenTofu and AWS provider against the sandbox's AWS API, in an environment of the tests' own."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.provision import ProvisionError, provision_change
from sandbox.aws.credentials import aws_environment
from sandbox.prefect import worker_environment
from sandbox.world import ACCOUNT, REGION, World
from symphony.change import Change
from symphony.config import load
from symphony.errors import BadInputError, SymphonyError
from symphony.models import UnitResult
from tasks.live import Live, live_of
from tasks.outputs import known_outputs
from tasks.units import find_units
from tests.world.live_tree import IGNORED, lay_out, sign_in

pytestmark = pytest.mark.apart

EXTRA = 'resource "aws_iam_group" "extra" {\n  name = "${var.name}-extra"\n}'
HIDING = """
resource "aws_iam_user" "extra" {
  name = "${var.name}-extra"
  tags = { token = var.token }
}

variable "token" {
  default   = "hidden-text"
  sensitive = true
}
"""


@dataclass
class Infrastructure:
    """A checkout whose environment no other test touches, and AWS as anybody would ask it."""

    tree: Path
    environment: str
    session: Any

    def aws(self, service: str) -> Any:
        return self.session.client(service)

    def change(self, *changed: str) -> Change:
        configuration = load(self.tree / "symphony.yaml")
        return Change(configuration, self.environment, "c" * 40, None, self.tree, self.tree, "", changed or None)

    def provision(self, *changed: str, **options: Any) -> dict[str, UnitResult]:
        """What became of each affected unit; everything without paths that changed."""

        @flow(name="provision", task_runner=ThreadPoolTaskRunner(max_workers=8))  # type: ignore[arg-type]
        def body() -> tuple[UnitResult, ...]:
            return provision_change(self.change(*changed), **options)

        return {result.unit: result for result in body()}

    def copy(self, to: Path) -> Infrastructure:
        """The same environment in another checkout, which a test may break."""
        shutil.copytree(self.tree, to, ignore=IGNORED)
        return Infrastructure(to, self.environment, self.session)

    def add(self, path: str, text: str) -> None:
        with (self.tree / path).open("a") as file:
            file.write(f"\n{text}\n")

    def replace(self, path: str, before: str, after: str) -> None:
        file = self.tree / path
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after))

    @property
    def live(self) -> Live:
        return live_of(self.change())


def states(results: dict[str, UnitResult]) -> dict[str, str]:
    return {unit: result.state for unit, result in results.items()}


@pytest.fixture(scope="module")
def infrastructure(account: World, prefect: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Infrastructure]:
    """This repository's infrastructure under a name of its own, provisioned once."""
    del prefect
    tree = tmp_path_factory.mktemp("infrastructure") / "tree"
    environment = f"t{secrets.token_hex(4)}"
    lay_out(tree, environment, account)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in worker_environment(account).items():
            if not name.startswith("PREFECT_"):
                patch.setenv(name, value)
        sign_in()
        session = boto3.Session()
        made = Infrastructure(tree, environment, session)
        assert states(made.provision()) == {"network": "applied", "registry": "applied", "access": "applied"}
        yield made
        made.live.terragrunt("run", "--all", "--", "destroy", "-auto-approve", "-no-color")


def test_what_was_provisioned_is_there_as_asked_for(infrastructure: Infrastructure) -> None:
    name = f"{infrastructure.environment}/hello"
    (repository,) = infrastructure.aws("ecr").describe_repositories(repositoryNames=[name])["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"]["scanOnPush"]
    network = known_outputs(infrastructure.tree, infrastructure.environment)["network"]
    (vpc,) = infrastructure.aws("ec2").describe_vpcs(VpcIds=[network["vpc_id"]])["Vpcs"]
    assert {"Key": "environment", "Value": infrastructure.environment} in vpc["Tags"]
    policy = infrastructure.aws("iam").get_role_policy(
        RoleName=f"{infrastructure.environment}-image-pull", PolicyName="pull-images"
    )["PolicyDocument"]
    assert repository["repositoryArn"] in policy["Statement"][1]["Resource"]


def test_the_state_is_encrypted_versioned_and_unlocked_again(infrastructure: Infrastructure) -> None:
    s3 = infrastructure.aws("s3")
    bucket = f"symphony-state-{ACCOUNT}-{REGION}"
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=infrastructure.environment)["Contents"]]
    units = ("access", "network", "registry")
    assert keys == [f"{infrastructure.environment}/{unit}/terraform.tfstate" for unit in units]
    assert s3.head_object(Bucket=bucket, Key=keys[0])["ServerSideEncryption"] == "AES256"
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"


def test_a_second_run_changes_nothing(infrastructure: Infrastructure, tmp_path: Path) -> None:
    again = infrastructure.copy(tmp_path / "tree")
    assert set(states(again.provision()).values()) == {"unchanged"}


def test_a_changed_module_affects_its_unit_alone(infrastructure: Infrastructure, tmp_path: Path) -> None:
    changed = infrastructure.copy(tmp_path / "tree")
    changed.add("infra/modules/access/main.tf", EXTRA)
    results = changed.provision("infra/modules/access/main.tf")
    assert states(results) == {"access": "applied"}
    plan = results["access"].plan
    assert plan is not None
    assert [(change.address, change.action) for change in plan.changes] == [("aws_iam_group.extra", "add")]
    infrastructure.provision("infra/modules/access/main.tf")


def test_nothing_affected_asks_aws_nothing(infrastructure: Infrastructure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    assert infrastructure.provision("README.md") == {}


def test_a_unit_that_fails_holds_back_those_that_depend_on_it(infrastructure: Infrastructure, tmp_path: Path) -> None:
    broken = infrastructure.copy(tmp_path / "tree")
    broken.add("infra/modules/ecr/main.tf", 'resource "aws_iam_role" "x" {\n  assume_role_policy = local.nowhere\n}')
    broken.add("infra/modules/network/main.tf", EXTRA)
    with pytest.raises(ProvisionError, match="failed: registry") as raised:
        broken.provision()
    results = {result.unit: result for result in raised.value.results}
    assert states(results) == {"network": "applied", "registry": "failed", "access": "held back"}
    assert "nowhere" in results["registry"].reason
    assert "on main.tf line" in results["registry"].reason
    infrastructure.provision("infra/modules/network/main.tf")


def test_a_mocked_output_reaches_no_plan(infrastructure: Infrastructure, tmp_path: Path) -> None:
    """The dependency is applied, but has not got the output yet: the mock must not stand in for it."""
    lacking = infrastructure.copy(tmp_path / "tree")
    unit = "infra/units/access.hcl"
    lacking.replace(unit, 'vpc_cidr = "10.0.0.0/16"', 'vpc_cidr = "10.0.0.0/16"\n    missing = "mock-value"')
    lacking.replace(unit, "dependency.network.outputs.vpc_cidr", "dependency.network.outputs.missing")
    with pytest.raises(ProvisionError) as raised:
        lacking.provision(unit)
    assert "missing" in str(raised.value)
    assert "mock-value" not in str(raised.value)


def test_plan_only_fills_in_mocks_for_what_is_not_applied_and_says_so(
    infrastructure: Infrastructure, tmp_path: Path
) -> None:
    proposed = infrastructure.copy(tmp_path / "tree")
    unit = "infra/units/access.hcl"
    proposed.add("infra/modules/network/main.tf", EXTRA)
    proposed.add("infra/modules/network/outputs.tf", 'output "fresh" {\n  value = aws_iam_group.extra.name\n}')
    proposed.replace(unit, 'vpc_cidr = "10.0.0.0/16"', 'vpc_cidr = "10.0.0.0/16"\n    fresh    = "mock-value"')
    proposed.replace(unit, "= local.environment.name", "= dependency.network.outputs.fresh")
    written = (proposed.tree / unit).read_text()
    results = proposed.provision("infra/modules/network/main.tf", unit, plan_only=True)
    assert states(results) == {"network": "planned", "access": "planned"}
    network, access = results["network"].plan, results["access"].plan
    assert network is not None
    assert access is not None
    assert (network.provisional, access.provisional) == (False, True)
    assert "mock-value" in access.text
    assert (proposed.tree / unit).read_text() == written
    names = {one["GroupName"] for one in infrastructure.aws("iam").list_groups()["Groups"]}
    assert f"{infrastructure.environment}-extra" not in names
    assert set(states(infrastructure.provision()).values()) == {"unchanged"}


def test_a_proposal_without_mocks_is_held_back_with_the_reason(infrastructure: Infrastructure, tmp_path: Path) -> None:
    proposed = infrastructure.copy(tmp_path / "tree")
    unit = "infra/units/access.hcl"
    proposed.add("infra/modules/network/main.tf", EXTRA)
    proposed.replace(unit, "= local.environment.name", "= dependency.network.outputs.fresh")
    results = proposed.provision("infra/modules/network/main.tf", unit, plan_only=True)
    assert states(results) == {"network": "planned", "access": "held back"}
    assert "depends on network, not applied yet, and cannot be planned before" in results["access"].reason


def test_the_same_change_has_the_same_hash_in_every_checkout(infrastructure: Infrastructure, tmp_path: Path) -> None:
    hashes = set()
    for name in ("one", "two"):
        proposed = infrastructure.copy(tmp_path / name)
        proposed.add("infra/modules/access/main.tf", EXTRA)
        plan = proposed.provision("infra/modules/access/main.tf", plan_only=True)["access"].plan
        assert plan is not None
        hashes.add(plan.hash)
    assert len(hashes) == 1
    assert len(hashes.pop()) == 64


def test_a_sensitive_value_stays_out_of_the_result(infrastructure: Infrastructure, tmp_path: Path) -> None:
    """The AWS provider 3.40 prints a sensitive tag again in `tags_all`."""
    hiding = infrastructure.copy(tmp_path / "tree")
    hiding.add("infra/modules/access/main.tf", HIDING)
    results = hiding.provision("infra/modules/access/main.tf")
    assert results["access"].state == "applied"
    assert "hidden-text" not in results["access"].model_dump_json()
    assert results["access"].plan is not None
    assert "(sensitive value)" in results["access"].plan.text
    infrastructure.provision("infra/modules/access/main.tf")


def test_another_account_is_refused_before_anything_is_touched(infrastructure: Infrastructure, tmp_path: Path) -> None:
    other = infrastructure.copy(tmp_path / "tree")
    other.replace("infra/live/account.hcl", "123456789012", "999999999999")
    with pytest.raises(ProvisionError, match="Account ID not allowed"):
        other.provision(f"infra/live/{infrastructure.environment}/network/terragrunt.hcl")


@pytest.mark.parametrize("unit", ["network", "access"])
def test_a_file_that_terragrunt_cannot_parse_is_named(
    infrastructure: Infrastructure, tmp_path: Path, unit: str
) -> None:
    """Terragrunt's `find` does not tell, so the first task that needs the unit does."""
    broken = infrastructure.copy(tmp_path / "tree")
    file = f"infra/live/{infrastructure.environment}/{unit}/terragrunt.hcl"
    broken.add(file, "inputs = {")
    with pytest.raises(SymphonyError, match=file.replace(".", r"\.")):
        broken.provision(file)


def test_units_that_depend_on_each_other_are_told(infrastructure: Infrastructure, tmp_path: Path) -> None:
    circular = infrastructure.copy(tmp_path / "tree")
    circular.add(
        f"infra/live/{infrastructure.environment}/network/terragrunt.hcl",
        'dependency "access" {\n  config_path = "../access"\n}',
    )
    with pytest.raises(BadInputError, match="circle, among access, network;"):
        find_units.fn(circular.live)


def test_against_aws_itself_nothing_of_the_sandbox_is_generated(
    infrastructure: Infrastructure, tmp_path: Path, account: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rendered without an endpoint, since this machine has no AWS to plan against."""
    plain = infrastructure.copy(tmp_path / "tree").live
    for name in aws_environment(account):
        monkeypatch.delenv(name)
    shown = Live(plain.tree, plain.root, plain.environment).terragrunt("render", "--format=json", unit="network").stdout
    assert "allowed_account_ids" in shown
    assert "use_lockfile" in shown
    for word in ("endpoint", "skip_", "path_style", "127.0.0.1"):
        assert word not in shown
