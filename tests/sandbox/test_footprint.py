from dataclasses import replace

from sandbox import footprint
from sandbox.footprint import Footprint, difference

EMPTY = Footprint(*(frozenset[str]() for _ in range(9)))


def test_nothing_changed_is_no_line() -> None:
    assert difference(EMPTY, EMPTY) == ()


def test_what_stays_behind_is_named_by_its_kind() -> None:
    after = replace(EMPTY, interfaces=frozenset({"symphony0"}), cgroups=frozenset({"/sys/fs/cgroup/pids/symphony"}))
    assert difference(EMPTY, after) == (
        "interfaces: new: symphony0",
        "cgroups: new: /sys/fs/cgroup/pids/symphony",
    )


def test_a_rule_that_went_missing_is_told_and_a_process_that_ended_is_not() -> None:
    before = replace(EMPTY, rules=frozenset({"iptables nat -A DOCKER"}), processes=frozenset({"1 sleep 5"}))
    assert difference(before, EMPTY) == ("rules: gone: iptables nat -A DOCKER",)


def test_empty_tables_do_not_count_but_a_changed_policy_does() -> None:
    saved = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [3:4]\n:DOCKER - [0:0]\n-A FORWARD -j DOCKER\nCOMMIT\n# end\n"
    assert list(footprint.rules("iptables", saved)) == [
        "iptables filter chain FORWARD DROP",
        "iptables filter chain DOCKER -",
        "iptables filter -A FORWARD -j DOCKER",
    ]
    assert list(footprint.rules("iptables", "*mangle\n:INPUT ACCEPT [0:0]\nCOMMIT\n")) == []


def test_nftables_of_iptables_are_left_to_it() -> None:
    ruleset = (
        "table ip filter {\n\tchain INPUT {\n\t\tcounter\n\t}\n}\n"
        "table inet mine {\n\tchain in {\n\t\ttcp dport 22 accept\n\t}\n}\n"
    )
    assert list(footprint.nftables(ruleset)) == ["table inet mine in tcp dport 22 accept"]


def test_a_mount_is_told_with_its_type() -> None:
    assert list(footprint.mounts("36 35 98:0 / /mnt rw,noatime shared:1 - ext3 /dev/root rw\n")) == ["/mnt (ext3)"]
