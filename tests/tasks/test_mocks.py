from __future__ import annotations

import json
from pathlib import Path

import pytest

from symphony.errors import BadInputError
from tasks.live import Live
from tasks.mocks import broken_rules, refuse_mocks
from tasks.units import Unit

ROOT = Path(__file__).parents[2]
MOCKS = 'mock_outputs = {\n    id = "mock"\n  }'
ONLY = 'mock_outputs_allowed_terraform_commands = ["validate"]'


def block(*lines: str) -> str:
    inside = "\n".join(f"  {line}" for line in ('config_path = "../network"', *lines))
    return f'dependency "network" {{\n{inside}\n}}\n'


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        ((MOCKS,), "is absent, which means every command"),
        ((MOCKS, f"# {ONLY}"), "is absent"),
        ((MOCKS, "mock_outputs_allowed_terraform_commands = []"), "is empty, which means every command"),
        ((MOCKS, 'mock_outputs_allowed_terraform_commands = ["validate", "plan"]'), 'is ["validate", "plan"], not'),
        ((MOCKS, 'mock_outputs_allowed_terraform_commands = [\n "validate",\n "plan",\n]'), 'is ["validate", "plan"]'),
        ((MOCKS, "mock_outputs_allowed_terraform_commands = local.commands"), "is local.commands, not"),
        (('mock_outputs_allowed_terraform_commands = ["plan"]',), 'is ["plan"], not'),
        ((MOCKS, ONLY, 'mock_outputs_merge_strategy_with_state = "shallow"'), "merge_strategy_with_state mixes"),
        ((MOCKS, ONLY, 'mock_outputs_merge_strategy_with_state = "deep_map_only"'), "merge_strategy_with_state mixes"),
        ((MOCKS, ONLY, "mock_outputs_merge_strategy_with_state = local.strategy"), "merge_strategy_with_state mixes"),
        ((MOCKS, ONLY, "mock_outputs_merge_with_state = true"), "merge_with_state mixes"),
        (("mock_outputs = local.mocks",), "is absent"),
    ],
)
def test_what_lets_mocks_reach_an_apply_is_named(tmp_path: Path, lines: tuple[str, ...], rule: str) -> None:
    (tmp_path / "terragrunt.hcl").write_text(block(*lines))
    (found,) = broken_rules(tmp_path, "terragrunt.hcl")
    assert found.startswith("terragrunt.hcl, dependency 'network': ")
    assert rule in found


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (MOCKS, ONLY),
        (MOCKS, 'mock_outputs_allowed_terraform_commands = [\n    "validate",\n  ]'),
        (MOCKS, ONLY, 'mock_outputs_merge_strategy_with_state = "no_merge"'),
        (MOCKS, ONLY, "mock_outputs_merge_with_state = false"),
    ],
)
def test_mocks_for_validate_alone_are_fine(tmp_path: Path, lines: tuple[str, ...]) -> None:
    (tmp_path / "terragrunt.hcl").write_text(block(*lines))
    assert list(broken_rules(tmp_path, "terragrunt.hcl")) == []


def test_the_json_form_counts_too(tmp_path: Path) -> None:
    text = json.dumps({"dependency": {"network": {"config_path": "../network", "mock_outputs": {"id": "mock"}}}})
    (tmp_path / "terragrunt.hcl.json").write_text(text)
    assert len(list(broken_rules(tmp_path, "terragrunt.hcl.json"))) == 1


def test_files_that_units_include_or_read_are_checked_too(tmp_path: Path) -> None:
    live = Live(tmp_path, "infra/live", "dev", ("dev",))
    (live.folder / "a").mkdir(parents=True)
    (live.folder / "a" / "terragrunt.hcl").write_text(block(MOCKS, ONLY))
    (tmp_path / "infra" / "common.hcl").write_text(block(MOCKS))
    unit = Unit(path="a", reading=("infra/common.hcl", "infra/values.yaml"))
    with pytest.raises(BadInputError, match=r"infra/common\.hcl, dependency 'network'.*Nothing was planned"):
        refuse_mocks.fn(live, [unit])
    refuse_mocks.fn(live, [unit.model_copy(update={"reading": ()})])


def test_this_repositorys_infrastructure_keeps_the_rule() -> None:
    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / "infra").rglob("*.hcl")]
    assert len(files) > 8
    assert [found for name in files for found in broken_rules(ROOT, name)] == []
