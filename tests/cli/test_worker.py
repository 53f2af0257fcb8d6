from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_without_a_server_nothing_is_begun_and_one_sentence_says_what_to_set(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(tmp_path / "prefect"), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", "from cli.main import main; main()", "worker"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert done.stderr == (
        "symphony: No Prefect server is named: set PREFECT_API_URL, or choose a Prefect profile that has it.\n"
    )
    assert not list(tmp_path.glob("symphony-launcher-*"))
