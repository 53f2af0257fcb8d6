"""Bringing the sandbox up, repairing it, and taking it down: every part as soon as those it needs are ready."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from sandbox import daemon, doctor, existing_cluster, lock, recovery
from sandbox.part import Part, PartError
from sandbox.parts import parts
from sandbox.prefect import choice
from sandbox.prefect.choice import Server, Workers
from sandbox.world import World
from symphony.errors import SymphonyError

_SOURCE = "source"
_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class Event:
    """Something that people want to see while they wait.

    Attributes:
        part: Name of the part; empty for the sandbox as a whole.
        state: What it does now.
        seconds: How long it took, once it is ready, failed or stopped.
        text: More, where there is more to say.
    """

    part: str
    state: Literal["waiting", "starting", "ready", "failed", "stopping", "stopped", "note"]
    seconds: float = 0.0
    text: str = ""


Report = Callable[[Event], None]


def silent(event: Event) -> None:
    """A report that nobody reads."""
    del event


def up(
    world: World,
    report: Report = silent,
    *,
    kube_context: str | None = None,
    server: Server | None = None,
    workers: Workers | None = None,
) -> Mapping[str, float]:
    """Bring every part up, side by side; harmless where it is up, and it repairs what is not.

    Args:
        world: The sandbox.
        report: Called, from several threads, with each thing that happens.
        kube_context: Context of the user's own cluster; by default what was chosen before, else a cluster of our own.
        server: What Prefect's server runs on; by default what was chosen before, else SQLite.
        workers: What runs are; by default what was chosen before, else processes.

    Returns:
        Seconds that each part took.

    Raises:
        PartError: The machine is not fit, or a part did not come up; the others stay as they are, for a look at them
            and for the next ``up``.
        BadInputError: The context is unknown, or the sandbox has a cluster or server of another kind already.
    """
    with lock.held(
        world, lambda: report(Event("", "note", text="Another command works on the sandbox; waiting for it."))
    ):
        if kube_context:
            _choose_cluster(world, kube_context)
        if server:
            choice.choose(world, server)
        if workers:
            choice.choose_workers(world, workers)
        listed = parts(world)
        if wrong := [finding for finding in doctor.preflight(world, listed) if finding.state == "failed"]:
            with contextlib.suppress(OSError):
                # The lock made the folder; it goes again where nothing else is in it.
                world.state.rmdir()
            raise PartError(_unfit(wrong))
        _take_over(world, report)
        seconds = _side_by_side(listed, lambda part: _start(part, world), report)
        recovery.provision_again(world, lambda text: report(Event("", "note", text=text)))
        return seconds


def down(world: World, report: Report = silent, *, keep_logs: bool = False, keep_state: bool = False) -> None:
    """Stop every part, from any state it may be in, and remove the state folder.

    Args:
        world: The sandbox.
        report: Called, from several threads, with each thing that happens.
        keep_logs: Leave the folder ``logs``.
        keep_state: Leave images, repositories, secrets and logs for the next ``up``.

    Raises:
        PartError: Something could not be stopped; it is named, and the rest is stopped all the same.
    """
    if not world.state.exists():
        return
    with lock.held(
        world, lambda: report(Event("", "note", text="Another command works on the sandbox; waiting for it."))
    ):
        listed = parts(world)
        failures = _stop_all(listed, world, report)
        for process in daemon.marked(world):
            # Runs of a worker that was killed, for one.
            with contextlib.suppress(psutil.Error):
                process.terminate()
        _, alive = psutil.wait_procs(daemon.marked(world), timeout=_GRACE_SECONDS)
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, timeout=_GRACE_SECONDS)
        if failures:
            raise PartError("\n".join(failures))
        if not keep_state:
            _remove(world, {"logs"} if keep_logs else set())


def _unfit(wrong: Sequence[doctor.Finding]) -> str:
    """One sentence for each thing to do, however many findings it mends."""
    said: dict[str, list[str]] = {}
    for one in wrong:
        said.setdefault(one.fix, []).append(one.said)
    lines = []
    for fix, found in said.items():
        more = f" ({len(found) - 1} more like it)" if len(found) > 1 else ""
        lines.append(f"The sandbox cannot start: {found[0]}{more}. {fix}")
    return "\n".join(lines)


def _choose_cluster(world: World, context: str) -> None:
    if (world.state / "kubernetes" / "pki").exists():
        raise PartError(
            "The sandbox has a cluster of its own already; run `symphony down` first, then `up --kube-context` again."
        )
    existing_cluster.choose(world, context)


def _take_over(world: World, report: Report) -> None:
    """Remember the clone; where the sandbox belonged to another one, what runs that one's code follows this one now."""
    path = world.state / _SOURCE
    before = path.read_text() if path.exists() else str(world.source)
    if before != str(world.source):
        text = (
            f"The sandbox belonged to the clone {before}; its worker, Git hooks and registry gate now run the code of "
            f"{world.source}. What the Git remote holds stays as it was pushed."
        )
        report(Event("", "note", text=text))
        for name in ("git", "registry-gate"):
            daemon.stop(world, name)
    world.write(path, str(world.source))


