from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.live import Live
from tasks.stacks import origin
from tasks.units import Unit, affected, parse_units

STACKS: list[dict[str, Any]] = [{"type": "stack", "path": "services", "reading": ["env.hcl"]}]
UNITS = """[
  {"type": "unit", "path": "plain", "reading": ["env.hcl"]},
  {"type": "stack", "path": "services", "reading": ["env.hcl"]},
  {"type": "unit", "path": "services/.terragrunt-stack/vpc"},
  {"type": "unit", "path": "services/.terragrunt-stack/repository",
   "dependencies": ["services/.terragrunt-stack/vpc"]}
]"""
STACK = """
unit "vpc" {
  source = "${get_repo_root()}/infra/units/vpc"
  path   = "vpc"
}
unit "repository" {
  source = "../../../units/repository"
  path   = "repository"
  values = { source = "no" }
}
"""
VPC, REPOSITORY = "services/.terragrunt-stack/vpc", "services/.terragrunt-stack/repository"


@pytest.fixture
def live(tmp_path: Path) -> Live:
    made = Live(tree=tmp_path, root="infra/live", environment="dev", environments=("dev",))
    for unit in (VPC, REPOSITORY):
        (made.folder / unit).mkdir(parents=True)
        (made.folder / unit / ".terragrunt-stack-manifest").touch()
        (made.folder / unit / "terragrunt.hcl").touch()
    (made.folder / "plain").mkdir()
    (made.folder / "services" / "terragrunt.stack.hcl").write_text(STACK)
    return made


def names(units: tuple[Unit, ...]) -> list[str]:
    return [unit.path.rpartition("/")[2] for unit in units]


def test_a_generated_unit_knows_its_stack_and_its_own_source(live: Live) -> None:
    made = origin(live, VPC, STACKS)
    assert made is not None
    assert made.reading == ("infra/live/dev/env.hcl", "infra/live/dev/services/terragrunt.stack.hcl")
    assert made.sources == ("infra/units/vpc",)
    assert origin(live, "plain", STACKS) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("infra/live/dev/services/terragrunt.stack.hcl", ["vpc", "repository"]),
        ("infra/live/dev/env.hcl", ["plain", "vpc", "repository"]),
        ("infra/units/repository/terragrunt.hcl", ["repository"]),
        ("infra/units/vpc/terragrunt.hcl", ["vpc", "repository"]),
        ("infra/units/other/terragrunt.hcl", []),
        ("infra/live/dev/gone/terragrunt.stack.hcl", []),
        ("infra/live/dev/plain/terragrunt.hcl", ["plain"]),
    ],
)
def test_a_stack_counts_with_its_file_what_it_reads_and_its_sources(live: Live, path: str, expected: list[str]) -> None:
    units = parse_units(live, UNITS)
    assert names(affected(live, units, [path])) == expected


def test_a_source_that_only_terragrunt_knows_counts_with_any_module(live: Live) -> None:
    (live.folder / "services" / "terragrunt.stack.hcl").write_text(STACK.replace('"../../../units', '"${local.units}'))
    units = parse_units(live, UNITS)
    assert names(affected(live, units, ["infra/catalog/x.hcl"])) == ["repository"]


def test_a_stack_within_a_stack_brings_both_sources(live: Live) -> None:
    outer = 'stack "inner" {\n  source = "${get_repo_root()}/infra/stacks/inner"\n  path = "inner"\n}\n'
    inner = 'unit "leaf" {\n  source = "${get_repo_root()}/infra/units/leaf"\n  path = "leaf"\n}\n'
    (live.folder / "services" / "terragrunt.stack.hcl").write_text(outer)
    generated = "services/.terragrunt-stack/inner"
    leaf = f"{generated}/.terragrunt-stack/leaf"
    (live.folder / leaf).mkdir(parents=True)
    (live.folder / leaf / ".terragrunt-stack-manifest").touch()
    (live.folder / generated / "terragrunt.stack.hcl").write_text(inner)
    made = origin(live, leaf, [*STACKS, {"type": "stack", "path": generated}])
    assert made is not None
    assert made.sources == ("infra/stacks/inner", "infra/units/leaf")
