"""What the sandbox is doing now: parts, processes, memory, addresses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from sandbox import daemon
from sandbox.kubernetes.leftovers import pids_in_cgroups
from sandbox.part import NotReadyError, Part
from sandbox.parts import parts
from sandbox.world import HOST, World


@dataclass(frozen=True)
class Process:
    """A daemon with all that it started.

    Attributes:
        name: Its name in the sandbox.
        pid: None where it does not run.
        memory: Bytes (proportional set size) of its whole process tree.
        log: Its log file.
    """

    name: str
    pid: int | None
    memory: int
    log: str


@dataclass(frozen=True)
class PartStatus:
    """One part.

    Attributes:
        name: The part.
        state: ``ready`` answers as it should, ``failing`` does not, ``down`` has no process.
        reason: Why it is not ready.
        processes: Its daemons.
        ports: Ports by daemon.
    """

    name: str
    state: Literal["ready", "failing", "down"]
    reason: str
    processes: tuple[Process, ...]
    ports: dict[str, int]


@dataclass(frozen=True)
class Address:
    """What people open.

    Attributes:
        name: What it is.
        url: Where.
        user: Who logs in; empty where nobody need to.
        secret: File that holds the password, or the key pair.
    """

    name: str
    url: str
    user: str = ""
    secret: str = ""


@dataclass(frozen=True)
class Status:
    """The whole sandbox.

    Attributes:
        state: Its state folder.
        source: The clone that it belongs to; empty while it is down.
        parts: Every part.
        addresses: What people open.
        memory: Bytes of everything, pods too.
    """

    state: str
    source: str
    parts: tuple[PartStatus, ...]
    addresses: tuple[Address, ...]
    memory: int

    @property
    def ready(self) -> bool:
        """Whether every part is."""
        return all(part.state == "ready" for part in self.parts)


def status(world: World) -> Status:
    """Ask every part, side by side; nothing is made or changed."""
    listed = parts(world)
    if not (world.state / "run").exists():
        down = tuple(PartStatus(part.name, "down", "", (), dict(part.ports(world))) for part in listed)
        return Status(str(world.state), "", down, (), 0)
    alive = daemon.recorded(world)
    with ThreadPoolExecutor(len(listed)) as side_by_side:
        found = tuple(side_by_side.map(lambda part: _part(world, part, alive), listed))
    source = world.state / "source"
    return Status(
        state=str(world.state),
        source=source.read_text() if source.exists() else "",
        parts=found,
        addresses=addresses(world),
        memory=memory(world),
    )


def addresses(world: World) -> tuple[Address, ...]:
    """What people open, and where the passwords are; never the passwords."""
    secrets = world.state / "secrets"
    argocd = f"http://{HOST}:{world.ports.argocd}/applications.html"
    return (
        Address("Prefect", world.prefect_url, "admin", str(secrets / "prefect-password")),
        Address("Argo CD", argocd, "admin", str(secrets / "argocd-password")),
        Address("hello (dev)", f"http://hello.dev.localhost:{world.ports.ingress}"),
        Address("Git remote", world.git_remote, "symphony", str(secrets / "git-password")),
        Address("AWS API", world.aws_endpoint, "", str(world.state / "aws" / "credentials")),
        Address("ECR", f"http://{HOST}:{world.ports.ecr}", "AWS", "aws ecr get-login-password"),
        Address("Kubernetes", f"kubectl --kubeconfig {world.kubeconfig}", "", str(world.kubeconfig)),
    )


def memory(world: World) -> int:
    """Bytes (proportional set size) of every process of the sandbox, pods and what containerd started too."""
    return sum(_pss(pid) for pid in {process.pid for process in daemon.marked(world)} | pids_in_cgroups())


def _part(world: World, part: Part, alive: dict[str, int]) -> PartStatus:
    processes = tuple(_process(world, name, alive.get(name)) for name in part.daemons)
    state: Literal["ready", "failing", "down"] = "ready"
    reason = ""
    try:
        part.check(world)
    except NotReadyError as error:
        state, reason = "failing", str(error)
    except Exception as error:  # noqa: BLE001 - whatever a check dies of is the part's state, not this command's end
        state, reason = "failing", f"{type(error).__name__}: {error}"
    if dead := [one.name for one in processes if one.pid is None]:
        if len(dead) == len(processes) and state != "ready":
            state = "down"
        elif state != "ready":
            reason = f"{reason}; not running: {', '.join(dead)}"
    return PartStatus(part.name, state, reason, processes, dict(part.ports(world)))


def _process(world: World, name: str, pid: int | None) -> Process:
    total = sum(_pss(one) for one in _tree(pid)) if pid else 0
    return Process(name, pid, total, str(world.log(name)))


def _tree(pid: int) -> Iterator[int]:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        yield pid
        yield from (child.pid for child in process.children(recursive=True))


def _pss(pid: int) -> int:
    """Memory of a process, shared pages divided among those that share them; 0 where it has ended."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0
