from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sandbox import doctor
from sandbox.doctor import Finding, examine, preflight
from sandbox.part import Part
from sandbox.world import World


class Node(Part):
    """A cluster that wants programs and root."""

    name: ClassVar[str] = "kubernetes"
    daemons: ClassVar[tuple[str, ...]] = ("kubelet",)

    def start(self, world: World) -> None:
        del world
        raise AssertionError("a check starts nothing")

    def check(self, world: World) -> None:
        del world
        raise AssertionError("a check asks no part")

    def ports(self, world: World) -> Mapping[str, int]:
        del world
        return {}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(source=tmp_path, state=tmp_path / "state", cache=tmp_path / "cache")


def failed(findings: tuple[Finding, ...], name: str) -> Finding:
    return next(one for one in findings if one.name == name and one.state == "failed")


def test_without_root_the_fix_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "sudo" in failed(preflight(world, [Node()]), "root").fix


def test_a_full_disk_is_told_with_its_place(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    found = failed(preflight(world, [Node()]), "disk")
    assert "1.0 GiB free" in found.said
    assert "SYMPHONY_STATE" in found.fix


def test_missing_programs_are_named_with_the_part_that_needs_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = World.tool

    def tool(self: World, name: str) -> Path:
        return plain(self, f"no-such-{name}") if name in {"runc", "etcd"} else Path("/bin/true")

    monkeypatch.setattr(World, "tool", tool)
    found = failed(preflight(world, [Node()]), "programs")
    assert found.said == "the part kubernetes needs runc, etcd, which the machine does not have"
    assert "make setup" in found.fix


def test_a_check_makes_and_changes_nothing(world: World) -> None:
    examine(world, [Node()])
    assert not world.state.exists()
    assert not world.cache.exists()


def test_tools_that_are_still_to_be_built_are_no_failure(world: World) -> None:
    found = next(one for one in examine(world, [Node()]) if one.name == "toolchain")
    assert found.state == "warning"
    assert "kubernetes" in found.said


def test_a_dead_sandbox_is_told(world: World) -> None:
    world.write(world.folder("run") / "kubelet.json", '{"pid": 1, "born": 1.0, "argv": []}')
    leftovers = [one for one in examine(world, [Node()]) if one.name == "leftovers"]
    assert any("whose processes have all ended" in one.said for one in leftovers)


@pytest.mark.parametrize("missing", ["memory", "pids"])
def test_a_missing_cgroup_controller_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_dir(self: Path) -> bool:
        return self.name != missing

    def exists(self: Path, **_: Any) -> bool:
        return self.name != "cgroup.controllers"

    monkeypatch.setattr(Path, "is_dir", is_dir)
    monkeypatch.setattr(Path, "exists", exists)
    found = doctor._cgroups()  # noqa: SLF001 - the one thing that cannot be had on every machine
    assert found.state == "failed"
    assert f"without {missing}" in found.said
