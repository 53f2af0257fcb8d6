"""Where built tools lie: one folder a tool and key, complete or not there at all."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.toolchain.pins import TOOLS, Tool

_POLL_SECONDS = 0.2
_REMOVAL_TRIES = 50
_RECORD = "built.json"


@dataclass(frozen=True)
class Store:
    """The toolchain's part of a cache folder.

    Attributes:
        cache: The cache folder (`sandbox.world.cache_home` by default).
        tools: The pinned tools.
    """

    cache: Path
    tools: tuple[Tool, ...] = TOOLS

    @property
    def root(self) -> Path:
        """Folder that everything of the toolchain is below."""
        return self.cache / "toolchain"

    @property
    def session(self) -> Path:
        """Folder of whoever holds the lock: build caches and half-made tools; on the same file system as the tools."""
        return self.root / ".session"

    def place(self, tool: Tool) -> Path:
        """Folder that a tool of these pins lies in, once it is there."""
        return self.root / tool.name / tool.key

    def record(self, tool: Tool) -> dict[str, Any] | None:
        """What is known of a tool that is there whole, or None: version, where from, and its files with their sizes."""
        place = self.place(tool)
        try:
            record: dict[str, Any] = json.loads((place / _RECORD).read_text())
            whole = all((place / name).stat().st_size == facts["size"] for name, facts in record["files"].items())
        except (OSError, ValueError, KeyError):
            return None
        return record if whole else None

    def missing(self) -> tuple[Tool, ...]:
        """Pinned tools that are not there, in the order they are built."""
        return tuple(tool for tool in self.tools if self.record(tool) is None)

    def keep(self, tool: Tool, made: Path, origin: str, go: str = "") -> Path:
        """Move a finished folder into its place, with a record of its files; only the lock's holder may.

        Args:
            tool: What it is.
            made: Folder below the session's.
            origin: Where it came from: ``built``, ``PATH`` or ``imported``.
            go: Version of Go that built it.
        """
        links = {name: {"link": str(path.readlink())} for name, path in _entries(made) if path.is_symlink()}
        files = {
            name: {"size": path.stat().st_size, "sha256": sha256(path)}
            for name, path in _entries(made)
            if path.is_file()
        }
        for name, facts in links.items():
            files[name].update(facts)
        record = {"tool": tool.name, "version": tool.version, "key": tool.key, "from": origin, "go": go, "files": files}
        (made / _RECORD).write_text(json.dumps(record, indent=1))
        place = self.place(tool)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            # It was found damaged: set aside first, so that no mixture is ever seen.
            place.rename(self.session / f"damaged-{tool.name}")
        return made.rename(place)

    @contextlib.contextmanager
    def locked(self, waiting: Callable[[], None] = lambda: None) -> Iterator[Path]:
        """Hold the toolchain's one lock, with an empty session folder that is removed at the end, whatever happens.

        What an earlier holder left behind when it was killed is removed first.

        Args:
            waiting: Called once where another process holds the lock.

        Yields:
            The session folder.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as lock:
            told = False
            while not _taken(lock.fileno()):
                if not told:
                    waiting()
                    told = True
                time.sleep(_POLL_SECONDS)
            _remove(self.session)
            self.session.mkdir(mode=0o700)
            try:
                yield self.session
            finally:
                _remove(self.session)


def sha256(path: Path) -> str:
    """Digest of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _entries(folder: Path) -> list[tuple[str, Path]]:
    return [(str(path.relative_to(folder)), path) for path in sorted(folder.rglob("*"))]


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(folder: Path) -> None:
    """Remove a tree, also one with read-only folders in it, as Go's module cache may have them."""
    for left in reversed(range(_REMOVAL_TRIES)):
        if not folder.exists():
            return
        try:
            shutil.rmtree(folder)
        except OSError:
            # Folders may be read-only, and the compiler of a builder that was killed may still write for a moment.
            if not left:
                raise
            for path, _, _ in os.walk(folder):
                with contextlib.suppress(OSError):
                    Path(path).chmod(0o700)
            time.sleep(_POLL_SECONDS)
