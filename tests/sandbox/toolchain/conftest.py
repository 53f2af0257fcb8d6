"""A fake Go, and a tool of two programs that it builds."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.toolchain.cache import Store
from sandbox.toolchain.pins import Tool, go_version

FAKE = """#!{python} -S
import os, pathlib, sys
arguments = sys.argv[1:]
with open(os.environ["FAKE_LOG"], "a") as log:
    print(os.path.basename(os.getcwd()), *arguments, file=log)
if arguments[0] == "version":
    print("go version go{version} linux/amd64")
elif "-m" in arguments:
    print(os.environ["FAKE_MODULE"])
elif arguments[0] == "list":
    {listing}
    print("fmt", "example.org/tool/inner", *[a for a in arguments if a.startswith("example.org/tool/cmd")], sep="\\n")
else:
    output = pathlib.Path(arguments[arguments.index("-o") + 1])
    for package in [a for a in arguments if a.startswith("example.org/")]:
        print(package, file=sys.stderr)
        (output / package.rsplit("/", 1)[-1]).write_text("#!/bin/sh\\necho built\\n")
        (output / package.rsplit("/", 1)[-1]).chmod(0o755)
    {ending}
"""


@pytest.fixture
def fake_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a fake ``go`` on PATH; returns the log of its calls.

    ``ending`` is what its ``build`` does last, ``listing`` what its ``list`` does first.
    """
    module = tmp_path / "module" / "crds"
    module.mkdir(parents=True)
    (module / "thing.yaml").write_text("kind: Thing\n")
    (module / "kustomization.yaml").write_text("resources: []\n")
    log = tmp_path / "calls"
    log.touch()

    def put(ending: str = "pass", version: str = "", listing: str = "pass") -> Path:
        folder = tmp_path / "path"
        folder.mkdir(exist_ok=True)
        program = folder / "go"
        program.write_text(
            FAKE.format(python=sys.executable, ending=ending, listing=listing, version=version or go_version())
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
        monkeypatch.setenv("FAKE_LOG", str(log))
        monkeypatch.setenv("FAKE_MODULE", str(tmp_path / "module"))
        return log

    return put


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    folder = tmp_path / "modules" / "example"
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text("module local\n\nrequire example.org/tool v1.2.3\n")
    (folder / "go.sum").write_text("example.org/tool v1.2.3 h1:abc=\n")
    return Tool(
        "example",
        "example.org/tool",
        ("cmd/one", "cmd/two"),
        renamed={"two": "share/two_v{version}"},
        links={"one": ("one-server",)},
        ask={"one": ("--version",)},
        copied={"crds": "crds"},
        modules=tmp_path / "modules",
    )


@pytest.fixture
def store(tmp_path: Path, tool: Tool) -> Store:
    return Store(tmp_path / "cache", (tool,))
