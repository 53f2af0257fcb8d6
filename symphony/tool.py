"""The one way to run an external tool: argument list, time limit, streamed output, clean cancellation."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from symphony.ending import under_way
from symphony.errors import BadInputError, ToolError

_TAIL_LINES = 40
_GRACE_SECONDS = 20.0
_MASK = "********"


@dataclass(frozen=True)
class Finished:
    """A tool that ended as expected.

    Attributes:
        code: Its exit code.
        stdout: Everything it wrote to standard output, secrets masked.
        seconds: Wall time it took.
    """

    code: int
    stdout: str
    seconds: float


def run(  # noqa: PLR0913 - each argument is one fact about the call, all but the first by keyword
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    limit: float = 600.0,
    ok: Collection[int] = (0,),
    secrets: Collection[str] = (),
    on_line: Callable[[str], None] | None = None,
    binary_stdout: Path | None = None,
    patience: float = 0.0,
) -> Finished:
    """Run a tool in a process group of its own and wait for it.

    Args:
        argv: Program and arguments; never a shell string.
        cwd: Folder to run in.
        env: Variables added to this process's own.
        stdin: Text given to standard input; nothing is given by default.
        limit: Seconds after which the group is ended.
        ok: Exit codes that are no failure.
        secrets: Texts replaced by asterisks in everything kept or passed on.
        on_line: Called with each line of standard error and output as it comes, without its newline.
        binary_stdout: File that takes standard output as it is, for what is no text.
        patience: Seconds it gets after an interrupt to finish what it has begun, where it has to end early. OpenTofu
            then waits for the resource at hand and records it; a SIGTERM ends its provider at once, and the resource
            that was being made is lost to the state.

    Returns:
        What came out of it.

    Raises:
        BadInputError: The program is not installed.
        ToolError: The exit code is not among ``ok``, or the limit passed.
    """
    command = [str(part) for part in argv]
    name = Path(command[0]).name
    environment = {**os.environ, **(env or {})}
    if shutil.which(command[0], path=environment.get("PATH")) is None:
        raise BadInputError(f"The program {command[0]!r} is not on PATH; install it, or run `symphony doctor`.")
    started = time.monotonic()
    output = _Output(secrets, on_line)
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(binary_stdout.open("wb")) if binary_stdout else subprocess.PIPE
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=target,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        stack.callback(_end, process, patience)
        stack.enter_context(under_way(functools.partial(_end, process, patience)))
        readers = output.follow(process)
        _feed(process, stdin)
        try:
            code = process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            _end(process, patience)
            why = f"{name} was ended after {limit:.0f} s, its time limit; it last wrote: {output.tail.strip()}"
            raise ToolError(name, -signal.SIGTERM, output.tail, why) from None
        for reader in readers:
            reader.join(timeout=_GRACE_SECONDS)
    if code not in ok:
        raise ToolError(name, code, output.tail)
    return Finished(code=code, stdout=output.stdout, seconds=time.monotonic() - started)


class _Output:
    """What a tool writes, read as it comes, with secrets masked before anything is kept or passed on."""

    def __init__(self, secrets: Collection[str], on_line: Callable[[str], None] | None) -> None:
        self._secrets = [secret for secret in secrets if secret]
        self._on_line = on_line
        self._last: deque[str] = deque(maxlen=_TAIL_LINES)
        self._stdout: list[str] = []

    def follow(self, process: subprocess.Popen[str]) -> list[threading.Thread]:
        """Read both streams in threads of their own, so that neither can block the tool."""
        readers = [
            threading.Thread(target=self._read, args=(stream, sink), daemon=True)
            for stream, sink in ((process.stderr, None), (process.stdout, self._stdout))
            if stream is not None
        ]
        for reader in readers:
            reader.start()
        return readers

    @property
    def stdout(self) -> str:
        """All of standard output."""
        return "".join(self._stdout)

    @property
    def tail(self) -> str:
        """The last lines of both streams."""
        return "".join(self._last)

    def _read(self, stream: IO[str], sink: list[str] | None) -> None:
        with contextlib.suppress(ValueError):
            for raw in stream:
                line = raw
                for secret in self._secrets:
                    line = line.replace(secret, _MASK)
                self._last.append(line)
                if sink is not None:
                    sink.append(line)
                if self._on_line is not None:
                    self._on_line(line.rstrip("\n"))


def _feed(process: subprocess.Popen[str], text: str | None) -> None:
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(text or "")
            process.stdin.close()


def _end(process: subprocess.Popen[str], patience: float = 0.0) -> None:
    """End a whole process group: interrupted where it is given time for that, then asked to end, then killed."""
    steps = ((signal.SIGINT, patience), (signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, _GRACE_SECONDS))
    for signum, seconds in steps:
        if process.poll() is not None:
            break
        if not seconds:
            continue
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signum)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None and process.poll() is None:
            stream.close()
