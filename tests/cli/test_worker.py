from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def worker(tmp_path: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "SYMPHONY_"))}
    environment |= {"PREFECT_HOME": str(tmp_path / "prefect"), "TMPDIR": str(tmp_path), **more}
    command = [sys.executable, "-c", "from cli.main import main; main()", "worker", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_without_a_server_nothing_is_begun_and_one_sentence_says_what_to_set(tmp_path: Path) -> None:
    done = worker(tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "symphony: No Prefect server is named: set PREFECT_API_URL, or choose a Prefect profile that has it.\n"
    )
    assert not list(tmp_path.glob("symphony-launcher-*"))


def test_an_environment_that_is_not_in_symphony_yaml_is_named_before_anything_is_begun(tmp_path: Path) -> None:
    done = worker(tmp_path, "-e", "dev", "-e", "live", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == 2
    assert done.stderr == "symphony: The environment 'live' is not in symphony.yaml; there are: dev, staging, prod.\n"
    assert not list(tmp_path.glob("symphony-launcher-*"))
