"""What pods leave behind when the processes that cared for them are gone: found by the state folder and taken away."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import psutil
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from sandbox.kubernetes.layout import CGROUP, Layout
from sandbox.kubernetes.network import NETWORK
from symphony import tool
from symphony.errors import SymphonyError

_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP_SECONDS, _POLL_SECONDS = 10, 0.05
_WAIT_SECONDS = 10.0
_RUNTIME = ("containerd-shim-runc-v2", "runc", "ctr")
_PROGRAMS = (
    *_RUNTIME,
    "containerd",
    "coredns",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubelet",
)
_SHIM_RUN = Path("/run/containerd")
_CNI_CACHE = Path("/var/lib/cni")
_CONTAINER_LOGS = Path("/var/log/containers")
_KUBELET = Path("/var/lib/kubelet")
_FIXED = (_KUBELET, _CNI_CACHE, _SHIM_RUN, _CONTAINER_LOGS)
"""Folders whose place containerd, the CNI library and the kubelet do not let one choose."""


def present() -> list[str]:
    """Which of the folders of fixed place are there."""
    return [str(path) for path in _FIXED if path.exists()]


def cgroup_roots() -> list[Path]:
    """The pods' cgroup below every controller of the machine (version 1), or below its one root (version 2)."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS / CGROUP]
    return [
        controller / CGROUP
        for controller in sorted(_CGROUPS.iterdir())
        if controller.is_dir() and not controller.is_symlink() and (controller / "cgroup.procs").exists()
    ]


def pids_in_cgroups() -> set[int]:
    """Processes in the pods' cgroups; one that ends, or a pod that is taken away, while they are read is left out."""
    pids: set[int] = set()
    # Not Path.glob: it ends at a folder that goes while it looks.
    for folder in (folder for root in cgroup_roots() for folder, _, _ in os.walk(root)):
        with contextlib.suppress(OSError):
            pids.update(map(int, Path(folder, "cgroup.procs").read_text().split()))
    return pids


def make_cgroups() -> None:
    """Make the pods' cgroups; a new cpuset has no processors until its parent's are copied."""
    for root in cgroup_roots():
        if root.parent.name == "unified":
            continue
        root.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            target = root / name
            if root.parent.name == "cpuset" and not target.read_text().strip():
                target.write_text((root.parent / name).read_text())


def end_processes(layout: Layout) -> None:
    """Kill containers by their cgroups, and every process that serves this state folder.

    Raises:
        SymphonyError: One of them outlives its kill.
    """
    _kill((*_contained(), *_serving(layout)))


def end_strays(layout: Layout, known: Collection[int]) -> None:
    """Kill components that nobody knows of: whoever started them was cut off before it could note them.

    Args:
        layout: The cluster.
        known: Process ids of the components that are on record.

    Raises:
        SymphonyError: One of them outlives its kill.
    """
    strays = (process for process in _serving(layout) if process.pid not in known)
    _kill(process for process in strays if Path(process.name()).name not in _RUNTIME)


def _kill(processes: Iterable[psutil.Process]) -> None:
    found = {process.pid: process for process in processes}
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(found.values(), timeout=_WAIT_SECONDS)
    if left := [process.pid for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]:
        raise SymphonyError(f"The cluster's processes {left} do not end after SIGKILL; look at /proc/<id>/stack.")


def unmount(layout: Layout) -> None:
    """Unmount everything below the cluster's folder, the deepest first."""
    points = mount_points(Path("/proc/self/mountinfo").read_text(), layout.root)
    if points:
        tool.run([layout.world.tool("umount"), "--lazy", *points], limit=60, ok=(0, 32, 64))


def mount_points(mountinfo: str, below: Path) -> list[str]:
    """Mount points below a folder, the deepest first.

    Args:
        mountinfo: Content of ``/proc/self/mountinfo`` (proc(5): the fifth field, with octal escapes).
        below: The folder.
    """
    points = [
        re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), line.split()[4]) for line in mountinfo.splitlines()
    ]
    return [point for point in reversed(points) if Path(point).is_relative_to(below)]


@retry(
    retry=retry_if_exception_type(OSError),
    wait=wait_fixed(_POLL_SECONDS),
    stop=stop_after_delay(_CGROUP_SECONDS),
    reraise=True,
)
def remove_cgroups() -> None:
    """Remove the pods' cgroups, leaves first; one whose last process has just been killed is busy for a moment.

    Raises:
        OSError: One is still busy after ten seconds.
    """
    for root in cgroup_roots():
        for folder, _, _ in os.walk(root, topdown=False):
            with contextlib.suppress(FileNotFoundError):
                Path(folder).rmdir()


def remove_files(layout: Layout, before: Collection[str] | None) -> None:
    """Remove what lies outside the state folder, and then the cluster's own folder.

    Args:
        layout: The cluster.
        before: Folders of fixed place that were there first; they stay, with all that is not the cluster's. None
            where that is not known, and all of them stay.
    """
    kept = {*map(str, _FIXED)} if before is None else {*before}
    for socket in _shim_sockets(layout):
        socket.unlink(missing_ok=True)
    for cached in _CNI_CACHE.glob("*/*"):
        if cached.is_file() and _is_ours(cached, layout):
            cached.unlink(missing_ok=True)
    for link in _CONTAINER_LOGS.glob("*"):
        if link.is_symlink() and link.readlink().is_relative_to(layout.pod_logs):
            link.unlink()
    if str(_KUBELET) not in kept:
        shutil.rmtree(_KUBELET, ignore_errors=True)
    for path in _FIXED:
        _prune(path, keep=str(path) in kept)
    if layout.root.exists():
        shutil.rmtree(layout.root)


def remove_runtime_state(layout: Layout) -> None:
    """Remove what containerd and the CNI keep of running containers, not its images."""
    for path in (layout.containerd / "state", layout.containerd / "runc", layout.cni / "networks"):
        shutil.rmtree(path, ignore_errors=True)


def _contained() -> Iterator[psutil.Process]:
    """Processes in the pods' cgroups."""
    for pid in pids_in_cgroups():
        with contextlib.suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid)


def _serving(layout: Layout) -> Iterator[psutil.Process]:
    """Components, shims and runtime tools that name this cluster's folder in their arguments."""
    mark = f"{layout.root}/"
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            if command and Path(command[0]).name in _PROGRAMS and any(mark in word for word in command[1:]):
                yield process


def _shim_sockets(layout: Layout) -> Iterator[Path]:
    for bundle in (layout.containerd / "state").glob("io.containerd.runtime.v2.task/*/*/address"):
        address = bundle.read_text().strip().removeprefix("unix://")
        if Path(address).is_relative_to(_SHIM_RUN):
            yield Path(address)


def _is_ours(cached: Path, layout: Layout) -> bool:
    """Whether a cached CNI result is of this cluster: by its network's name, or the namespace it was made in."""
    return cached.name.startswith(f"{NETWORK}-") or f"{layout.root}/" in cached.read_text(errors="replace")


def _prune(root: Path, *, keep: bool) -> None:
    """Remove a tree's empty folders and sockets that nobody listens on; whatever else is there stays."""
    living = {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()}
    for folder, _, files in os.walk(root, topdown=False):
        for path in (Path(folder) / name for name in files):
            if path.is_socket() and str(path) not in living:
                path.unlink(missing_ok=True)
        if not (keep and Path(folder) == root):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
