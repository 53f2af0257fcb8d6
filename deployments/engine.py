"""``python -m deployments.engine``: what ``python -m prefect.engine`` does, in a process that is loaded already.

Hands this process's environment, working folder and standard streams to the launcher (`deployments.launcher`) of the
folder that ``SYMPHONY_LAUNCHER`` names, passes signals on to the run's process, and ends as that ends. Where no
launcher answers, or its code is not this one's, it becomes the plain ``python -m prefect.engine``. Only light modules
are loaded here, since every run waits for them.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from types import FrameType

FOLDER = "SYMPHONY_LAUNCHER"
"""Variable with the launcher's folder; its socket there is for its owner alone."""
SOCKET = "socket"
READY, GO = b"r", b"g"
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_ANSWER_SECONDS = 5.0
_STATUS_BYTES = 4
_KILLED = 137


def main() -> int:
    """Run the flow run that the environment names; returns its process's exit code."""
    folder = os.environ.get(FOLDER)
    launcher = _ask(folder) if folder else None
    if launcher is None:
        os.execv(sys.executable, [sys.executable, "-m", "prefect.engine", *sys.argv[1:]])  # noqa: S606 - no shell needed
    with launcher:
        return _follow(launcher)


def identity() -> dict[str, str | None]:
    """What launcher and run must have in common beyond the sources: interpreter, import path, this project's place."""
    return {
        "executable": sys.executable,
        "version": sys.version,
        "path": os.environ.get("PYTHONPATH"),
        "project": os.path.dirname(os.path.abspath(__file__)),  # noqa: PTH100, PTH120 - pathlib takes long to load
    }


def connect(folder: str) -> socket.socket:
    """A connection to the launcher that listens in a folder.

    Raises:
        OSError: None listens there, or it takes longer than five seconds.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_ANSWER_SECONDS)
    try:
        # By a descriptor of the folder, because a socket's path may be 107 bytes long at most (unix(7)).
        place = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{place}/{SOCKET}")
        finally:
            os.close(place)
    except OSError:
        connection.close()
        raise
    return connection


def _ask(folder: str) -> socket.socket | None:
    """The connection to a launcher that is ready to start this run; nothing has begun yet if there is none."""
    try:
        connection = connect(folder)
    except OSError:
        return None
    request = {"identity": identity(), "cwd": os.getcwd(), "argv": sys.argv[1:], "env": dict(os.environ)}  # noqa: PTH109
    content = json.dumps(request).encode()
    try:
        connection.sendall(len(content).to_bytes(_STATUS_BYTES, "big") + content)
        if connection.recv(1) == READY:
            connection.settimeout(None)
            return connection
    except OSError:
        pass
    connection.close()
    return None


def _follow(launcher: socket.socket) -> int:
    """Let the run begin, pass signals on, and end as it ends."""

    def forward(number: int, _frame: FrameType | None) -> None:
        launcher.send(bytes([number]))

    for number in _FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, forward)
    status = b""
    try:
        # Not sooner: a launcher that hangs would keep the streams open after a run that started plainly.
        socket.send_fds(launcher, [GO], [0, 1, 2])
        while len(status) < _STATUS_BYTES and (part := launcher.recv(_STATUS_BYTES - len(status))):
            status += part
    except OSError:
        status = b""
    if len(status) < _STATUS_BYTES:
        # What watches the run was killed, and the run with it.
        return _KILLED
    code = os.waitstatus_to_exitcode(int.from_bytes(status, "big"))
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in {signal.SIGKILL, signal.SIGSTOP} else None
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main())
