"""Generated trees of small Terragrunt units, in a Git repository that flows and plain Terragrunt both check out."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML

from sandbox.world import World
from symphony.tool import run

ENVIRONMENT = "bench"
_LIVE = "infra/live"
_MODULE = """\
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

variable "name" {
  type = string
}

variable "note" {
  type = string
}

variable "parents" {
  type    = list(string)
  default = []
}

resource "aws_ecr_repository" "this" {
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }

  tags = {
    note    = var.note
    parents = join(" ", var.parents)
  }
}

output "name" {
  value = aws_ecr_repository.this.name
}
"""
_ENVIRONMENT = f'locals {{\n  name = "{ENVIRONMENT}"\n}}\n'


@dataclass(frozen=True)
class Tree:
    """One repository with one environment of units.

    Attributes:
        world: The sandbox whose AWS API the units are applied to.
        folder: Where the repository is.
        units: For each unit the units it depends on.
        parallelism: Units at once.
    """

    world: World
    folder: Path
    units: Mapping[str, Sequence[str]]
    parallelism: int
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def configuration(self) -> Path:
        """The ``symphony.yaml`` that flows start from."""
        return self.folder / "symphony.yaml"

    def write(self) -> str:
        """Make the repository; the commit."""
        live = self.folder / _LIVE
        (live / ENVIRONMENT).mkdir(parents=True)
        for name in ("root.hcl", "account.hcl", "region.hcl"):
            shutil.copy(self.world.source / _LIVE / name, live / name)
        (live / ENVIRONMENT / "env.hcl").write_text(_ENVIRONMENT, encoding="utf-8")
        module = self.folder / "infra" / "modules" / "repository"
        module.mkdir(parents=True)
        (module / "main.tf").write_text(_MODULE, encoding="utf-8")
        for unit in self.units:
            self._write_unit(unit)
        self._configure()
        self._git("init", "--quiet", "--initial-branch", "main")
        return self.commit("units")

    def change(self, units: Sequence[str], note: str) -> str:
        """Change a tag of these units; the commit."""
        for unit in units:
            self.notes[unit] = note
            self._write_unit(unit)
        return self.commit(note)

    def commit(self, message: str) -> str:
        """Commit everything; the commit."""
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message", message)
        return self._git("rev-parse", "HEAD")

    def checkout(self, to: Path) -> Path:
        """A fresh checkout, as a CI run has one; the environment's folder in it."""
        self._git("clone", "--quiet", str(self.folder), str(to))
        return to / _LIVE / ENVIRONMENT

    def file(self, unit: str) -> str:
        """A unit's file as Git names it."""
        return f"{_LIVE}/{ENVIRONMENT}/{unit}/terragrunt.hcl"

    def _write_unit(self, unit: str) -> None:
        parents = self.units[unit]
        text = [
            'include "root" {\n  path = find_in_parent_folders("root.hcl")\n}',
            'terraform {\n  source = "../../../modules/repository"\n}',
            *(f'dependency "{parent}" {{\n  config_path = "../{parent}"\n}}' for parent in parents),
            (
                "inputs = {\n"
                f'  name    = "{self.folder.name}/{unit}"\n'
                f'  note    = "{self.notes.get(unit, "first")}"\n'
                f"  parents = [{', '.join(f'dependency.{parent}.outputs.name' for parent in parents)}]\n"
                "}"
            ),
        ]
        file = self.folder / self.file(unit)
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n\n".join(text) + "\n", encoding="utf-8")

    def _configure(self) -> None:
        yaml = YAML(typ="safe")
        configuration = yaml.load(self.world.source / "symphony.yaml")
        first = next(iter(configuration["environments"].values()))
        first["aws"]["endpoint"] = self.world.aws_endpoint
        configuration["environments"] = {ENVIRONMENT: first}
        configuration["git"]["remote"] = f"file://{self.folder}"
        configuration["infrastructure"] = {"live": _LIVE, "parallelism": self.parallelism}
        yaml.dump(configuration, self.configuration)

    def _git(self, *args: str) -> str:
        identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
        return run(["git", *identity, *args], cwd=self.folder).stdout.strip()


def flat(count: int) -> dict[str, list[str]]:
    """Units that do not depend on each other."""
    return {f"u{number:03}": [] for number in range(count)}


def diamond(count: int, bottom: int = 3) -> dict[str, list[str]]:
    """Three layers: a few units, half of the rest on two of them each, the other half on two of those each."""
    below = [f"a{number:03}" for number in range(bottom)]
    middle = [f"b{number:03}" for number in range((count - bottom) // 2)]
    top = [f"c{number:03}" for number in range(count - bottom - len(middle))]
    units: dict[str, list[str]] = {name: [] for name in below}
    for names, parents in ((middle, below), (top, middle)):
        for number, name in enumerate(names):
            units[name] = sorted({parents[number % len(parents)], parents[(number + 1) % len(parents)]})
    return units
