"""Argo CD's processes."""

from pathlib import Path

import pytest

from sandbox.argocd import processes
from sandbox.argocd.part import ArgoCD
from sandbox.world import Ports, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in (*processes.NAMES, "redis-server"):
        (tools / name).touch(mode=0o755)
    return World(source=tmp_path, state=tmp_path / "state", tools=(tools,))


def test_they_start_in_the_order_of_their_needs(world: World) -> None:
    assert tuple(daemon.name for daemon in processes.daemons(world)) == processes.NAMES == ArgoCD.daemons


def test_no_secret_is_in_an_argument(world: World) -> None:
    arguments = [str(part) for daemon in processes.daemons(world) for part in daemon.argv]
    secrets = [path.read_text() for path in (world.state / "secrets").iterdir()]
    assert secrets
    assert not [text for text in arguments for secret in secrets if secret in text]


def test_every_address_given_is_loopback(world: World) -> None:
    for daemon in processes.daemons(world):
        argv = [str(part) for part in daemon.argv]
        given = [argv[place + 1] for place, text in enumerate(argv) if text.endswith(("address", "-addr"))]
        assert all(value.startswith("127.0.0.1") or value == "0" for value in given), daemon.name


def test_redis_asks_for_a_password_and_writes_no_file(world: World) -> None:
    lines = processes.redis_settings(world).splitlines()
    assert "bind 127.0.0.1" in lines
    assert f"requirepass {world.secret('redis-password')}" in lines
    assert 'save ""' in lines
    assert "appendonly no" in lines


def test_nothing_is_written_outside_the_state_folder(world: World) -> None:
    environment = processes.environment(world)
    for name in ("HOME", "TMPDIR", "ARGOCD_ASK_PASS_SOCK", "ARGOCD_TLS_DATA_PATH", "ARGOCD_GNUPGHOME"):
        assert environment[name].startswith(str(world.state)), name


def test_ports_differ_from_each_other_and_from_those_of_other_parts() -> None:
    world = World(source=Path(), state=Path("/nowhere"))
    listeners = vars(processes.Listeners.of(world)).values()
    others = set(vars(Ports()).values()) - {world.ports.argocd_metrics}
    assert len(set(listeners)) == 5
    assert not others & set(listeners)


def test_the_page_in_place_of_the_ui_asks_nothing_from_elsewhere_and_shows_text_alone(world: World) -> None:
    argv = [str(part) for part in processes.daemons(world)[-1].argv]
    page = (Path(argv[argv.index("--staticassets") + 1]) / processes.PAGE).read_text()
    assert "https://" not in page
    assert "src=" not in page
    assert "innerHTML" not in page