def _start(part: Part, world: World) -> None:
    alive = daemon.recorded(world)
    for name in part.daemons:
        if name not in alive:
            # A record of a process that was killed would be taken for one that failed just now.
            daemon.stop(world, name)
    part.bring_up(world)


def _side_by_side(listed: Sequence[Part], start: Callable[[Part], None], report: Report) -> Mapping[str, float]:
    """Run each part's start in a thread of its own once those that it needs are ready."""
    done: dict[str, threading.Event] = {part.name: threading.Event() for part in listed}
    seconds: dict[str, float] = {}
    failures: dict[str, str] = {}

    def run(part: Part) -> None:
        began = time.monotonic()
        try:
            needed = [name for name in part.needs if name in done]
            if any(not done[name].is_set() for name in needed):
                report(Event(part.name, "waiting", text=", ".join(needed)))
            for name in needed:
                done[name].wait()
            if lacking := [name for name in needed if name not in seconds]:
                report(Event(part.name, "failed", text=f"not started, since {', '.join(lacking)} is not up"))
                return
            report(Event(part.name, "starting"))
            began = time.monotonic()
            start(part)
            seconds[part.name] = time.monotonic() - began
            report(Event(part.name, "ready", seconds[part.name]))
        except SymphonyError as error:
            failures[part.name] = str(error)
            report(Event(part.name, "failed", time.monotonic() - began, str(error).splitlines()[0]))
        except Exception as error:  # noqa: BLE001 - a part's own mistake must name the part, not end the command
            failures[part.name] = f"{part.name} did not come up: {type(error).__name__}: {error}"
            report(Event(part.name, "failed", time.monotonic() - began, failures[part.name]))
        finally:
            done[part.name].set()

    # Not daemons of a pool: an interrupted command ends at once, and the next `up` repairs.
    threads = [threading.Thread(target=run, args=(part,), daemon=True, name=part.name) for part in listed]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise PartError("\n\n".join(failures.values()))
    return seconds


def _stop_all(listed: Sequence[Part], world: World, report: Report) -> list[str]:
    """Stop each part once those that need it are stopped."""
    done: dict[str, threading.Event] = {part.name: threading.Event() for part in listed}
    failures: list[str] = []

    def run(part: Part) -> None:
        try:
            for other in listed:
                if part.name in other.needs:
                    done[other.name].wait()
            began = time.monotonic()
            report(Event(part.name, "stopping"))
            part.stop(world)
            report(Event(part.name, "stopped", time.monotonic() - began))
        except Exception as error:  # noqa: BLE001 - the others must be stopped all the same
            failures.append(f"{part.name} could not be stopped: {error}; `symphony down` can be tried again.")
            report(Event(part.name, "failed", text=failures[-1]))
        finally:
            done[part.name].set()

    threads = [threading.Thread(target=run, args=(part,), daemon=True, name=part.name) for part in listed]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def _remove(world: World, keep: set[str]) -> None:
    """Remove the state folder, never through a mount."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    if stuck := [path for path in mounts if path.startswith(f"{world.state}/")]:
        raise PartError(
            f"{world.state} is kept, since something is still mounted at {stuck[0]}; "
            f"`umount {stuck[0]}`, then run `symphony down` again."
        )
    # Set aside first, so that nobody who still looks into the folder writes into what is being removed.
    doomed = world.state.with_name(f".{world.state.name}.removed.{os.getpid()}")
    if keep:
        doomed.mkdir(mode=0o700)
        for path in list(world.state.iterdir()):
            if path.name not in keep:
                path.rename(doomed / path.name)
    else:
        world.state.rename(doomed)
    shutil.rmtree(doomed)
