"""Where the sandbox lives: its secrets."""

from __future__ import annotations

import secrets
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(source=tmp_path, state=tmp_path / "state")


def test_a_secret_is_kept_for_its_owner_alone(world: World) -> None:
    assert world.secret("password") == world.secret("password")
    (path,) = (world.state / "secrets").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_parts_that_ask_for_a_new_secret_at_once_get_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    both, generate = threading.Barrier(2), secrets.token_urlsafe

    def generated_at_once(size: int) -> str:
        both.wait(timeout=5)
        return generate(size)

    monkeypatch.setattr(secrets, "token_urlsafe", generated_at_once)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(world.secret, ["password", "password"])
    assert first == second == world.secret("password")
