"""What is wrong with the machine, and what to do about it: asked before every ``up``, and by ``symphony doctor``."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from sandbox import daemon, toolchain
from sandbox.part import Part
from sandbox.world import BRIDGE, BRIDGE_ADDRESS, HOST, World
from symphony.errors import BadInputError

_GIB = 2**30
_DISK_GIB = 3.0
_MEMORY_GIB = 4.0
_CAP_SYS_RESOURCE = 24
"""Bit of CAP_SYS_RESOURCE (capability.h)."""
_ADDRESSES = {HOST, "0.0.0.0", "::", f"::ffff:{HOST}", "::1", BRIDGE_ADDRESS}  # noqa: S104 - compared, not bound
_SYSTEM = {
    "kubernetes": ("containerd", "runc", "etcd", "catatonit", "iptables", "ip", "conntrack", "mount", "umount"),
    "docker": ("dockerd", "debootstrap", "rm"),
    "registry": ("docker-registry",),
    "argocd": ("redis-server", "git"),
    "git": ("git",),
    "prefect-postgres": ("postgres", "initdb", "pg_isready", "unshare", "mount"),
    "prefect-redis": ("redis-server",),
}
_CONTROLLERS = ("cpu", "cpuacct", "memory", "pids", "freezer", "devices")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What it is.
        state: ``failed`` keeps the sandbox from coming up; ``warning`` does not.
        said: What was found.
        fix: What to do; empty where nothing is wrong.
    """

    name: str
    state: Literal["ok", "warning", "failed"]
    said: str
    fix: str = ""


def preflight(world: World, parts: Sequence[Part]) -> tuple[Finding, ...]:
    """What must be right before anything is started; some milliseconds, and nothing is changed."""
    own_cluster = any(part.name == "kubernetes" and part.daemons for part in parts)
    needs_root = (_root(),) if own_cluster else ()
    return (*needs_root, _disk(world), *_programs(world, parts), *_ports(world, parts))


def examine(world: World, parts: Sequence[Part]) -> tuple[Finding, ...]:
    """Everything that `preflight` asks, and what the machine can do and still has from before."""
    return (
        *preflight(world, parts),
        _tools(world),
        _memory(),
        *_kernel(),
        *_leftovers(world),
    )


def _root() -> Finding:
    if os.geteuid() == 0:
        return Finding("root", "ok", "running as root")
    return Finding(
        "root", "failed", "the cluster's node needs root", "Run it by sudo, or bring a cluster: --kube-context."
    )


def _disk(world: World) -> Finding:
    place = next(path for path in (world.state, *world.state.parents) if path.exists())
    free = shutil.disk_usage(place).free / _GIB
    said = f"{free:.1f} GiB free at {place}"
    if free >= _DISK_GIB:
        return Finding("disk", "ok", said)
    fix = f"Make {_DISK_GIB:.0f} GiB free, or set SYMPHONY_STATE to a folder on a larger disk."
    return Finding("disk", "failed", said, fix)


def _programs(world: World, parts: Sequence[Part]) -> Iterator[Finding]:
    for part in parts:
        if part.name == "kubernetes" and not part.daemons:
            continue
        missing = []
        for name in (name for one in (part.name, *part.daemons) for name in _SYSTEM.get(one, ())):
            try:
                world.tool(name)
            except BadInputError:
                missing.append(name)
        if missing:
            said = f"the part {part.name} needs {', '.join(missing)}, which the machine does not have"
            yield Finding("programs", "failed", said, "Run `make setup`, which installs them.")


def _tools(world: World) -> Finding:
    missing = [tool.name for tool in toolchain.missing(world.cache)]
    if not missing:
        return Finding("toolchain", "ok", "complete")
    fix = "`symphony up` builds it (once, up to 25 minutes), `symphony toolchain import` brings another machine's."
    return Finding("toolchain", "warning", f"still to be built: {', '.join(missing)}", fix)


def _ports(world: World, parts: Sequence[Part]) -> Iterator[Finding]:
    """A port is fine while it is free or one of our own processes has it."""
    holders: dict[int, set[int | None]] = {}
    for link in psutil.net_connections("tcp"):
        if link.status == psutil.CONN_LISTEN and link.laddr and link.laddr.ip in _ADDRESSES:
            holders.setdefault(link.laddr.port, set()).add(link.pid)
    if not holders:
        return
    own = _own(world) if world.state.exists() else set()
    for part in parts:
        for name, port in part.ports(world).items():
            for pid in holders.get(port, ()):
                if pid is None or pid not in own:
                    who, fix = _holder(pid, port)
                    said = f"port {port}, which {name} of the part {part.name} needs, is held by {who}"
                    yield Finding("ports", "failed", said, fix)


