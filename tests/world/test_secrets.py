"""Secrets of a unit, through plan, approval, apply and release: nothing but the state holds them afterwards."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.aws.client import client
from sandbox.world import World
from tests.world.operations import BUCKET, SECRET_TAG, Operator, append
from tests.world.rows import rows

MODULE = (
    SECRET_TAG
    + """
# Made by AWS while it is applied: no plan knows it.
resource "aws_iam_access_key" "secret" {
  user = aws_iam_user.secret.name
}

resource "terraform_data" "secret" {
  input = var.token

  provisioner "local-exec" {
    command     = "echo made with $TOKEN"
    environment = { TOKEN = var.token }
  }
}

output "secret" {
  value     = aws_iam_access_key.secret.secret
  sensitive = true
}

output "token" {
  value     = { token = var.token }
  sensitive = true
}
"""
)

INVALID = """
variable "given" {
  sensitive = true
}

variable "written" {
  default   = "%s"
  sensitive = true
}

# The provider names what it finds invalid, before there is a plan.
resource "aws_vpc" "secret" {
  cidr_block = var.given
}

resource "aws_vpc" "another" {
  cidr_block = var.written
}
"""

_ENGINES = ("docker", "kubernetes", "registry")
"""Folders of images and of what runs in containers, which know no unit."""


@dataclass
class Places:
    """Everywhere that a run leaves something."""

    operator: Operator

    def holding(self, hidden: dict[str, str]) -> set[tuple[str, str]]:
        """The places of each hidden text, by its name."""
        return {(place, name) for place, text in self.texts() for name, value in hidden.items() if value in text}

    def texts(self) -> Iterator[tuple[str, str]]:
        """What is there, by place: the state itself, and what Git has of the commit, are left out."""
        yield from rows(self.operator.world)
        yield from self.files()
        yield from self.objects()
        yield from self.records()

    def files(self) -> Iterator[tuple[str, str]]:
        """Logs of the parts, results, checkouts, whatever else is beneath the sandbox's state, but for images."""
        for folder in self.operator.world.state.iterdir():
            for file in folder.rglob("*") if folder.name not in _ENGINES else ():
                if file.is_file() and not file.is_symlink():
                    yield str(file), file.read_bytes().decode("latin-1")

    def objects(self) -> Iterator[tuple[str, str]]:
        """Every object of S3 in every version, but the states."""
        s3 = client(self.operator.world, "s3")
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET):
            for one in page.get("Versions", ()):
                if not one["Key"].endswith("terraform.tfstate"):
                    got = s3.get_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"])
                    yield f"s3 {one['Key']}", got["Body"].read().decode("latin-1")

    def records(self) -> Iterator[tuple[str, str]]:
        """The records of releases, and the desired states, with all their history."""
        self.operator.git("fetch", "--quiet", "origin")
        for branch in ("symphony/records", "env/prod"):
            yield branch, self.operator.git("log", "--patch", "--text", f"origin/{branch}")


@pytest.fixture(scope="module")
def production(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Prod with main's infrastructure, before and after."""
    made = Operator.take(world, tmp_path_factory.mktemp("production"))
    made.environment = "prod"
    ended = made.ended(made.begin("main", everything=True, approved_by="the tests"))
    assert ended.succeeded, ended.message
    yield made
    ended = made.ended(made.begin("main", everything=True, approved_by="the tests"))
    assert ended.succeeded, ended.message


def test_after_plan_approval_apply_and_release_only_the_state_holds_a_units_secrets(production: Operator) -> None:
    token = f"token-{secrets.token_hex(12)}"
    commit = production.committed(lambda copy: append(copy / "infra/modules/access/main.tf", MODULE % token))
    run = production.api.start("release", "prod", {"commit": commit})
    key = production.suspended(run)
    while True:
        production.answer_question(run, approver="Ada", decision="approve", reason="They are to stay where they are.")
        now = production.until(run, lambda now, but=key: now.final or production.asks(now, but))  # type: ignore[misc]
        if now.final:
            break
        key = production.question(now)
    assert now.succeeded, now.message
    # A second look, at what is there now: the plan knows what AWS made.
    assert production.ended(production.begin(commit, everything=True, plan_only=True)).succeeded

    s3 = client(production.world, "s3")
    state = json.loads(s3.get_object(Bucket=BUCKET, Key="prod/access/terraform.tfstate")["Body"].read())
    hidden = {"token": token, "key": state["outputs"]["secret"]["value"]}
    assert state["outputs"]["token"]["value"] == {"token": token}
    assert all(len(text) > 20 for text in hidden.values())

    pages = production.api.artifact(run.id, "plans-prod") or ""
    assert "(sensitive value)" in pages
    assert [record["state"] for record in production.records(commit)] == ["succeeded"]
    places = Places(production)
    assert places.holding(hidden) == set()
    # What was searched is what is there.
    searched = [place for place, _ in places.texts()]
    for part in ("table log", "table artifact", "table events", "worker", "symphony/records"):
        assert any(part in place for place in searched), part


def test_what_a_provider_says_of_a_secret_before_there_is_a_plan_holds_it_nowhere(production: Operator) -> None:
    hidden = {name: f"{name}-{secrets.token_hex(12)}" for name in ("given", "written")}

    def edit(copy: Path) -> None:
        append(copy / "infra/modules/access/main.tf", INVALID % hidden["written"])
        append(copy / "infra/live/prod/access/terragrunt.hcl", f'inputs = {{ given = "{hidden["given"]}" }}')

    ended = production.ended(production.begin(production.committed(edit), everything=True, plan_only=True))
    assert ended.state_type == "FAILED"
    assert ended.message.count("got: (sensitive value)") == len(hidden), ended.message
    assert Places(production).holding(hidden) == set()
