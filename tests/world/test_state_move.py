"""A run that is killed while it takes a moved unit's state along: its locks are found, told, freed, and it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.client import Run
from sandbox.aws.client import client
from sandbox.world import World
from tests.world.operations import Operator
from tests.world.proxy import Proxy, standing_before
from tests.world.seat import NUMBERS

MODULE = """
variable "name" {
  type = string
}

resource "aws_iam_group" "this" {
  name = var.name
}
"""
UNIT = """
include "root" {
  path = find_in_parent_folders("root.hcl")
}

terraform {
  source = "../../../modules/group"
}

inputs = {
  name = "NAME"
}
"""


@pytest.fixture(scope="module")
def dev(world: World, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Dev, wherever it is."""
    return Operator.take(world, tmp_path_factory.mktemp("dev"))


@pytest.fixture
def proxy(world: World) -> Iterator[Proxy]:
    """Before the sandbox's AWS API."""
    with standing_before(world.aws_endpoint) as made:
        yield made


def test_a_move_that_is_killed_leaves_locks_that_unlock_finds_and_frees_and_then_goes_on(
    dev: Operator, proxy: Proxy
) -> None:
    number = next(NUMBERS)
    old, new, group = f"old-{number}", f"new-{number}", f"group-{number}"

    def at(place: str, endpoint: str = "") -> str:
        def edit(copy: Path) -> None:
            for file, text in (
                ("infra/modules/group/main.tf", MODULE),
                (f"infra/live/dev/{place}/terragrunt.hcl", UNIT.replace("NAME", group)),
            ):
                (copy / file).parent.mkdir(parents=True)
                (copy / file).write_text(text)
            if endpoint:
                configuration = (copy / "symphony.yaml").read_text()
                assert dev.world.aws_endpoint in configuration
                (copy / "symphony.yaml").write_text(configuration.replace(dev.world.aws_endpoint, endpoint))

        return dev.committed(edit)

    before, after = at(old), at(new, proxy.endpoint)
    assert dev.ended(dev.begin(before, since="main")).succeeded
    made = created(dev, group)

    def move() -> Run:
        return dev.begin(after, since=before, move_states=True)

    try:
        proxy.halt = rf"PUT \S*/{new}/terraform\.tfstate "
        killed = move()
        assert proxy.halted.wait(120)
        assert locks(dev) == {f"dev/{new}/terraform.tfstate.tflock", f"dev/{old}/terraform.tfstate.tflock"}
        dev.kill(killed)
        proxy.halt = ""

        blocked = dev.ended(move())
        assert blocked.state_type == "FAILED"
        assert f"dev/{old}/terraform.tfstate is held by " in blocked.message
        assert "for moving the state s3://" in blocked.message
        assert "symphony unlock" in blocked.message

        # Main's tree has neither of the two units; that somebody holds them is found all the same.
        shown = dev.symphony("unlock", "--env", "dev", "--yes")
        for unit in (old, new):
            told = shown.partition(f"{unit}\n")[2].partition("Freed.")[0]
            assert "for moving the state s3://" in told
            assert f"/dev/{unit}/terraform.tfstate.tflock" in told
        assert locks(dev) == set()

        again = dev.ended(move())
        assert again.succeeded, again.message
        assert created(dev, group) == made
        assert dev.keys(f"dev/{old}/") == []
        assert dev.keys(f"dev/{new}/") == [f"dev/{new}/terraform.tfstate"]
        assert dev.ended(move()).succeeded
    finally:
        proxy.halt = ""
        for commit in (after, before):
            dev.ended(dev.begin("main", since=commit, destroy_removed=True))
    assert group not in {one["GroupName"] for one in client(dev.world, "iam").list_groups()["Groups"]}


def created(dev: Operator, group: str) -> object:
    """When a group was made, which tells it from one made anew."""
    return client(dev.world, "iam").get_group(GroupName=group)["Group"]["CreateDate"]


def locks(dev: Operator) -> set[str]:
    return {key for key in dev.keys("dev/") if key.endswith(".tflock")}
