"""``python -m deployments.launcher FOLDER [--bound]``: has loaded what flows need, and forks a process for each run.

Starting Python and loading Prefect, the AWS, Kubernetes and Docker clients and the flows costs seconds of processor
time a run; a fork costs milliseconds. `deployments.engine` asks for one. Each connection gets a watcher (a fork), which
forks the run's process once the client has agreed: so runs outlive the launcher, and client, watcher and run end when
one of them is killed, as a plain process would. When the code changes, the launcher starts itself anew; until then
runs start plainly.

No thread lives before a fork, and no connection: what belongs to a run is made in its own process.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from deployments.engine import GO, READY, SOCKET, identity

ROOT = Path(__file__).resolve().parents[1]
_SOURCES = ("deployments", "flows", "symphony", "tasks")
_PRELOADED = (
    "prefect.flow_engine",
    "prefect._internal.control_listener",
    "prefect._internal.metrics",
    "prefect.runner",
    "prefect.deployments",
    "prefect_aws",
)
_CHECK_SECONDS = 2.0
_REQUEST_SECONDS = 2.0
BOUND = "--bound"
"""Argument of a launcher that ends with the process which started it."""
_PR_SET_PDEATHSIG = 1
_FILES, _LENGTH = 3, 4


@dataclass(frozen=True)
class Request:
    """What a client hands over.

    Attributes:
        env: The whole environment of the run's process.
        cwd: Its working folder.
        argv: Arguments after the program's name.
    """

    env: dict[str, str]
    cwd: str
    argv: list[str]


def code_state() -> tuple[tuple[str, int, int], ...]:
    """What is loaded, by name, time and size of each file: this project's sources, and what is installed beside."""
    files = [path for folder in _SOURCES for path in sorted((ROOT / folder).rglob("*.py"))]
    installed = [Path(entry) for entry in sys.path if entry.endswith("site-packages")]
    found = []
    for path in [*files, ROOT / "requirements.lock", Path(sys.executable), *installed]:
        with contextlib.suppress(OSError):
            stat = path.stat()
            found.append((str(path), stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def preload() -> None:
    """Load what flow runs load.

    Raises:
        RuntimeError: A module started a thread, which a fork would lose.
    """
    flows = sorted(path.stem for path in (ROOT / "flows").glob("*.py") if path.stem != "__init__")
    for name in (*_PRELOADED, *(f"flows.{flow}" for flow in flows)):
        importlib.import_module(name)
    if threading.active_count() > 1:
        raise RuntimeError(f"Loading the flows started threads: {threading.enumerate()}.")


def serve(folder: Path) -> Request | None:
    """Answer clients until the code changes; returns the request in a run's process, and None in the launcher."""
    before = code_state()
    try:
        preload()
    except Exception:  # noqa: BLE001 - code that cannot be loaded fails its runs, and is tried again once it changes
        traceback.print_exc()
        while code_state() == before:
            time.sleep(_CHECK_SECONDS)
        return None
    gc.collect()
    gc.freeze()
    # Watchers that ended leave nothing behind (wait(2)).
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with listen(folder) as listener:
        while True:
            waiting, _, _ = select.select([listener], [], [], _CHECK_SECONDS)
            if code_state() != before:
                return None
            if waiting:
                connection, _ = listener.accept()
                with connection:
                    if os.fork() == 0:
                        listener.close()
                        return watch(connection)


def listen(folder: Path) -> socket.socket:
    """A socket in a folder that its owner alone may enter; takes the place of one that was left there."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        mask = os.umask(0o177)
        try:
            listener.bind(f"/proc/self/fd/{place}/{SOCKET}.{os.getpid()}")
        finally:
            os.umask(mask)
        listener.listen(128)
        (folder / f"{SOCKET}.{os.getpid()}").rename(folder / SOCKET)
    finally:
        os.close(place)
    return listener


def watch(connection: socket.socket) -> Request:
    """Fork the run's process once the client agreed, and follow it; returns in that process alone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    try:
        request = receive(connection)
        connection.settimeout(None)
        connection.sendall(READY)
        agreed, files, _, _ = socket.recv_fds(connection, 1, _FILES)
    except (OSError, ValueError):
        os._exit(0)
    if agreed != GO or len(files) != _FILES:
        os._exit(0)
    watcher = os.getpid()
    child = os.fork()
    if child:
        for file in (*files, 0, 1, 2):
            os.close(file)
        follow(connection, child)
    # The watcher alone can tell of this process's end, so it does not go on without it (prctl(2)).
    end_with_parent(signal.SIGKILL)
    if os.getppid() != watcher:
        os._exit(1)
    connection.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    return request


def follow(connection: socket.socket, child: int) -> NoReturn:
    """Pass a client's signals on to its run's process, end that with the client, and tell how it ended."""
    ended = os.pidfd_open(child)
    reading = [connection.fileno()]
    while True:
        ready, _, _ = select.select([ended, *reading], [], [])
        if ended in ready:
            _, status = os.waitpid(child, 0)
            with contextlib.suppress(OSError):
                connection.sendall(status.to_bytes(4, "big"))
            os._exit(0)
        signals = b""
        with contextlib.suppress(OSError):
            signals = connection.recv(64)
        if not signals:
            reading = []
        for number in signals or [signal.SIGKILL]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)


def end_with_parent(number: signal.Signals) -> None:
    """Let the kernel send this process a signal when its parent ends; lasts over an exec, not over a fork."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def receive(connection: socket.socket) -> Request:
    """Read what a client hands over.

    Raises:
        OSError: The client went away, or took longer than two seconds.
        ValueError: It runs another interpreter, import path or clone.
    """
    connection.settimeout(_REQUEST_SECONDS)
    content = bytearray()
    while len(content) < _LENGTH or len(content) < _LENGTH + int.from_bytes(content[:_LENGTH], "big"):
        part = connection.recv(1 << 16)
        if not part:
            raise ConnectionResetError
        content += part
    told = json.loads(content[_LENGTH:])
    if told["identity"] != identity():
        raise ValueError("The run's process would be another one.")
    return Request(told["env"], told["cwd"], told["argv"])


def become(request: Request) -> None:
    """Make this fork what a fresh process of the client would be."""
    os.environ.clear()
    os.environ.update(request.env)
    os.chdir(request.cwd)
    time.tzset()
    random.seed()
    sys.path[0] = request.cwd
    sys.argv[:] = ["prefect.engine", *request.argv]


def outlive_reader() -> None:
    """Let a run go on whose worker was killed: Rich ends a process whose output nobody reads any more."""
    from rich.console import Console  # noqa: PLC0415 - loaded before the fork

    def be_quiet(console: Console) -> None:
        console.quiet = True

    Console.on_broken_pipe = be_quiet  # type: ignore[assignment]


def run() -> None:
    """Run the flow run that the environment names, as ``python -m prefect.engine`` does."""
    from prefect.context import refresh_global_settings_context  # noqa: PLC0415 - loaded before the fork
    from prefect.logging.configuration import setup_logging  # noqa: PLC0415

    outlive_reader()
    refresh_global_settings_context()
    setup_logging(incremental=False)
    with warnings.catch_warnings():
        # Other modules load it too, under its own name.
        warnings.filterwarnings("ignore", message=".*prefect.engine.*found in sys.modules", category=RuntimeWarning)
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


def main() -> None:
    """Serve runs from the folder given, for ever."""
    if BOUND in sys.argv:
        end_with_parent(signal.SIGTERM)
    request = serve(Path(sys.argv[1]))
    if request is None:
        os.execv(sys.executable, [sys.executable, "-m", "deployments.launcher", *sys.argv[1:]])  # noqa: S606
    become(request)
    run()


if __name__ == "__main__":
    main()
