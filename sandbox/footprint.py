"""What runs, is mounted and is plugged in on the machine: compared before and after, to show that nothing stays."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import psutil

from sandbox.world import World
from symphony import tool
from symphony.errors import BadInputError

_CGROUPS = Path("/sys/fs/cgroup")
_WATCHED = tuple(
    map(
        Path,
        (
            "/etc/cni",
            "/etc/kubernetes",
            "/opt/cni",
            "/run/containerd",
            "/run/docker",
            "/run/docker.sock",
            "/run/netns",
            "/usr/libexec/kubernetes",
            "/var/lib/cni",
            "/var/lib/docker",
            "/var/lib/kubelet",
            "/var/log/containers",
            "/var/log/pods",
        ),
    )
)
_SYSCTLS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/bridge/bridge-nf-call-iptables",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/ip_forward",
    "net/netfilter/nf_conntrack_max",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
_PROGRAMS = ("iptables", "ip6tables")
_IPTABLES = frozenset(
    f"table {family} {name}" for family in ("ip", "ip6") for name in ("filter", "mangle", "nat", "raw", "security")
)


@dataclass(frozen=True)
class Footprint:
    """One look at the machine; each entry is a line as a person would name the thing.

    Attributes:
        processes: Id and command of every process of user space.
        mounts: Mount points with their file system's type.
        interfaces: Network interfaces.
        namespaces: Network namespaces, by inode.
        rules: iptables chains and rules, IPv4 and IPv6, by table; empty built-in chains that accept do not count.
        nftables: Tables, chains and rules of nftables beyond those that iptables keeps there.
        cgroups: Cgroups of every controller.
        paths: What is in folders that container software uses whatever it is told.
        sysctls: Kernel settings that such software changes, with their values.
    """

    processes: frozenset[str]
    mounts: frozenset[str]
    interfaces: frozenset[str]
    namespaces: frozenset[str]
    rules: frozenset[str]
    nftables: frozenset[str]
    cgroups: frozenset[str]
    paths: frozenset[str]
    sysctls: frozenset[str]


def take(world: World) -> Footprint:
    """Look at the machine now; the process that looks, and the kernel's own, do not count."""
    return Footprint(
        processes=frozenset(_processes()),
        mounts=frozenset(mounts(Path("/proc/self/mountinfo").read_text())),
        interfaces=frozenset(path.name for path in Path("/sys/class/net").iterdir() if path.is_dir()),
        namespaces=frozenset(_namespaces()),
        rules=frozenset(line for program in _PROGRAMS for line in rules(program, _output(world, f"{program}-save"))),
        nftables=frozenset(nftables(_output(world, "nft", "list", "ruleset"))),
        cgroups=frozenset(str(path) for path in _folders(_CGROUPS)),
        paths=frozenset(str(path) for root in _WATCHED for path in (root, *root.rglob("*")) if path.exists()),
        sysctls=frozenset(_sysctls()),
    )


def difference(before: Footprint, after: Footprint) -> tuple[str, ...]:
    """What has come and what has gone, in lines; a process that ended by itself is no trace and is left out."""
    lines: list[str] = []
    for field in fields(Footprint):
        earlier, later = getattr(before, field.name), getattr(after, field.name)
        lines += [f"{field.name}: new: {entry}" for entry in sorted(later - earlier)]
        if field.name != "processes":
            lines += [f"{field.name}: gone: {entry}" for entry in sorted(earlier - later)]
    return tuple(lines)


def mounts(mountinfo: str) -> Iterator[str]:
    """Mount points of ``/proc/self/mountinfo`` (proc(5)), with the type that stands behind the lone dash."""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        yield f"{left.split()[4]} ({right.split()[0]})"


def rules(program: str, saved: str) -> Iterator[str]:
    """Rules and chains of what ``iptables-save`` prints, without counters, comments and untouched built-in chains."""
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":"):
            chain, policy, *_ = line[1:].split()
            if policy != "ACCEPT":
                yield f"{program} {table} chain {chain} {policy}"
        elif line.startswith("-"):
            yield f"{program} {table} {line}"


def nftables(ruleset: str) -> Iterator[str]:
    """Lines of ``nft list ruleset`` with the table they are in; tables that iptables has made are told by ``rules``."""
    table, chain = "", ""
    for line in map(str.strip, ruleset.splitlines()):
        if line.startswith("table "):
            table, chain = line.removesuffix(" {"), ""
        elif line.startswith("chain "):
            chain = line.removesuffix(" {").removeprefix("chain ")
        elif line and line != "}" and table not in _IPTABLES:
            yield f"{table} {chain} {line}"


def _processes() -> Iterator[str]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            if command and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                yield f"{process.pid} {' '.join(command)}"


def _namespaces() -> Iterator[str]:
    for link in Path("/proc").glob("[0-9]*/ns/net"):
        with contextlib.suppress(OSError):
            yield str(link.readlink())
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if " - nsfs " in line:
            yield line.split()[3]


def _sysctls() -> Iterator[str]:
    for name in _SYSCTLS:
        path = Path("/proc/sys") / name
        if path.exists():
            yield f"{name.replace('/', '.')} = {path.read_text().strip()}"


def _folders(root: Path) -> Iterable[Path]:
    for folder, _, _ in os.walk(root):
        yield Path(folder)


def _output(world: World, program: str, *arguments: str) -> str:
    """What a program prints; nothing where the machine does not have it."""
    try:
        path = world.tool(program)
    except BadInputError:
        return ""
    return tool.run([path, *arguments], limit=30).stdout
