"""The workflows of GitHub Actions, read as GitHub does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from symphony import tool

HERE = Path(__file__).parents[1]
WORKFLOWS = sorted((HERE / ".github/workflows").glob("*.yml"))
USED = [
    (file.name, used)
    for file in [*WORKFLOWS, *sorted((HERE / ".github/actions").glob("*/action.yml"))]
    for used in re.findall(r"uses: (\S+)", file.read_text())
]


@pytest.mark.usefixtures("tools")
def test_actionlint_finds_nothing() -> None:
    tool.run(["actionlint", "-no-color", *WORKFLOWS], cwd=HERE)


@pytest.mark.parametrize(("name", "used"), USED)
def test_beside_a_pinned_checkout_only_actions_of_this_repository_are_used(name: str, used: str) -> None:
    assert re.fullmatch(r"actions/checkout@[0-9a-f]{40}|\./\.github/actions/[a-z-]+", used), name


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_each_workflow_says_what_it_may_and_how_long_it_takes(file: Path) -> None:
    text = file.read_text()
    assert "\npermissions:\n  contents: read\n" in text
    assert "\nconcurrency:\n" in text
    assert text.count("timeout-minutes:") == text.count("runs-on:")
