"""A process of the sandbox that outlives the command which started it: found again, stopped whole, never mistaken."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from sandbox.world import World

MARK = "SYMPHONY_SANDBOX"
"""Variable that every process of a sandbox carries, with the state folder: what outlives its parent is still known."""
_TAIL_BYTES = 4000
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Daemon:
    """One long-running process, in a session of its own, with a log file of its own.

    Attributes:
        name: Unique in the sandbox; names the log and the process record.
        argv: Program and arguments; hold no secret, since process lists show them.
        env: Variables added to this process's own; what a secret travels by.
        cwd: Folder to run in.
        grace: Seconds it gets to end by itself.
    """

    name: str
    argv: Sequence[str | Path]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    grace: float = 10.0

    def start(self, world: World) -> None:
        """Start it unless it runs already; one that runs with other arguments is replaced."""
        argv = [str(part) for part in self.argv]
        if recorded := _recorded(world, self.name):
            process, before = recorded
            if before == argv:
                return
            _end(process, self.grace)
        with world.log(self.name).open("ab") as log:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.cwd or world.state,
                env={**os.environ, "PATH": world.path, **self.env, MARK: str(world.state)},
                start_new_session=True,
            )
        record = {"pid": child.pid, "born": _born(child.pid), "argv": argv}
        world.write(world.folder("run") / f"{self.name}.json", json.dumps(record))

    def running(self, world: World) -> bool:
        """Whether it lives."""
        return _recorded(world, self.name) is not None

    def stop(self, world: World) -> None:
        """End it and everything it started; harmless where it does not run."""
        stop(world, self.name, self.grace)


def stop(world: World, name: str, grace: float = 10.0) -> None:
    """End a daemon known by its name alone, with its whole process tree."""
    if recorded := _recorded(world, name):
        _end(recorded[0], grace)
    (world.folder("run") / f"{name}.json").unlink(missing_ok=True)


def recorded(world: World) -> dict[str, int]:
    """Process ids of the daemons that live, by name."""
    names = sorted(path.stem for path in (world.state / "run").glob("*.json"))
    return {name: found[0].pid for name in names if (found := _recorded(world, name))}


def marked(world: World) -> list[psutil.Process]:
    """Every process that came of a daemon of this sandbox, also of one that was killed; pods are not among them."""
    wanted = f"{MARK}={world.state}".encode()
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if wanted in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0") and process.pid != os.getpid():
                found.append(process)
    return found


def tail(world: World, name: str) -> str:
    """The last lines of a daemon's log, for a report of its failure."""
    path = world.log(name)
    if not path.exists():
        return ""
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return log.read().decode(errors="replace")


def _recorded(world: World, name: str) -> tuple[psutil.Process, list[str]] | None:
    """The live process of a record; a process id that another program got since is not it."""
    try:
        record = json.loads((world.state / "run" / f"{name}.json").read_text())
        process = psutil.Process(record["pid"])
        if _born(process.pid) == record["born"] and process.status() != psutil.STATUS_ZOMBIE:
            return process, record["argv"]
    except (OSError, ValueError, psutil.NoSuchProcess):
        pass
    return None


def _born(pid: int) -> int:
    """When a process began, in clock ticks since boot (proc(5)); unlike the time of day, that is never set anew."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def _end(process: psutil.Process, grace: float) -> None:
    try:
        tree = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
    for left in _alive(tree, grace):
        with contextlib.suppress(psutil.NoSuchProcess):
            left.kill()
    _alive(tree, grace)


def _alive(processes: Sequence[psutil.Process], limit: float) -> list[psutil.Process]:
    """Those that still live after the limit; one that has ended counts as gone, however late process 1 reaps it."""
    deadline = time.monotonic() + limit
    while True:
        alive = [process for process in processes if _lives(process)]
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(_POLL_SECONDS)


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
