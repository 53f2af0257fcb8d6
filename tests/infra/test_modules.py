"""What holds of every module and every live unit: read from the files alone, nothing is run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import hcl2
import pytest

from symphony.config import load

INFRA = Path(__file__).parents[2] / "infra"
MODULES = sorted(path for path in (INFRA / "modules").iterdir() if path.is_dir())
EXAMPLES = sorted(path for module in MODULES for path in module.glob("examples/*"))
LIVE = INFRA / "live"
UNITS = sorted(
    path
    for folder in ("live", "units")
    for path in (INFRA / folder).rglob("*.hcl")
    if ".terragrunt-cache" not in path.parts
)
ENVIRONMENTS = sorted(path.parent for path in LIVE.glob("*/env.hcl"))
SCHEMA = Path(__file__).parent / "samples" / "provider-6.json"
META = {"count", "for_each", "depends_on", "lifecycle", "provider", "__is_block__"}
FILES = ("main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md")

# Arguments, blocks and resources that one of the two providers does not take.
UNKNOWN_TO_3_40 = (
    "aws_s3_bucket_versioning",
    "aws_s3_bucket_server_side_encryption_configuration",
    "aws_s3_bucket_lifecycle_configuration",
    "aws_cloudwatch_event_connection",
    "aws_cloudwatch_event_api_destination",
    "aws_vpc_security_group_ingress_rule",
    "aws_vpc_security_group_egress_rule",
    "aws_eks_access_entry",
    "aws_iam_role_policies_exclusive",
)


@cache
def parse(file: Path) -> dict[str, Any]:
    return dict(hcl2.loads(file.read_text()))


def text(value: object) -> str:
    """A string literal without the quotes that the reader leaves around it."""
    return str(value).strip('"')


def labelled(folder: Path, kind: str) -> dict[str, dict[str, Any]]:
    """Blocks with one label in all of a module's files, by label."""
    files = sorted(folder.glob("*.tf"))
    return {text(name): body for file in files for block in parse(file).get(kind, []) for name, body in block.items()}


def resources(folder: Path) -> list[tuple[str, str, dict[str, Any]]]:
    found = [block for file in sorted(folder.glob("*.tf")) for block in parse(file).get("resource", [])]
    return [
        (text(kind), text(name), body)
        for block in found
        for kind, named in block.items()
        for name, body in named.items()
    ]


def data_sources(folder: Path) -> list[tuple[str, str, dict[str, Any]]]:
    found = [block for file in sorted(folder.glob("*.tf")) for block in parse(file).get("data", [])]
    return [
        (f"data.{text(kind)}", text(name), body)
        for block in found
        for kind, named in block.items()
        for name, body in named.items()
    ]


def arguments(body: dict[str, Any], path: str = "") -> Iterator[str]:
    """Arguments of a resource, those of its blocks by their path; not what OpenTofu itself understands."""
    for key, value in body.items():
        name = f"{path}{text(key)}"
        if name in META:
            continue
        if text(key) == "dynamic":
            for block in value:
                for label, inner in block.items():
                    yield f"{path}{text(label)}"
                    yield from arguments(inner["content"][0], f"{path}{text(label)}.")
            continue
        yield name
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for inner in value:
                yield from arguments(inner, f"{name}.")


