"""What a killed Docker engine leaves behind: processes, mounts, cgroups; found by the sandbox's own folders."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import psutil

from sandbox.world import World
from symphony import tool

_PATIENCE = 5.0


def cgroup(world: World) -> str:
    """Name of the parent cgroup of every container of this sandbox's engine, and of no other's."""
    return f"symphony-docker-{hashlib.sha256(str(world.state).encode()).hexdigest()[:8]}"


def clear(world: World, *folders: Path) -> None:
    """End what still runs from these folders and in the engine's cgroup, then unmount and remove what is left."""
    cgroups = _cgroups(cgroup(world))
    _end(folders, cgroups)
    for point in _mounts(folders):
        tool.run([world.tool("umount"), "--lazy", point], limit=10, ok=(0, 1, 32))
    for group in cgroups:
        with contextlib.suppress(OSError):
            group.rmdir()


def _end(folders: tuple[Path, ...], cgroups: list[Path]) -> None:
    """Containerd and its shims name their socket below one of the folders; containers are in the cgroup."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            arguments = process.cmdline()
            program = os.path.basename(arguments[0]) if arguments else ""  # noqa: PTH119 - an argument, not a file
            if program.startswith(("dockerd", "containerd", "docker-containerd")) and any(
                argument.startswith(f"{folder}/") for argument in arguments for folder in folders
            ):
                found |= {process, *process.children(recursive=True)}
    for group in cgroups:
        with contextlib.suppress(OSError):
            for line in (group / "cgroup.procs").read_text().split():
                with contextlib.suppress(psutil.NoSuchProcess):
                    found.add(psutil.Process(int(line)))
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(list(found), timeout=_PATIENCE)


def _mounts(folders: tuple[Path, ...]) -> list[str]:
    """Mount points below the folders, the deepest first (proc(5), field 5 of mountinfo)."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    points = [point.encode().decode("unicode_escape") for point in points]
    inside = [point for point in points if any(point == str(f) or point.startswith(f"{f}/") for f in folders)]
    return sorted(inside, key=len, reverse=True)


def _cgroups(name: str) -> list[Path]:
    """The cgroup of that name in every hierarchy, children first."""
    top = Path("/sys/fs/cgroup")
    found = [path for path in (top / name, *top.glob(f"*/{name}")) if path.is_dir()]
    nested = [Path(folder) for path in found for folder, _, _ in os.walk(path, topdown=False)]
    # Hierarchies mounted together (cpu,cpuacct) show the same group twice.
    return list({path.resolve(): path for path in nested})
