"""A client, its watcher and its run's process, as real processes; what is loaded and run is light here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from deployments import launcher

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0
LAUNCHER = """
import os, sys
from pathlib import Path
from deployments import launcher
folder = Path(sys.argv[1])
launcher.preload = lambda: (folder / "loaded").open("a").write("x")
launcher.code_state = lambda: (folder / "code").read_text()
launcher.run = lambda: exec(os.environ["CODE"])
launcher.os.execv = lambda program, argv: os.execve(program, [program, *sys.orig_argv[1:]], os.environ)
launcher.main()
"""
WAITS = "import time\nprint('begun', flush=True)\ntime.sleep(600)"


def until(answer: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not answer():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@dataclass
class Runs:
    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        # Instead of Prefect, the plain way finds this.
        plain = self.folder / "plain"
        (plain / "prefect").mkdir(parents=True, exist_ok=True)
        (plain / "prefect" / "__init__.py").touch()
        (plain / "prefect" / "engine.py").write_text("print('plainly')\n")
        path = os.pathsep.join([str(plain), str(ROOT)])
        return {**os.environ, "PYTHONPATH": path, "SYMPHONY_LAUNCHER": str(self.folder)}

    def launch(self) -> psutil.Process:
        (self.folder / "code").write_text("one")
        argv = [sys.executable, "-c", LAUNCHER, str(self.folder)]
        self.started.append(subprocess.Popen(argv, env=self.environment, text=True))
        until((self.folder / "socket").exists)
        return psutil.Process(self.started[-1].pid)

    def begin(self, code: str, **env: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "deployments.engine"]
        environment = {**self.environment, "CODE": code, **env}
        run = subprocess.Popen(argv, env=environment, text=True, cwd=self.folder, stdout=subprocess.PIPE)
        self.started.append(run)
        return run

    def finish(self, code: str, **env: str) -> tuple[int, str]:
        run = self.begin(code, **env)
        output, _ = run.communicate(timeout=SECONDS)
        return run.returncode, output.strip()


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    runs = Runs(tmp_path)
    yield runs
    for process in runs.started:
        process.kill()
        process.communicate()


def waiting(
    runs: Runs, launcher: psutil.Process, code: str = WAITS
) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """A client, and its watcher and run's process."""
    client = runs.begin(code)
    assert client.stdout is not None
    assert client.stdout.readline().strip() == "begun"
    return client, launcher.children(recursive=True)


def gone(processes: list[psutil.Process]) -> bool:
    return not [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_a_run_has_its_clients_environment_folder_and_output_and_ends_as_it(runs: Runs) -> None:
    runs.launch()
    code = "import sys; print(os.environ['WORD'], os.getcwd()); sys.exit(7)"
    assert runs.finish(code, WORD="hello") == (7, f"hello {runs.folder}")


def test_only_its_owner_reaches_the_launcher(runs: Runs) -> None:
    runs.launch()
    assert runs.folder.stat().st_mode & 0o777 == 0o700
    assert (runs.folder / "socket").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_client_is_one_to_the_run(runs: Runs, number: signal.Signals) -> None:
    serving = runs.launch()
    caught = f"import signal, sys\nsignal.signal({int(number)}, lambda *_: (print('caught'), sys.exit(9)))\n{WAITS}"
    client, _ = waiting(runs, serving, caught)
    client.send_signal(number)
    assert client.communicate(timeout=SECONDS)[0].strip() == "caught"
    assert client.returncode == 9


def test_a_run_does_not_outlive_a_killed_client(runs: Runs) -> None:
    client, others = waiting(runs, runs.launch())
    client.kill()
    until(lambda: gone(others))
    assert len(others) == 2


def test_a_killed_run_kills_its_client_the_same_way(runs: Runs) -> None:
    client, others = waiting(runs, runs.launch())
    others[-1].kill()
    assert client.wait(SECONDS) == -signal.SIGKILL
    until(lambda: gone(others))


def test_a_run_does_not_outlive_a_killed_watcher_and_the_client_fails(runs: Runs) -> None:
    client, others = waiting(runs, runs.launch())
    others[0].kill()
    assert client.wait(SECONDS) == 128 + signal.SIGKILL
    until(lambda: gone(others))


def test_a_run_outlives_a_killed_launcher_and_the_next_starts_plainly(runs: Runs) -> None:
    serving = runs.launch()
    client, _ = waiting(runs, serving, "import signal, sys\nsignal.signal(15, lambda *_: sys.exit(5))\n" + WAITS)
    serving.kill()
    assert runs.finish("print('forked')") == (0, "plainly")
    client.terminate()
    assert client.wait(SECONDS) == 5


def test_without_a_launcher_a_run_starts_plainly(runs: Runs) -> None:
    assert runs.finish("print('forked')") == (0, "plainly")


def test_a_launcher_that_hangs_keeps_no_run_from_starting_once(runs: Runs) -> None:
    serving = runs.launch()
    serving.suspend()
    mark = runs.folder / "mark"
    assert runs.finish(f"open({str(mark)!r}, 'w')") == (0, "plainly")
    serving.resume()
    until(lambda: runs.finish("print('forked')") == (0, "forked"))
    assert not mark.exists()


def test_a_run_of_another_import_path_starts_plainly(runs: Runs) -> None:
    runs.launch()
    path = os.pathsep.join([runs.environment["PYTHONPATH"], str(runs.folder)])
    assert runs.finish("print('forked')", PYTHONPATH=path) == (0, "plainly")


def test_changed_code_starts_plainly_until_the_launcher_has_loaded_it(runs: Runs) -> None:
    serving = runs.launch()
    client, _ = waiting(runs, serving, "import signal, sys\nsignal.signal(15, lambda *_: sys.exit(5))\n" + WAITS)
    (runs.folder / "code").write_text("two")
    first = runs.finish("print('forked')")
    assert first == (0, "plainly") or (runs.folder / "loaded").read_text() == "xx"
    until(lambda: (runs.folder / "loaded").read_text() == "xx")
    until(lambda: runs.finish("print('forked')") == (0, "forked"))
    client.terminate()
    assert client.wait(SECONDS) == 5


def test_a_run_goes_on_whose_output_nobody_reads_any_more() -> None:
    code = (
        "import os, rich.console, deployments.launcher as launcher\nlauncher.outlive_reader()\ninput()\n"
        "for _ in range(2):\n    rich.console.Console(stderr=True).print('lost')\nos._exit(7)"
    )
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, **pipes) as run:
        assert run.stdin is not None
        assert run.stderr is not None
        run.stderr.close()
        run.stdin.write("go\n")
        run.stdin.flush()
        assert run.wait(SECONDS) == 7


def test_what_flows_need_is_loaded_without_a_thread() -> None:
    code = "import threading; from deployments.launcher import preload; preload(); print(threading.active_count())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_code_is_another_once_a_source_or_the_requirements_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "ROOT", tmp_path)
    (tmp_path / "flows").mkdir()
    states = [launcher.code_state()]
    for name in ("flows/one.py", "requirements.lock"):
        (tmp_path / name).write_text("new")
        states.append(launcher.code_state())
    assert len(set(states)) == 3
