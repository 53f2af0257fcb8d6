"""A Git repository with an environment of small Terragrunt units, and an AWS API of its own that it is applied to."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.task_runners import ThreadPoolTaskRunner
from ruamel.yaml import YAML

from flows.provision import provision_change
from sandbox.aws import aws_environment
from sandbox.aws.part import Aws
from sandbox.tofu import tofu_environment
from sandbox.world import ACCOUNT, REGION, Ports, World
from symphony.change import Change
from symphony.config import load
from symphony.models import UnitResult
from tasks.git import changed, git, worktree
from tests.world.live_tree import ROOT, sign_in

ENVIRONMENT = "dev"
LIVE = f"infra/live/{ENVIRONMENT}"
MODULE = """
variable "name" {
  type = string
}

variable "note" {
  type    = string
  default = ""
}

resource "aws_ecr_repository" "this" {
  name = var.name
  tags = { note = var.note }
}

output "name" {
  value = aws_ecr_repository.this.name
}
"""
INCLUDE = 'include "root" {\n  path = find_in_parent_folders("root.hcl")\n}\n'
SOURCE = 'terraform {\n  source = "${get_repo_root()}/infra/modules/repository"\n}\n'


def unit(name: str, *dependencies: str, more: str = "", note: str = "first") -> str:
    blocks = "".join(f'dependency "{one}" {{\n  config_path = "../{one}"\n{more}}}\n' for one in dependencies)
    notes = [f'"{note}"', *(f"dependency.{one}.outputs.name" for one in dependencies)]
    return f'{INCLUDE}{SOURCE}{blocks}inputs = {{\n  name = "{name}"\n  note = join(" ", [{", ".join(notes)}])\n}}\n'


@dataclass
class Repository:
    """A Git repository with one environment, and the account that it is applied to."""

    folder: Path
    session: Any
    base: str = ""
    run: str = ""

    def write(self, files: dict[str, str | None]) -> None:
        """Write files, take those without text away."""
        for name, text in files.items():
            file = self.folder / name
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)

    def commit(self, files: dict[str, str | None]) -> str:
        self.write(files)
        git("add", "--all", cwd=self.folder)
        git("commit", "--quiet", "--message", "test", cwd=self.folder)
        return git("rev-parse", "HEAD", cwd=self.folder)

    @contextmanager
    def change(self) -> Iterator[Change]:
        commit = git("rev-parse", "HEAD", cwd=self.folder)
        configuration = load(self.folder / "symphony.yaml")
        paths = changed(self.folder, self.base, commit) if self.base else None
        with worktree(self.folder, commit) as tree:
            yield Change(configuration, ENVIRONMENT, commit, self.base or None, tree, self.folder, self.run, paths)

    def provision(self, **options: Any) -> dict[str, UnitResult]:
        @flow(name="provision", task_runner=ThreadPoolTaskRunner(max_workers=8))  # type: ignore[arg-type]
        def body() -> tuple[UnitResult, ...]:
            context = FlowRunContext.get()
            self.run = str(context.flow_run.id) if context and context.flow_run else ""
            with self.change() as change:
                return provision_change(change, **options)

        return {result.unit: result for result in body()}

    @property
    def tries(self) -> dict[str, int]:
        """How often each task of the last run was tried."""
        with get_client(sync_client=True) as client:
            answer = client.request(
                "POST", "/task_runs/filter", json={"flow_runs": {"id": {"any_": [self.run]}}, "limit": 200}
            )
            return {task["name"]: task["run_count"] for task in answer.json()}

    def page(self, key: str) -> str:
        """An artifact that the last run left."""
        with get_client(sync_client=True) as client:
            asked = {"artifacts": {"flow_run_id": {"any_": [self.run]}, "key": {"any_": [key]}}, "sort": "CREATED_DESC"}
            return str(client.request("POST", "/artifacts/filter", json=asked).json()[0])

    def released(self) -> None:
        """From here on, this commit is what changes are compared with."""
        self.base = git("rev-parse", "HEAD", cwd=self.folder)

    @property
    def repositories(self) -> set[str]:
        """ECR repositories there are."""
        found = self.session.client("ecr").describe_repositories()["repositories"]
        return {one["repositoryName"] for one in found}

    def created(self, name: str) -> object:
        """When a repository was made, which tells it from one made anew."""
        (found,) = self.session.client("ecr").describe_repositories(repositoryNames=[name])["repositories"]
        return found["createdAt"]

    @property
    def keys(self) -> list[str]:
        """Objects beside the states."""
        listed = self.session.client("s3").list_objects_v2(Bucket=f"symphony-state-{ACCOUNT}-{REGION}")
        return [one["Key"] for one in listed["Contents"]]

    @property
    def states(self) -> str:
        """All state files of the environment."""
        s3 = self.session.client("s3")
        bucket = f"symphony-state-{ACCOUNT}-{REGION}"
        keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
        return "".join(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys)


def states(results: dict[str, UnitResult]) -> dict[str, str]:
    return {name: result.state for name, result in results.items()}


@contextmanager
def an_account(machine: World, folders: pytest.TempPathFactory) -> Iterator[World]:
    """An AWS API apart from the sandbox's, which may be up or down."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    apart = replace(machine, state=folders.mktemp("apart"), ports=Ports(aws=port))
    try:
        Aws().bring_up(apart)
        yield apart
    finally:
        Aws().stop(apart)


@contextmanager
def in_account(account: World, folders: pytest.TempPathFactory) -> Iterator[Repository]:
    """A repository whose environment has no unit yet, and the variables of a worker of its account."""
    folder = folders.mktemp("repository")
    yaml = YAML(typ="safe")
    configuration = yaml.load(ROOT / "symphony.yaml")
    for environment in configuration["environments"].values():
        environment["aws"]["endpoint"] = account.aws_endpoint
    yaml.dump(configuration, folder / "symphony.yaml")
    (folder / LIVE).mkdir(parents=True)
    for name in ("root.hcl", "account.hcl", "region.hcl", f"{ENVIRONMENT}/env.hcl"):
        shutil.copy(ROOT / "infra" / "live" / name, folder / "infra" / "live" / name)
    git("init", "--quiet", cwd=folder)
    git("remote", "add", "origin", ".", cwd=folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (aws_environment(account) | tofu_environment(account)).items():
            patch.setenv(name, value)
        patch.setenv("PATH", account.path)
        patch.setenv("SYMPHONY_WORK", str(folders.mktemp("work")))
        sign_in()
        made = Repository(folder, boto3.Session())
        made.write({"infra/modules/repository/main.tf": MODULE})
        yield made
