"""``python -m sandbox.postgres``: becomes PostgreSQL on loopback, with its files in a folder of the sandbox's state.

PostgreSQL refuses to run as root, and the state folder is closed to everybody but its owner. So as root the process
needs mounts and shared memory of its own (`APART`), has its folder there at a path that is open, and becomes another
user; nothing of that outlives it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from pathlib import Path

from sandbox.world import HOST
from symphony import tool

APART = ("unshare", "--mount", "--ipc", "--")
"""What a process of root's is started by."""
LOGIN = "prefect"
_USERS = ("postgres", "nobody")
_PLACE = Path("/mnt")
"""Every Linux has it, and no program of PostgreSQL's is there."""


def main() -> None:
    """Make its files where there are none, and become it: ``FOLDER SECRET INITDB POSTGRES PORT``."""
    folder, secret, initdb, postgres = map(Path, sys.argv[1:5])
    password = secret.read_text()
    if os.geteuid() == 0:
        _descend(folder)
        folder = _PLACE
    os.chdir(folder)
    data = folder / "data"
    if not data.exists():
        _make(folder, initdb, password).rename(data)
    options = {
        "port": sys.argv[5],
        "listen_addresses": HOST,
        "unix_socket_directories": "",
        # In its folder, as what lies in /dev/shm stays there once it is killed.
        "dynamic_shared_memory_type": "mmap",
        # It outlives its own death, not the machine's: with it, its first tables alone took two minutes here.
        "fsync": "off",
    }
    words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    os.execv(postgres, [str(postgres), "-D", str(data), *words])  # noqa: S606 - an argument list needs none


def _descend(folder: Path) -> None:
    known = {user.pw_name: user for user in pwd.getpwall()}
    user = next(known[name] for name in _USERS if name in known)
    shutil.chown(folder, user.pw_uid, user.pw_gid)
    tool.run(["mount", "--bind", folder, _PLACE], limit=10)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def _make(folder: Path, initdb: Path, password: str) -> Path:
    """Files of a new database, whole or not there at all for the next start."""
    half, file = folder / "half", folder / "password"
    shutil.rmtree(half, ignore_errors=True)
    file.touch(mode=0o600)
    file.write_text(password)
    login = ["--username", LOGIN, "--auth", "scram-sha-256", "--pwfile", str(file)]
    tool.run([initdb, "--pgdata", half, *login, "--encoding", "UTF8", "--locale", "C", "--no-sync"], limit=60)
    file.unlink()
    return half


if __name__ == "__main__":
    main()
