"""The server's SQLite file: a new one begins as a copy of one that was migrated before.

Prefect's migrations and block types take half of a new server's start; what comes of them is the same for a version.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from importlib import metadata
from pathlib import Path

from sandbox.world import World

_MEMO = "memo_store.toml"
"""Prefect's note of which block types the database has."""


def path(world: World) -> Path:
    """The database."""
    return world.state / "prefect" / "prefect.db"


def begin(world: World) -> bool:
    """Give a server that has no database yet the migrated one; False where it has one, or the cache has none."""
    kept = _kept(world)
    wanted = not path(world).exists() and (kept / "prefect.db").exists()
    if wanted:
        if (kept / _MEMO).exists():
            shutil.copyfile(kept / _MEMO, world.folder("prefect") / _MEMO)
        half = world.folder("prefect") / "copied.db"
        shutil.copyfile(kept / "prefect.db", half)
        half.chmod(0o600)
        half.replace(path(world))
    return wanted


def keep(world: World) -> None:
    """Keep a database that has nothing in it but what the server itself put there; called before anything is."""
    kept = _kept(world)
    if kept.exists():
        return
    half = kept.with_name(f".{kept.name}.{os.getpid()}")
    half.mkdir(mode=0o700, parents=True)
    try:
        with (
            contextlib.closing(sqlite3.connect(path(world))) as source,
            contextlib.closing(sqlite3.connect(half / "prefect.db")) as copy,
        ):
            source.backup(copy)
            empty = not copy.execute("SELECT count(*) FROM flow").fetchone()[0]
        if empty:
            memo = world.state / "prefect" / _MEMO
            if memo.exists():
                shutil.copyfile(memo, half / _MEMO)
            with contextlib.suppress(OSError):
                # Another sandbox may have kept it just now.
                half.rename(kept)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _kept(world: World) -> Path:
    return world.cache / "prefect" / metadata.version("prefect")
