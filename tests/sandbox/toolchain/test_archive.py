from __future__ import annotations

import dataclasses
import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.toolchain import archive
from sandbox.toolchain.building import build
from sandbox.toolchain.cache import Store, sha256
from sandbox.toolchain.pins import Tool
from symphony.errors import BadInputError

Change = Callable[[dict[str, Any], list[tuple[tarfile.TarInfo, bytes]]], None]


@pytest.fixture
def file(store: Store, fake_go: Callable[..., Path], tmp_path: Path) -> Path:
    fake_go()
    build(store)
    path = tmp_path / "toolchain.tar.gz"
    archive.pack(store, path)
    return path


@pytest.fixture
def other(store: Store, tmp_path: Path) -> Store:
    """The cache of another machine."""
    return Store(tmp_path / "elsewhere", store.tools)


def altered(file: Path, change: Change) -> Path:
    """Write the archive again, with its manifest or members changed."""
    with tarfile.open(file) as tar:
        members = [(entry, tar.extractfile(entry).read()) for entry in tar]  # type: ignore[union-attr]
    manifest = json.loads(members.pop(0)[1])
    change(manifest, members)
    text = json.dumps(manifest).encode()
    head = tarfile.TarInfo("manifest.json")
    with tarfile.open(file, "w:gz") as tar:
        for entry, content in [(head, text), *members]:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return file


def refused(other: Store, file: Path, sentence: str) -> None:
    with pytest.raises(BadInputError, match=sentence):
        archive.unpack(other, file)
    assert other.missing() == other.tools
    assert sorted(path.name for path in other.root.iterdir()) == [".lock"]


def test_an_archive_brings_the_tools_as_they_were(store: Store, other: Store, tool: Tool, file: Path) -> None:
    assert archive.unpack(other, file) == ("example",)
    assert other.missing() == ()
    there = other.place(tool)
    assert (there / "bin" / "one-server").readlink() == Path("one")
    assert os.access(there / "bin" / "one", os.X_OK)
    assert (there / "share" / "two_v1.2.3").read_bytes() == (store.place(tool) / "share" / "two_v1.2.3").read_bytes()
    record = other.record(tool)
    assert record is not None
    assert record["from"] == "imported"
    assert archive.unpack(other, file) == ()


def test_nothing_is_exported_while_a_tool_is_missing(other: Store, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="example is not built yet"):
        archive.pack(other, tmp_path / "out.tar.gz")
    assert not (tmp_path / "out.tar.gz").exists()


def test_the_same_tools_make_the_same_archive(store: Store, file: Path, tmp_path: Path) -> None:
    digest, left_out = archive.pack(store, tmp_path / "again.tar.gz")
    assert (digest, left_out) == (sha256(file), ())


def test_a_changed_file_is_refused(other: Store, file: Path) -> None:
    def change(_: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members[0] = (members[0][0], b"#!/bin/sh\nevil\n")

    refused(other, altered(file, change), "tampered with or damaged: example/bin/one does not have the digest")


def test_a_missing_file_is_refused(other: Store, file: Path) -> None:
    refused(other, altered(file, lambda _, members: members.pop() and None), "cut short: example/share/.* is missing")


def test_an_entry_beyond_the_manifest_is_refused(other: Store, file: Path) -> None:
    def change(_: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members.append((tarfile.TarInfo("../../evil"), b"x"))

    refused(other, altered(file, change), r"its entry '\.\./\.\./evil' is not in its manifest")


@pytest.mark.parametrize("path", ["../evil", "bin/../../evil", "/etc/evil", "built.json"])
def test_a_path_that_leaves_the_tool_is_refused(other: Store, file: Path, tmp_path: Path, path: str) -> None:
    def change(manifest: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        facts = manifest["tools"]["example"]["files"]
        facts[path] = dict(facts["bin/one"])
        members.append((tarfile.TarInfo(f"example/{path}"), members[0][1]))

    refused(other, altered(file, change), "tampered with: its entry .* leaves the folder of example")
    assert not list(tmp_path.rglob("evil"))


def test_a_link_that_leads_out_is_refused(other: Store, file: Path) -> None:
    def change(manifest: dict[str, Any], _: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        manifest["tools"]["example"]["files"]["bin/one-server"]["link"] = ".."

    refused(other, altered(file, change), "its link 'bin/one-server' leads out of the folder")


def test_a_symbolic_link_among_the_entries_is_refused(other: Store, file: Path) -> None:
    def change(_: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members[0][0].type = tarfile.SYMTYPE
        members[0][0].linkname = "/etc/passwd"
        members[0] = (members[0][0], b"")

    refused(other, altered(file, change), "its entry 'example/bin/one' is not in its manifest")


def test_another_platform_is_refused(other: Store, file: Path) -> None:
    def change(manifest: dict[str, Any], _: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        manifest["platform"] = "linux/riscv64"

    refused(other, altered(file, change), "was made for linux/riscv64, and this machine is linux/")


def test_other_pins_are_refused(store: Store, file: Path, tmp_path: Path) -> None:
    (tool,) = store.tools
    other = Store(tmp_path / "elsewhere", (dataclasses.replace(tool, released="1.2.4"),))
    refused(other, file, r"holds example 1\.2\.3 with key .*, and this clone pins 1\.2\.4 with key")


def test_what_is_no_archive_is_refused(other: Store, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"nothing of the kind")
    refused(other, file, "is no toolchain export or is damaged")
    file.write_bytes(gzip.compress(b"nothing of the kind"))
    refused(other, file, "is no toolchain export or is damaged")


def test_a_cut_off_archive_is_refused(other: Store, file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    refused(other, file, "is no toolchain export or is damaged|cut short")


def test_a_missing_archive_and_a_wrong_digest_are_named(other: Store, file: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="is not there; make it with"):
        archive.unpack(other, tmp_path / "none")
    with pytest.raises(BadInputError, match="does not have the digest"):
        archive.unpack(other, file, "0" * 64)
    assert archive.unpack(other, file, sha256(file)) == ("example",)
