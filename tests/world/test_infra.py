"""The modules' examples, applied by real OpenTofu and AWS provider against the sandbox's AWS API, then destroyed.

The policy is asked about each plan first. Three are planned alone: EKS needs AWS's own policies, which the sandbox's
moto does not load (`test_live.py` applies it where they are), and moto's CloudFormation knows no API destinations.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from sandbox.aws.credentials import aws_environment
from sandbox.registry.event import image_action, prefect_event
from sandbox.tofu import tofu_environment
from sandbox.world import ACCOUNT, REGION, World
from symphony.errors import ToolError
from symphony.tool import Finished, run

MODULES = Path(__file__).parents[2] / "infra" / "modules"
POLICIES = MODULES.with_name("policies")
SERVICES = (
    "acm",
    "cloudformation",
    "cloudwatchevents",
    "cloudwatchlogs",
    "ec2",
    "ecr",
    "eks",
    "iam",
    "kms",
    "route53",
    "s3",
    "sqs",
    "sts",
)
# The longest first: provider 3.40 waits half a minute for a DNS record, and as long for a NAT gateway to be gone.
CARRIED = (
    "dns/minimal",
    "network/minimal",
    "network/zones",
    "access/minimal",
    "ecr/minimal",
    "events/existing",
    "iam-ci/minimal",
    "irsa/minimal",
    "state/minimal",
)
PLANNED = ("eks/minimal", "eks/fargate", "events/minimal")
AT_ONCE = 5
_PLAN = "example.tfplan"
# What an example needs to be otherwise in the sandbox, which speaks plain HTTP alone.
OTHERWISE = {"state/minimal": 'module "state" {\n  tls_only = false\n}\n'}


@dataclass(frozen=True)
class Example:
    """One example in a folder of the tests' own, under a name nobody else uses."""

    folder: Path
    environment: dict[str, str]
    program: Path

    def tofu(self, *arguments: str, ok: tuple[int, ...] = (0,)) -> Finished:
        return run(
            [self.program, *arguments, "-no-color"],
            cwd=self.folder,
            env=self.environment,
            ok=ok,
            limit=300,
            patience=60,
        )

    def outputs(self) -> dict[str, Any]:
        found = json.loads(self.tofu("output", "-json").stdout)
        return {name: output["value"] for name, output in found.items()}


@dataclass(frozen=True)
class Examples:
    name: str
    world: World
    folder: Path
    failures: dict[str, str]

    def __getitem__(self, example: str) -> Example:
        module, name = example.split("/")
        environment = aws_environment(self.world) | tofu_environment(self.world)
        return Example(self.folder / module / "examples" / name, environment, self.world.tool("tofu"))

    def aws(self, service: str) -> Any:
        session: Any = boto3.Session()
        assert not self.failures, "\n".join(self.failures.values())
        return session.client(service)

    def prepare(self, example: str) -> None:
        """Rename what the example makes, and point its provider at the sandbox."""
        folder = self[example].folder
        main = folder / "main.tf"
        main.write_text(re.sub(r"\bexample\b", self.name, main.read_text()))
        endpoints = "\n".join(f'    {service} = "{self.world.aws_endpoint}"' for service in SERVICES)
        # moto says that the account has EC2-Classic, in which provider 3.40 tags no address.
        settings = "skip_metadata_api_check = true\n  s3_force_path_style = true\n  skip_get_ec2_platforms = true"
        # As root.hcl holds every unit to its account; the policy asks for it.
        guard = f'allowed_account_ids = ["{ACCOUNT}"]'
        provider = f'provider "aws" {{\n  {guard}\n  {settings}\n  endpoints {{\n{endpoints}\n  }}\n}}\n'
        (folder / "sandbox_override.tf").write_text(provider + OTHERWISE.get(example, ""))

    def apply(self, example: str) -> None:
        """Plan, ask the policy, and apply what was planned."""
        try:
            self.plan(example)
            self[example].tofu("apply", "-input=false", _PLAN)
        except ToolError as error:
            self.failures[example] = f"{example}: {error}"

    def plan(self, example: str) -> Finished:
        """Plan an example and ask the policy about it, as `provision` does; a denial is an error."""
        self[example].tofu("init", "-input=false")
        planned = self[example].tofu("plan", "-input=false", f"-out={_PLAN}")
        folder = self[example].folder
        (folder / "plan.json").write_text(self[example].tofu("show", "-json", _PLAN).stdout)
        unit = f"{self.name}/{example}"
        facts = {"account": ACCOUNT, "environment": self.name, "environments": [self.name], "unit": unit}
        facts |= {"units": [unit], "exceptions": [], "today": datetime.now(UTC).date().isoformat()}
        (folder / "run.json").write_text(json.dumps({"run": facts}))
        conftest = [self.world.tool("conftest"), "test", "--no-color", "--all-namespaces", "--policy", POLICIES]
        run([*conftest, "--data", "run.json", "--parser", "json", "plan.json"], cwd=folder, limit=120)
        return planned

    def destroy(self, example: str) -> None:
        self[example].tofu("destroy", "-input=false", "-auto-approve")


