from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from symphony.errors import BadInputError, SymphonyError
from tasks.live import Live
from tasks.sources import module_folders
from tasks.units import Unit, affected, layers, parse_units, removed

ROOT = Path(__file__).parents[2]
SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture
def live() -> Live:
    return Live(tree=ROOT, root="infra/live", environment="dev", environments=("dev", "staging", "prod"))


@pytest.fixture
def units(live: Live) -> tuple[Unit, ...]:
    """What `terragrunt find` printed for this repository's dev."""
    return parse_units(live, (SAMPLES / "find.json").read_text())


def names(units: Sequence[Unit]) -> list[str]:
    return [unit.path for unit in units]


def test_units_are_read_with_dependencies_files_and_modules(units: tuple[Unit, ...]) -> None:
    assert names(units) == ["network", "registry", "access"]
    access = units[2]
    assert access.dependencies == ("network", "registry")
    assert access.reading == (
        "infra/live/account.hcl",
        "infra/live/dev/env.hcl",
        "infra/live/region.hcl",
        "infra/live/root.hcl",
        "infra/units/access.hcl",
    )
    assert access.modules == ("infra/modules/access",)


def test_a_unit_elsewhere_in_the_live_folder_is_not_this_environments(live: Live) -> None:
    found = (
        '[{"type": "unit", "path": "../shared/dns"}, {"type": "unit", "path": "a", "dependencies": ["../shared/dns"]}]'
    )
    assert parse_units(live, found) == (Unit(path="a", modules=()),)


@pytest.mark.parametrize("found", ["no json", '[{"type": "unit"}]', '{"a": 1}'])
def test_other_output_of_find_is_an_error_that_says_so(live: Live, found: str) -> None:
    with pytest.raises(SymphonyError, match=r"Terragrunt 1\.x"):
        parse_units(live, found)


def test_layers_follow_the_dependencies() -> None:
    diamond = [
        Unit(path="top", dependencies=("left", "right")),
        Unit(path="left", dependencies=("bottom",)),
        Unit(path="right", dependencies=("bottom", "applied-already")),
        Unit(path="bottom"),
    ]
    assert [names(layer) for layer in layers(diamond)] == [["bottom"], ["left", "right"], ["top"]]


def test_a_circle_is_told_with_its_units() -> None:
    circle = [Unit(path="a", dependencies=("b",)), Unit(path="b", dependencies=("a",)), Unit(path="free")]
    with pytest.raises(BadInputError, match="circle, among a, b"):
        layers(circle)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("infra/live/dev/access/terragrunt.hcl", ["access"]),
        ("infra/modules/access/main.tf", ["access"]),
        ("infra/live/applications.hcl", ["registry", "access"]),
        ("infra/modules/network/variables.tf", ["network", "access"]),
        ("infra/live/root.hcl", ["network", "registry", "access"]),
        ("infra/live/account.hcl", ["network", "registry", "access"]),
        ("infra/live/staging/account.hcl", []),
        ("infra/units/access.hcl", ["access"]),
        ("infra/units/cluster.hcl", []),
        ("infra/live/dev/env.hcl", ["network", "registry", "access"]),
        ("infra/live/policies/shared.json", ["network", "registry", "access"]),
        ("infra/live/dev/policy.json", ["network", "registry", "access"]),
        ("infra/live/staging/env.hcl", []),
        ("infra/live/prod/new/terragrunt.hcl", []),
        ("infra/modules/unused/main.tf", []),
        ("infra/modules/network-2/main.tf", []),
        ("infra/README.md", []),
        ("infra/live/README.md", []),
        ("apps/hello/hello.py", []),
        ("infra/live/dev/gone/terragrunt.hcl", []),
    ],
)
def test_a_change_touches_its_units_and_those_that_depend_on_them(
    live: Live, units: tuple[Unit, ...], path: str, expected: list[str]
) -> None:
    assert names(affected(live, units, [path])) == expected


def test_a_file_of_a_nested_unit_does_not_touch_the_outer_one(live: Live) -> None:
    nested = (Unit(path="outer"), Unit(path="outer/inner"))
    assert names(affected(live, nested, ["infra/live/dev/outer/inner/x.json"])) == ["outer/inner"]
    assert names(affected(live, nested, ["infra/live/dev/outer/x.json"])) == ["outer"]


def test_a_unit_whose_module_only_terragrunt_knows_counts_with_any_module(live: Live) -> None:
    unit = Unit(path="a", modules=None)
    assert names(affected(live, [unit], ["infra/modules/any/main.tf"])) == ["a"]
    assert names(affected(live, [unit], ["charts/hello/Chart.yaml"])) == []


def test_units_that_left_the_tree_are_named(live: Live, units: tuple[Unit, ...]) -> None:
    changed = ["infra/live/dev/gone/terragrunt.hcl", "infra/live/dev/network/terragrunt.hcl", "apps/terragrunt.hcl"]
    assert removed(live, units, changed) == ("gone",)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    folder = tmp_path / "live" / "dev" / "a"
    folder.mkdir(parents=True)
    for module in ("net", "base"):
        (tmp_path / "modules" / module).mkdir(parents=True)
    (tmp_path / "modules" / "net" / "main.tf").write_text('module "base" {\n  source = "../base"\n}\n')
    return folder


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ('terraform {\n  source = "../../../modules/net"\n}', ("modules/base", "modules/net")),
        ('terraform {\n  source = "../../../modules//net"\n}', ("modules/base", "modules/net")),
        ('terraform {\n  source = "${get_repo_root()}/modules/base"\n}', ("modules/base",)),
        ('terraform {\n  source = "${get_terragrunt_dir()}/../../../modules/base"\n}', ("modules/base",)),
        ('terraform {\n  source = "${local.base}/net"\n}', None),
        ("terraform {\n  source = local.source\n}", None),
        ('terraform {\n  source = "git::https://example.org/modules.git//net?ref=v1"\n}', ()),
        ('terraform {\n  source = "tfr:///terraform-aws-modules/vpc/aws?version=5.0.0"\n}', ()),
        ('# terraform {\n#  source = "../../../modules/net"\n# }', ()),
        ('inputs = {\n  source = "../../../modules/net"\n}', ()),
        (
            'terraform {\n  extra_arguments "x" {\n    a = "${b}"\n  }\n  source = "../../../modules/base" # why\n}',
            ("modules/base",),
        ),
    ],
)
def test_modules_are_followed_from_the_units_source(unit: Path, block: str, expected: tuple[str, ...] | None) -> None:
    (unit / "terragrunt.hcl").write_text(block + "\n")
    assert module_folders(unit.parents[2], unit, []) == expected


def test_a_source_in_an_included_file_counts(unit: Path) -> None:
    (unit / "terragrunt.hcl").write_text('include "common" {\n  path = "../common.hcl"\n}\n')
    common = unit.parent / "common.hcl"
    common.write_text('terraform {\n  source = "../../../modules/base"\n}\n')
    assert module_folders(unit.parents[2], unit, [common]) == ("modules/base",)
