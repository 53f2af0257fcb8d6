"""``symphony worker``: a Prefect worker whose runs start from a launcher that has everything loaded."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from cli.running import environments as declared
from symphony.errors import BadInputError

app = typer.Typer()


@app.command("worker")
def worker(
    environments: Annotated[
        list[str] | None,
        typer.Option(
            "--environment",
            "-e",
            help="Serve this environment's runs alone; may be repeated. All by default.",
            autocompletion=declared,
        ),
    ] = None,
    pool: Annotated[str, typer.Option("--pool", "-p", help="Work pool of the runs.")] = "symphony",
    name: Annotated[str, typer.Option("--name", "-n", help="What the worker is called in Prefect.")] = "",
) -> None:
    """Serve runs on this machine, until it is interrupted.

    It is `prefect worker start` for the server of PREFECT_API_URL or of Prefect's profile; beside it runs a launcher
    that has loaded what flows need, so that a run begins a second after its call. The launcher ends with the worker.
    Runs find the pinned tools that this machine has (`symphony toolchain`) before those of PATH.

    A run has the rights of its worker: a worker that serves one environment needs that one's rights alone.
    """
    from prefect.settings import PREFECT_API_URL  # noqa: PLC0415

    from deployments.engine import FOLDER  # noqa: PLC0415 - loaded only where it is used
    from deployments.launcher import BOUND, ROOT  # noqa: PLC0415
    from deployments.listing import queues  # noqa: PLC0415
    from sandbox import toolchain  # noqa: PLC0415
    from sandbox.world import cache_home  # noqa: PLC0415
    from symphony.config import configured, load  # noqa: PLC0415

    if not PREFECT_API_URL.value():
        raise BadInputError("No Prefect server is named: set PREFECT_API_URL, or choose a Prefect profile that has it.")
    served = environments or []
    there = load(configured(ROOT / "symphony.yaml")).environments if served else {}
    for environment in served:
        if environment not in there:
            known = ", ".join(there)
            raise BadInputError(f"The environment {environment!r} is not in symphony.yaml; there are: {known}.")
    folder = tempfile.mkdtemp(prefix="symphony-launcher-")
    # Runs are started as `python`, from any folder.
    tools = [place for place in toolchain.folders(cache_home()) if place.exists()]
    places = [Path(sys.executable).parent, *tools, os.environ.get("PATH", os.defpath)]
    os.environ["PATH"] = os.pathsep.join(map(str, places))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *([before] if before else [])])
    os.environ[FOLDER] = folder
    launch = [sys.executable, "-m", "deployments.launcher", folder, BOUND]
    # A session of its own, since an interrupt from the terminal is for the worker; it ends by the kernel's signal.
    subprocess.Popen(launch, start_new_session=True)
    work = [
        "-m",
        "prefect",
        "worker",
        "start",
        "--pool",
        pool,
        "--type",
        "process",
        *(["--name", name] if name else []),
        *(word for queue in queues(served) for word in ("--work-queue", queue)),
    ]
    os.execv(sys.executable, [sys.executable, *work])  # noqa: S606 - an argument list needs none
