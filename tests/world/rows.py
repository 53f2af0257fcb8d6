"""All that the Prefect server's database holds, whichever it is."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from sandbox.prefect import choice, database, postgres
from sandbox.world import World


def rows(world: World) -> Iterator[tuple[str, str]]:
    """Every row as one text, by its table; SQLite's own file would cut long texts up."""
    for table, row in asyncio.run(_postgres(world)) if choice.chosen(world) == "postgres" else _sqlite(world):
        yield f"table {table}", "\t".join(map(str, row))


def _sqlite(world: World) -> Iterator[tuple[str, tuple[Any, ...]]]:
    with sqlite3.connect(f"file:{database.path(world)}?mode=ro", uri=True) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - the database's own names
                yield table, row


async def _postgres(world: World) -> list[tuple[str, tuple[Any, ...]]]:
    (url,) = postgres.environment(world).values()
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return [
            (table, tuple(row))
            for (table,) in tables
            for row in await connection.fetch(f'SELECT * FROM "{table}"')  # noqa: S608 - as above
        ]
    finally:
        await connection.close()
