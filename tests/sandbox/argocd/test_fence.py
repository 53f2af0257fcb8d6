"""The firewall rule, against a program that plays iptables with a file."""

from pathlib import Path

import pytest

from sandbox.argocd import fence
from sandbox.world import World
from symphony.errors import BadInputError, SymphonyError

FIREWALL = """\
#!/bin/sh
rules="$0.rules"
touch "$rules"
shift 2
action=$1
shift
case $action in
--check) grep -qxF -- "$*" "$rules" ;;
--insert) echo "$*" >> "$rules" ;;
--delete) sed -i '$d' "$rules" ;;
esac
"""
RULE = "INPUT --protocol tcp --dport 8084 ! --in-interface lo --jump DROP"


@pytest.fixture
def world(tmp_path: Path) -> World:
    for name in ("iptables", "ip6tables"):
        (tmp_path / name).write_text(FIREWALL)
        (tmp_path / name).chmod(0o755)
    return World(source=tmp_path, state=tmp_path, tools=(tmp_path,))


def rules(world: World) -> list[str]:
    return (world.state / "iptables.rules").read_text().splitlines()


def test_the_rule_drops_all_but_loopback_once(world: World) -> None:
    fence.put_up(world)
    fence.put_up(world)
    assert rules(world) == [RULE]


def test_the_rule_goes_however_often_it_is_there(world: World) -> None:
    fence.put_up(world)
    with (world.state / "iptables.rules").open("a") as stream:
        stream.write(f"{RULE}\n")
    fence.take_down(world)
    assert rules(world) == []


def test_a_refusal_says_what_is_open_and_what_it_takes(world: World) -> None:
    (world.state / "iptables").write_text("#!/bin/sh\necho 'Permission denied' >&2\nexit 4\n")
    with pytest.raises(SymphonyError, match=r"Port 8084.*root and iptables: Permission denied"):
        fence.put_up(world)


def test_without_a_firewall_there_is_no_rule_to_take_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "tool", missing)
    fence.take_down(World(source=tmp_path, state=tmp_path))


def missing(world: World, name: str) -> Path:
    raise BadInputError(f"no {name} in {world.source}")