@pytest.fixture(scope="module")
def examples(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    """All that moto carries, applied side by side, and destroyed at the end."""
    folder = tmp_path_factory.mktemp("infra") / "modules"
    shutil.copytree(MODULES, folder, ignore=shutil.ignore_patterns(".terraform*"))
    made = Examples(f"t{secrets.token_hex(4)}", world, folder, {})
    for example in (*CARRIED, *PLANNED):
        made.prepare(example)
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(AT_ONCE) as pool:
        for name, value in aws_environment(world).items():
            patch.setenv(name, value)
        try:
            list(pool.map(made.apply, CARRIED))
            yield made
        finally:
            list(pool.map(made.destroy, CARRIED))


def test_every_example_is_applied_or_planned() -> None:
    found = {f"{path.parents[1].name}/{path.name}" for path in MODULES.glob("*/examples/*")}
    assert found == {*CARRIED, *PLANNED}


@pytest.mark.parametrize("example", CARRIED)
def test_an_applied_example_plans_no_change(examples: Examples, example: str) -> None:
    assert example not in examples.failures, examples.failures[example]
    finished = examples[example].tofu("plan", "-input=false", "-detailed-exitcode", ok=(0, 2))
    assert finished.code == 0, finished.stdout


@pytest.mark.parametrize("example", PLANNED)
def test_what_moto_does_not_carry_is_planned_and_passes_the_policy(examples: Examples, example: str) -> None:
    finished = examples.plan(example)
    assert re.search(r"Plan: [1-9][0-9]* to add, 0 to change, 0 to destroy", finished.stdout)


def test_private_subnets_leave_by_the_gateway_of_their_own_zone(examples: Examples) -> None:
    ec2 = examples.aws("ec2")
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": [f"{examples.name}-zones"]}])["Vpcs"]
    mine = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    subnets = {subnet["SubnetId"]: subnet for subnet in ec2.describe_subnets(Filters=mine)["Subnets"]}
    gateways = {
        gateway["NatGatewayId"]: subnets[gateway["SubnetId"]]["AvailabilityZone"]
        for gateway in ec2.describe_nat_gateways(Filters=mine)["NatGateways"]
    }
    leaves = {
        (subnets[association["SubnetId"]]["AvailabilityZone"], gateways[route["NatGatewayId"]])
        for table in ec2.describe_route_tables(Filters=mine)["RouteTables"]
        for route in table["Routes"]
        if "NatGatewayId" in route
        for association in table["Associations"]
        if "SubnetId" in association
    }
    assert leaves == {(zone, zone) for zone in ("eu-central-1a", "eu-central-1b", "eu-central-1c")}
    assert set(examples["network/zones"].outputs()["nat_addresses"]) == {zone for zone, _ in leaves}


def test_private_subnets_reach_ecr_and_s3_by_endpoints(examples: Examples) -> None:
    ec2 = examples.aws("ec2")
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": [examples.name]}])["Vpcs"]
    endpoints = ec2.describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["VpcEndpoints"]
    assert {endpoint["ServiceName"].removeprefix(f"com.amazonaws.{REGION}.") for endpoint in endpoints} == {
        "ecr.api",
        "ecr.dkr",
        "s3",
    }


def test_another_account_may_pull_and_not_push(examples: Examples) -> None:
    policy = examples.aws("ecr").get_repository_policy(repositoryName=f"{examples.name}/hello")["policyText"]
    (statement,) = json.loads(policy)["Statement"]
    assert statement["Principal"] == {"AWS": ["arn:aws:iam::210987654321:root"]}
    assert not [action for action in statement["Action"] if "Put" in action or "Upload" in action or "*" in action]


def test_only_one_branch_of_one_repository_takes_the_role_of_ci(examples: Examples) -> None:
    role = examples.aws("iam").get_role(RoleName=f"{examples.name}-ci")["Role"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": [f"repo:{examples.name}/hello:ref:refs/heads/main"],
        }
    }


