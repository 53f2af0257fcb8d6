"""What goes wrong: a part that is killed or hangs, the run's own process, a worker's whole machine, a cancellation."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from deployments.client import Run
from sandbox.daemon import recorded
from sandbox.git.repository import repository
from sandbox.prefect.part import LAUNCHER, SERVER, WORKER
from symphony import tool
from tests.faults.stages import refusal
from tests.world.seat import Seat

HANG_SECONDS = 10


@dataclass(frozen=True)
class Strike:
    """A fault.

    Attributes:
        name: What is struck, and how.
        strike: Does it to a release.
        states: How the run may end, beside well.
        said: One of these, as a regular expression, is in what a run says that did not end well.
        repaired: Whether somebody runs `symphony up` afterwards.
    """

    name: str
    strike: Callable[[Seat, Run], None]
    states: tuple[str, ...] = ("FAILED",)
    said: str = ""
    repaired: bool = True


def kill(*daemons: str) -> Callable[[Seat, Run], None]:
    """End parts at once, as a machine that runs out of memory does."""

    def strike(seat: Seat, run: Run) -> None:
        del run
        for daemon in daemons:
            end([psutil.Process(recorded(seat.world)[daemon])])

    return strike


def hang(daemon: str) -> Callable[[Seat, Run], None]:
    """Let a part answer nobody for some seconds, and then go on."""

    def strike(seat: Seat, run: Run) -> None:
        del run
        process = psutil.Process(recorded(seat.world)[daemon])
        process.suspend()
        threading.Timer(HANG_SECONDS, process.resume).start()

    return strike


def kill_run(seat: Seat, run: Run) -> None:
    """End the run's process and all that it started."""
    end(seat.processes(run))


def kill_machine(seat: Seat, run: Run) -> None:
    """End worker, launcher and the run together, so that nobody is left to tell."""
    found = recorded(seat.world)
    end([*(psutil.Process(found[name]) for name in (WORKER, LAUNCHER)), *seat.processes(run)])


def cancel(seat: Seat, run: Run) -> None:
    """Ask for its end, as the UI's button does."""
    seat.api.cancel(run.id)


def refuse(seat: Seat, run: Run) -> None:
    """Have the remote refuse the push that it holds."""
    del run
    refusal(seat.world).touch()


def move_on(seat: Seat, run: Run) -> None:
    """Put another commit onto the branch that the held push is for."""
    del run
    git = ["git", f"--git-dir={repository(seat.world)}"]
    branch, who = "refs/heads/env/dev", ["-c", "user.name=Ada", "-c", "user.email=ada@localhost"]
    made = tool.run([*git, *who, "commit-tree", f"{branch}^{{tree}}", "-p", branch, "-m", "by hand"]).stdout.strip()
    tool.run([*git, "update-ref", branch, made])


def end(processes: list[psutil.Process]) -> None:
    """Kill processes, and wait until they are gone."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes, timeout=10)


EVERYWHERE = (
    Strike("worker killed", kill(WORKER), ()),
    Strike("server killed", kill(SERVER), ("CRASHED", "FAILED"), "Prefect|sign of life|connect"),
    Strike("controller killed", kill("argocd-application-controller"), said="Argo CD"),
    Strike("registry killed", kill("registry"), said="registry|cannot be pulled"),
    Strike("aws killed", kill("aws"), said="AWS|access|ECR|4566|cannot be pulled"),
    Strike("kubelet killed", kill("kubelet"), said="hello"),
    Strike("git killed", kill("git"), said="[Gg]it"),
    Strike("run killed", kill_run, ("CRASHED",), "process", repaired=False),
    Strike("machine lost", kill_machine, ("CRASHED",), "sign of life"),
    Strike("run cancelled", cancel, ("CANCELLED",), "ancelled", repaired=False),
)
"""Faults of every stage."""
ONCE = {
    "provision": (Strike("aws hangs", hang("aws"), said="AWS", repaired=False),),
    "build": (Strike("engine killed", kill("dockerd"), said="Docker"),),
    "push": (
        Strike("registry hangs", hang("registry"), said="registry", repaired=False),
        Strike("gate killed", kill("registry-gate"), said="registry"),
    ),
    "commit": (
        Strike("git hangs", hang("git"), said="Git", repaired=False),
        Strike("git refuses", refuse, said="refuses the push to env/dev: .*closed today", repaired=False),
        Strike("git moved on", move_on, (), repaired=False),
        Strike("server hangs", hang(SERVER), (), repaired=False),
    ),
    "sync": (
        Strike("API server killed", kill("kube-apiserver"), said="cluster"),
        Strike("containerd killed", kill("containerd"), said="hello"),
        Strike("kubelet hangs", hang("kubelet"), (), repaired=False),
    ),
    "smoke": (Strike("ingress killed", kill("traefik"), said="hello"),),
}
"""Faults of one stage alone."""
