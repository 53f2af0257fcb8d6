"""The sandbox that the tests of this folder run against: real parts, brought up once, left up at the end.

Where a part does not come up, each of these tests fails with the sentence that names the part and why.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import world as command
from sandbox import toolchain
from sandbox.lifecycle import up
from sandbox.world import World
from tests.world.unit_tree import an_account

_FIRST = "test_lifecycle.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes the sandbox down runs before everything that uses it."""
    here = Path(__file__).parent
    mine = [item for item in items if item.path.is_relative_to(here)]
    ordered = iter(sorted(mine, key=lambda item: item.path.name != _FIRST))
    items[:] = [next(ordered) if item in mine else item for item in items]


@pytest.fixture(scope="session")
def machine() -> World:
    """The sandbox of this user, up or down, with all its tools."""
    here = command.world()
    if missing := toolchain.missing(here.cache):
        names = ", ".join(tool.name for tool in missing)
        pytest.fail(f"The toolchain lacks {names}; `make setup` (or `symphony toolchain build`) builds it.")
    return here


@pytest.fixture(scope="session")
def world(machine: World) -> World:
    """The sandbox, up: what is up already stays up, what is not is started or repaired."""
    up(machine)
    return machine


@pytest.fixture(scope="module")
def account(machine: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An AWS API of the module's own, for tests that need nothing else of the sandbox."""
    with an_account(machine, tmp_path_factory) as apart:
        yield apart