def test_only_the_named_service_account_takes_its_role(examples: Examples) -> None:
    role = examples.aws("iam").get_role(RoleName=f"{examples.name}-workers")["Role"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    issuer = "oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE"
    assert statement["Condition"]["StringEquals"][f"{issuer}:sub"] == ["system:serviceaccount:prefect:worker"]


def test_the_certificate_is_validated_by_records_of_the_zone(examples: Examples) -> None:
    zones = examples.aws("route53").list_hosted_zones_by_name(DNSName=f"{examples.name}.symphony.test")
    zone = zones["HostedZones"][0]
    records = examples.aws("route53").list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    there = {(record["Name"].rstrip("."), record["ResourceRecords"][0]["Value"].rstrip(".")) for record in records}
    acm = examples.aws("acm")
    (certificate,) = [
        acm.describe_certificate(CertificateArn=one["CertificateArn"])["Certificate"]
        for one in acm.list_certificates()["CertificateSummaryList"]
        if one["DomainName"] == f"{examples.name}.symphony.test"
    ]
    assert len(certificate["SubjectAlternativeNames"]) == 3
    asked = {
        (option["ResourceRecord"]["Name"].rstrip("."), option["ResourceRecord"]["Value"].rstrip("."))
        for option in certificate["DomainValidationOptions"]
        if not option["DomainName"].startswith("*.")
    }
    assert asked <= there


def test_the_bucket_of_states_is_versioned_encrypted_and_closed(examples: Examples) -> None:
    s3, bucket = examples.aws("s3"), f"symphony-state-{examples.name}-eu-central-1"
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    closed = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert len(closed) == 4
    assert all(closed.values())
    policy = json.loads(examples["state/minimal"].outputs()["policies"]["dev"]["write"])
    assert f"arn:aws:s3:::{bucket}/dev/*" in policy["Statement"][2]["Resource"]


@pytest.mark.parametrize(("rule", "tag"), [("tagged", "v1"), ("untagged", None)])
def test_eventbridge_sends_what_the_sandbox_registry_sends(examples: Examples, rule: str, tag: str | None) -> None:
    """moto transforms no events, so the target's template is filled in here, by EventBridge's rules."""
    events = examples.aws("events")
    name = f"{examples.name}-existing-ecr-push-{rule}"
    (target,) = events.list_targets_by_rule(Rule=name)["Targets"]
    action = image_action(
        account=ACCOUNT,
        region=REGION,
        repository="dev/hello",
        digest="sha256:" + "a" * 64,
        tag=tag,
        media_type="application/vnd.oci.image.manifest.v1+json",
        artifact="application/vnd.oci.image.config.v1+json",
        at=datetime.now(UTC),
    )
    sent = target["InputTransformer"]["InputTemplate"].replace("<aws.events.event.json>", json.dumps(action))
    for variable, path in target["InputTransformer"]["InputPathsMap"].items():
        value: Any = action
        for key in path.removeprefix("$.").split("."):
            value = value[key]
        sent = sent.replace(f"<{variable}>", value)
    assert json.loads(sent) == [prefect_event(action, f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com")]
    pattern = json.loads(events.describe_rule(Name=name)["EventPattern"])
    assert pattern["detail"]["image-tag"] == [{"exists": tag is not None}]
