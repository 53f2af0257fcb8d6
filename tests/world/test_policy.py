"""Policy on real plans: this repository's infrastructure under its own name, changed so that it opens SSH to all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.provision import ProvisionError, provision_change
from sandbox.prefect import worker_environment
from sandbox.world import World
from symphony.change import Change
from symphony.config import load
from symphony.models import UnitResult
from tasks.live import live_of
from tests.world.live_tree import lay_out, sign_in

pytestmark = pytest.mark.apart

OPENING = """
resource "aws_security_group" "bastion" {
  name   = "${var.name}-bastion"
  vpc_id = aws_vpc.this.id

  ingress {
    protocol    = "tcp"
    from_port   = 22
    to_port     = 22
    cidr_blocks = ["0.0.0.0/0"]
  }
}
"""
EXCEPTION = """\
exceptions:
  - rule: open-admin-port
    unit: {environment}/network
    address: aws_security_group.bastion
    reason: A world test
    until: {until}
"""


@dataclass
class Infrastructure:
    """A checkout whose environment no other test touches."""

    tree: Path
    environment: str

    @property
    def change(self) -> Change:
        configuration = load(self.tree / "symphony.yaml")
        return Change(configuration, self.environment, "c" * 40, None, self.tree, self.tree, "", None)

    def provision(self) -> dict[str, UnitResult]:
        @flow(name="provision", task_runner=ThreadPoolTaskRunner(max_workers=8))  # type: ignore[arg-type]
        def body() -> tuple[UnitResult, ...]:
            return provision_change(self.change)

        return {result.unit: result for result in body()}

    def denied(self) -> ProvisionError:
        with pytest.raises(ProvisionError) as raised:
            self.provision()
        return raised.value

    def write(self, path: str, text: str) -> None:
        (self.tree / path).write_text(text)

    def groups(self) -> list[Any]:
        """Security groups of the environment, asked of AWS."""
        session: Any = boto3.Session()
        mine = [{"Name": "tag:environment", "Values": [self.environment]}]
        return list(session.client("ec2").describe_security_groups(Filters=mine)["SecurityGroups"])


@pytest.fixture
def infrastructure(account: World, prefect: None, tmp_path: Path) -> Iterator[Infrastructure]:
    """Nothing of it is applied yet."""
    del prefect
    tree = tmp_path / "tree"
    made = Infrastructure(tree, f"t{secrets.token_hex(4)}")
    lay_out(tree, made.environment, account)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in worker_environment(account).items():
            if not name.startswith("PREFECT_"):
                patch.setenv(name, value)
        sign_in()
        yield made
        live_of(made.change).terragrunt("run", "--all", "--", "destroy", "-auto-approve", "-no-color")


def test_ssh_for_the_world_is_denied_before_anything_of_its_unit_is_applied(infrastructure: Infrastructure) -> None:
    module = infrastructure.tree / "infra" / "modules" / "network" / "main.tf"
    module.write_text(module.read_text() + OPENING)
    error = infrastructure.denied()
    told = str(error)
    assert "Units of" in told
    assert "failed: network." in told
    assert "aws_security_group.bastion (open-admin-port): It lets 0.0.0.0/0 reach port 22." in told
    assert "Name the address blocks or the security groups that need it" in told
    assert f"`unit: {infrastructure.environment}/network`, `address: aws_security_group.bastion`" in told
    states = {result.unit: result.state for result in error.results}
    assert states == {"network": "failed", "registry": "applied", "access": "held back"}
    assert infrastructure.groups() == []

    file, fields = "infra/policies/exceptions.yaml", {"environment": infrastructure.environment}
    infrastructure.write(file, EXCEPTION.format(**fields, until="2020-01-01"))
    assert "The exception from open-admin-port expired on 2020-01-01." in str(infrastructure.denied())
    assert infrastructure.groups() == []

    infrastructure.write(file, EXCEPTION.format(**fields, until="2999-12-31"))
    results = infrastructure.provision()
    assert {unit: result.state for unit, result in results.items()} == {
        "network": "applied",
        "registry": "unchanged",
        "access": "applied",
    }
    (bastion,) = [group for group in infrastructure.groups() if group["GroupName"].endswith("-bastion")]
    (opened,) = bastion["IpPermissions"]
    assert (opened["FromPort"], opened["IpRanges"][0]["CidrIp"]) == (22, "0.0.0.0/0")
