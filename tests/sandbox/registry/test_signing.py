import stat
from pathlib import Path

import pytest

from sandbox.registry.signing import signing_environment
from sandbox.world import World

PROGRAM = """#!/bin/sh
echo "$*" >> {log}
printf 'locked by %s' "$COSIGN_PASSWORD" > "$3.key"
printf public > "$3.pub"
chmod 600 "$3.key"
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return World(source=tmp_path, state=tmp_path / "state", cache=tmp_path / "cache", tools=(tmp_path / "bin",))


def put_cosign(folder: Path) -> Path:
    program = folder / "bin" / "cosign"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(log=folder / "log"))
    program.chmod(0o755)
    return folder / "log"


def test_the_key_pair_is_made_once_and_its_password_is_a_secret_of_the_owner(world: World, tmp_path: Path) -> None:
    log = put_cosign(tmp_path)
    made = signing_environment(world)
    assert made == signing_environment(world)
    assert made["COSIGN_PRIVATE_KEY"] == f"locked by {made['COSIGN_PASSWORD']}"
    assert made["COSIGN_PUBLIC_KEY"] == "public"
    assert len(log.read_text().splitlines()) == 1
    assert made["COSIGN_PASSWORD"] not in log.read_text()
    secret = world.state / "secrets" / "cosign-password"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (secret, world.state / "signing")] == [0o600, 0o700]


def test_without_cosign_there_is_no_key(world: World) -> None:
    assert signing_environment(world) == {}
    assert not (world.state / "signing").exists()