def table(readme: str, title: str) -> list[str]:
    """First column of a README's table, without backticks."""
    rows = readme.split(f"\n| {title} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [row.split("|")[1].strip().strip("`") for row in rows]


def identity(path: Path) -> str:
    return path.relative_to(INFRA).as_posix()


def test_a_team_finds_what_it_needs() -> None:
    needed = {"network", "ecr", "access", "eks", "iam-ci", "irsa", "dns", "state", "events"}
    assert needed <= {module.name for module in MODULES}


@pytest.mark.parametrize("module", MODULES, ids=identity)
def test_a_module_has_its_files_and_an_example(module: Path) -> None:
    assert [name for name in FILES if not (module / name).is_file()] == []
    assert list(module.glob("examples/*/main.tf"))


@pytest.mark.parametrize("module", MODULES, ids=identity)
def test_a_module_takes_provider_3_40_and_6_alike(module: Path) -> None:
    (terraform,) = parse(module / "versions.tf")["terraform"]
    (providers,) = terraform["required_providers"]
    assert {key: text(value) for key, value in providers["aws"].items()} == {
        "source": "hashicorp/aws",
        "version": ">= 3.40, < 7.0",
    }
    kinds = {kind for kind, _, _ in resources(module)}
    assert kinds.isdisjoint(UNKNOWN_TO_3_40)
    for kind, name, body in resources(module):
        if kind == "aws_eip":
            assert not {"vpc", "domain"} & body.keys(), name
        if kind == "aws_iam_role":
            assert not {"inline_policy", "managed_policy_arns"} & body.keys(), name
        if kind == "aws_cloudwatch_event_rule":
            assert not {"is_enabled", "state"} & body.keys(), name
        if kind == "aws_iam_openid_connect_provider":
            assert "thumbprint_list" in body, name


@pytest.mark.parametrize("module", MODULES, ids=identity)
def test_every_argument_is_one_of_provider_6_and_none_is_missing(module: Path) -> None:
    """By the schema of 6.25; what 3.40 takes is tried on itself in the world tests."""
    schema = json.loads(SCHEMA.read_text())["schema"]
    for kind, name, body in [*resources(module), *data_sources(module)]:
        given = set(arguments(body))
        blocks = {argument.rpartition(".")[0] for argument in given} | {""}
        required = {one for one in schema[kind]["required"] if one.rpartition(".")[0] in blocks}
        assert given <= set(schema[kind]["arguments"]), name
        assert required <= given, name


@pytest.mark.parametrize("module", MODULES, ids=identity)
def test_each_variable_is_described_typed_and_validated(module: Path) -> None:
    lacking = []
    for name, body in labelled(module, "variable").items():
        wanted = {"description", "type"}
        if text(body.get("type")) != "bool":
            wanted.add("validation")  # true and false need none
        lacking += [f"{name}: {key}" for key in sorted(wanted - body.keys())]
        lacking += [f"{name}: a sentence" for key in ("description",) if not text(body.get(key)).endswith(".")]
    assert lacking == []


@pytest.mark.parametrize("module", MODULES, ids=identity)
def test_what_a_validation_refuses_names_the_variable(module: Path) -> None:
    for name, body in labelled(module, "variable").items():
        for validation in body.get("validation", []):
            message = text(validation["error_message"])
            assert name in message
            assert message.endswith(".")


@pytest.mark.parametrize("folder", [*MODULES, *EXAMPLES], ids=identity)
def test_each_output_is_described(folder: Path) -> None:
    outputs = labelled(folder, "output")
    assert outputs
    assert [name for name, body in outputs.items() if not text(body.get("description", "")).endswith(".")] == []


@pytest.mark.parametrize("module", MODULES, ids=identity)
def test_the_readme_lists_inputs_and_outputs_as_they_are(module: Path) -> None:
    readme = (module / "README.md").read_text()
    assert table(readme, "input") == list(labelled(module, "variable"))
    assert table(readme, "output") == list(labelled(module, "output"))
    for name, body in labelled(module, "variable").items():
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{name}` |"))
        assert ("| required |" in row) == ("default" not in body), name
        assert text(body["description"]).replace('\\"', '"') in row
    assert "```hcl" in readme


@pytest.mark.parametrize("example", EXAMPLES, ids=identity)
def test_an_example_uses_its_module_and_sets_the_required_tags(example: Path) -> None:
    content = parse(example / "main.tf")
    sources = {text(body["source"]) for block in content["module"] for body in block.values()}
    assert "../.." in sources
    ((_, provider),) = content["provider"][0].items()
    (tags,) = provider["default_tags"]
    assert {text(key) for key in tags["tags"]} == {"environment", "managed-by", "unit"}


@pytest.mark.parametrize("unit", UNITS, ids=identity)
def test_mocks_serve_validate_alone_and_are_never_merged(unit: Path) -> None:
    """Terragrunt takes an absent or empty list as every command, and a merged mock would reach plans."""
    for block in parse(unit).get("dependency", []):
        for name, body in block.items():
            assert not [key for key in body if key.startswith("mock_outputs_merge")], text(name)
            if "mock_outputs" in body or "mock_outputs_allowed_terraform_commands" in body:
                allowed = [text(command) for command in body.get("mock_outputs_allowed_terraform_commands", [])]
                assert allowed == ["validate"], text(name)


@pytest.mark.parametrize("unit", sorted(LIVE.glob("*/*/terragrunt.hcl")), ids=identity)
def test_a_live_unit_says_only_what_its_environment_has_otherwise(unit: Path) -> None:
    content = parse(unit)
    assert content.keys() <= {"include", "inputs"}
    assert {text(name): text(block[name]["path"]) for block in content["include"] for name in block} == {
        "root": '${find_in_parent_folders("root.hcl")}',
        "unit": f'${{find_in_parent_folders("units/{unit.parent.name}.hcl")}}',
    }


@pytest.mark.parametrize("unit", sorted((INFRA / "units").glob("*.hcl")), ids=identity)
def test_a_unit_uses_a_module_and_sets_inputs_that_it_has(unit: Path) -> None:
    content = parse(unit)
    (terraform,) = content["terraform"]
    module = INFRA / "modules" / text(terraform["source"]).removeprefix("../../../modules/")
    assert module in MODULES
    given = {text(name) for name in content.get("inputs", {})}
    assert given <= labelled(module, "variable").keys()


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=identity)
def test_account_and_region_are_those_that_symphony_allows(environment: Path) -> None:
    target = load(INFRA.parent / "symphony.yaml").environments[environment.name].aws
    for name, allowed in (("account", target.account), ("region", target.region)):
        nearest = next(folder for folder in (environment, LIVE) if (folder / f"{name}.hcl").is_file())
        (found,) = parse(nearest / f"{name}.hcl")["locals"]
        assert text(found[name]) == allowed


def test_the_readme_of_infra_names_every_module_and_unit() -> None:
    readme = (INFRA / "README.md").read_text()
    assert [module.name for module in MODULES if not re.search(rf"`modules/{module.name}`", readme)] == []
    units = [unit.stem for unit in (INFRA / "units").glob("*.hcl")]
    assert [name for name in units if f"`{name}`" not in readme] == []