def _own(world: World) -> set[int]:
    """Processes of this sandbox: its daemons, and whatever came of one that was killed."""
    return {*daemon.recorded(world).values(), *(process.pid for process in daemon.marked(world))}


def _holder(pid: int | None, port: int) -> tuple[str, str]:
    if pid is None:
        return "a process that cannot be seen from here", f"Find it as root by `ss -ltnp sport = :{port}` and end it."
    try:
        process = psutil.Process(pid)
        command = " ".join(" ".join(process.cmdline()).split())[:160] or process.name()
        state = process.environ().get(daemon.MARK)
    except psutil.Error:
        return f"process {pid}", "Try again; it seems to have ended just now."
    if state:
        return f"process {pid} of the sandbox in {state} ({command})", f"Run `SYMPHONY_STATE={state} symphony down`."
    return f"process {pid} ({command})", f"End it (`kill {pid}`), then try again."


def _memory() -> Finding:
    free = psutil.virtual_memory().available / _GIB
    said = f"{free:.1f} GiB available"
    if free >= _MEMORY_GIB:
        return Finding("memory", "ok", said)
    return Finding("memory", "warning", said, f"The sandbox takes up to {_MEMORY_GIB:.0f} GiB; end what you can spare.")


def _kernel() -> Iterator[Finding]:
    yield Finding("kernel", "ok", f"Linux {platform.release()} on {platform.machine()}")
    systems = Path("/proc/filesystems").read_text().split()
    if "overlay" in systems or _module("overlay"):
        yield Finding("overlay", "ok", "overlay file systems can be mounted")
    else:
        yield Finding("overlay", "failed", "no overlay file systems", "Load the kernel's module: `modprobe overlay`.")
    yield _cgroups()
    if _module("bridge") or Path("/sys/module/bridge").exists():
        yield Finding("bridge", "ok", "network bridges can be made")
    else:
        yield Finding(
            "bridge", "warning", "the module bridge is not loaded", "Load it: `modprobe bridge br_netfilter`."
        )
    effective = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff"))
    if int(effective.split()[1], 16) >> _CAP_SYS_RESOURCE & 1:
        yield Finding("capabilities", "ok", "CAP_SYS_RESOURCE is there")
    else:
        yield Finding("capabilities", "ok", "no CAP_SYS_RESOURCE: containers keep the sandbox's own OOM score")


def _cgroups() -> Finding:
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return Finding("cgroups", "ok", "version 2")
    missing = [name for name in _CONTROLLERS if not Path("/sys/fs/cgroup", name).is_dir()]
    if missing:
        fix = "Mount them (`mount -t cgroup -o NAME none /sys/fs/cgroup/NAME`), or run on a machine that has them."
        return Finding("cgroups", "failed", f"version 1 without {', '.join(missing)}", fix)
    return Finding("cgroups", "ok", "version 1")


def _module(name: str) -> bool:
    """Whether a kernel module is loaded, built in, or could be loaded."""
    folder = Path("/lib/modules") / platform.release()
    builtin = folder / "modules.builtin"
    known = builtin.read_text() if builtin.exists() else ""
    return Path("/sys/module", name).exists() or f"/{name}.ko" in known or any(folder.rglob(f"{name}.ko*"))


def _leftovers(world: World) -> Iterator[Finding]:
    """What a sandbox that died has left: a bridge nobody uses, mounts without their processes."""
    alive = daemon.recorded(world) if world.state.exists() else {}
    if "kubelet" not in alive and Path("/sys/class/net", BRIDGE).exists():
        fix = "`symphony down` takes it away, `symphony up` uses it again."
        yield Finding("leftovers", "warning", f"the bridge {BRIDGE} of a cluster that does not run", fix)
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    stale = [path for path in mounts if path.startswith(f"{world.state}/")]
    if stale and not alive:
        fix = "`symphony down` takes them away."
        yield Finding("leftovers", "warning", f"{len(stale)} mounts below {world.state} of a dead sandbox", fix)
    if world.state.exists() and not alive and (world.state / "run").exists() and any((world.state / "run").iterdir()):
        fix = "`symphony up` repairs it, `symphony down` clears it away."
        yield Finding("leftovers", "warning", f"a sandbox in {world.state} whose processes have all ended", fix)
