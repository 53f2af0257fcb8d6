"""Redis as the parts run it: a process of their own each, on loopback, behind a password."""

from __future__ import annotations

import socket
from pathlib import Path

from sandbox.part import NotReadyError
from sandbox.world import HOST

_SECONDS = 1.0


def settings(port: int, password: str, folder: Path, *more: str) -> str:
    """Its configuration file; the password is there, so that process lists do not show it."""
    return "\n".join((f"bind {HOST}", f"port {port}", f"requirepass {password}", f"dir {folder}", *more)) + "\n"


def check(name: str, port: int, password: str) -> None:
    """Ask it whether it works.

    Raises:
        NotReadyError: It does not answer, or takes another password.
    """
    answer = b""
    try:
        with socket.create_connection((HOST, port), timeout=_SECONDS) as link:
            link.sendall(f"AUTH {password}\r\nPING\r\nQUIT\r\n".encode())
            while more := link.recv(64):
                answer += more
    except OSError as error:
        raise NotReadyError(f"{name} does not answer: {error}") from error
    if b"+PONG" not in answer:
        raise NotReadyError(f"{name} refuses its password: {answer.decode(errors='replace').strip()}")
