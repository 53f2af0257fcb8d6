from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from symphony.errors import BadInputError, ToolError
from symphony.tool import run


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_output_is_kept_and_streamed_line_by_line() -> None:
    lines: list[str] = []
    finished = run(python("import sys; print('out'); print('err', file=sys.stderr)"), on_line=lines.append)
    assert finished.stdout == "out\n"
    assert sorted(lines) == ["err", "out"]


def test_secrets_are_masked_in_what_is_kept_streamed_and_raised() -> None:
    lines: list[str] = []
    with pytest.raises(ToolError) as caught:
        run(python("print('token hunter2'); raise SystemExit(3)"), secrets=["hunter2", ""], on_line=lines.append)
    assert "hunter2" not in str(caught.value) + caught.value.output + "".join(lines)
    assert lines == ["token ********"]
    assert caught.value.code == 3


def test_an_expected_exit_code_is_no_failure() -> None:
    assert run(python("raise SystemExit(2)"), ok=(0, 2)).code == 2


def test_standard_input_is_given_and_otherwise_empty() -> None:
    read = "import sys; print(len(sys.stdin.read()))"
    assert run(python(read), stdin="abc").stdout == "3\n"
    assert run(python(read)).stdout == "0\n"


def test_a_missing_program_is_named() -> None:
    with pytest.raises(BadInputError, match="'no-such-program' is not on PATH"):
        run(["no-such-program"])


def test_binary_output_goes_to_a_file_untouched(tmp_path: Path) -> None:
    target = tmp_path / "out"
    run(python("import sys; sys.stdout.buffer.write(bytes([0, 255]))"), binary_stdout=target)
    assert target.read_bytes() == bytes([0, 255])


def test_the_limit_ends_the_tool_and_everything_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    child_then_sleep = "import subprocess,time; p=subprocess.Popen(['sleep','60'])"
    code = f"{child_then_sleep}; open({str(mark)!r},'w').write(str(p.pid)); time.sleep(60)"
    with pytest.raises(ToolError, match="its time limit"):
        run(python(code), limit=1.5)
    child = int(mark.read_text())
    deadline = time.monotonic() + 5
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the tool's child lives on"
        time.sleep(0.05)


def test_an_interrupted_caller_ends_the_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    wait = subprocess.Popen.wait

    def interrupted(self: subprocess.Popen[str], timeout: float | None = None) -> int:
        if not started:
            started.append(self.pid)
            raise KeyboardInterrupt
        return wait(self, timeout=timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(["sleep", "60"])
    assert not psutil.pid_exists(started[0])


def test_a_tool_given_patience_finishes_what_it_has_begun(tmp_path: Path) -> None:
    done = tmp_path / "done"
    program = (
        "import signal, time, pathlib, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))\n"
        "try:\n    print('begun', flush=True)\n    time.sleep(60)\n"
        f"except KeyboardInterrupt:\n    time.sleep(0.5)\n    pathlib.Path({str(done)!r}).touch()\n"
    )
    with pytest.raises(ToolError, match="time limit"):
        run([sys.executable, "-c", program], limit=3, patience=20)
    assert done.exists()


def test_many_tools_run_side_by_side() -> None:
    begun = time.monotonic()
    threads = [threading.Thread(target=run, args=(["sleep", "0.5"],)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - begun < 3
