from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

import tasks.provider
from tasks.provider import Installed, ProviderProcess
from tests.tasks.fake_provider import write

ADDRESS = "registry.opentofu.org/hashicorp/aws"
RUN = """
import sys, time
from pathlib import Path
from tasks.provider import Installed, ProviderProcess
process = ProviderProcess(Installed("a/hashicorp/aws", Path(sys.argv[1])), {})
print(process.attach, flush=True)
time.sleep(60)
"""


def until(holds: Callable[[], object]) -> None:
    Retrying(retry=retry_if_result(lambda is_so: not is_so), wait=wait_fixed(0.05), stop=stop_after_delay(20))(holds)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    monkeypatch.setattr(tasks.provider, "_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(tasks.provider, "_ANSWER_SECONDS", 1.0)
    return Installed(ADDRESS, write(tmp_path / "terraform-provider-aws_v3.40.0_x5"))


@pytest.fixture
def process(installed: Installed) -> Iterator[ProviderProcess]:
    made = ProviderProcess(installed, {})
    yield made
    made.end()


def how(process: ProviderProcess) -> Any:
    return json.loads(process.attach)[ADDRESS]


def test_tofu_is_told_how_to_attach_by_the_name_that_it_knows_the_provider_by(process: ProviderProcess) -> None:
    assert how(process)["Protocol"] == "grpc"
    assert process.answers()


def test_nobody_but_the_user_comes_to_its_socket(process: ProviderProcess) -> None:
    assert stat.S_IMODE(Path(how(process)["Addr"]["String"]).parent.stat().st_mode) == 0o700


def test_it_ends_with_its_socket(process: ProviderProcess) -> None:
    told = how(process)
    process.end()
    assert not psutil.pid_exists(told["Pid"])
    assert not Path(told["Addr"]["String"]).parent.exists()
    assert not process.attach
    assert not process.answers()


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
def test_one_that_dies_or_hangs_is_found_and_ended(process: ProviderProcess, signum: signal.Signals) -> None:
    pid = how(process)["Pid"]
    os.kill(pid, signum)
    until(lambda: not process.attach)
    until(lambda: gone(pid))


def test_one_that_does_not_come_up_is_told_by_nothing_to_attach_to(installed: Installed) -> None:
    assert not ProviderProcess(installed, {"FAKE_PROVIDER": "down"}).attach
    assert not ProviderProcess(Installed(ADDRESS, Path("/dev/null")), {}).attach


def test_it_ends_with_a_run_that_is_killed(installed: Installed) -> None:
    with subprocess.Popen([sys.executable, "-c", RUN, str(installed.binary)], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        (told,) = json.loads(run.stdout.readline()).values()
        assert psutil.pid_exists(told["Pid"])
        run.kill()
    until(lambda: gone(told["Pid"]))
