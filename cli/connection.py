"""Which Prefect server a command speaks to: the one of the environment, or else the sandbox's."""

from __future__ import annotations

import os

from deployments.client import PrefectApi
from symphony.errors import BadInputError


def connect() -> PrefectApi:
    """A client of ``PREFECT_API_URL`` with ``PREFECT_API_AUTH_STRING``, or of the sandbox that is up.

    Raises:
        BadInputError: Neither is there.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        return PrefectApi(url, os.environ.get("PREFECT_API_AUTH_STRING", ""))
    from cli.world import world  # noqa: PLC0415 - the sandbox is loaded only where it is asked

    here = world()
    if not (here.state / "secrets" / "prefect-password").exists():
        raise BadInputError(
            "There is no Prefect server to speak to: set PREFECT_API_URL, or start one by `symphony up`."
        )
    return PrefectApi(f"{here.prefect_url}/api", f"admin:{here.secret('prefect-password')}")


def adopt() -> None:
    """Take on what a worker of the sandbox has in its environment, where no Prefect server is named in it.

    So that a command which speaks to AWS and Git itself finds the same as the flows do.

    Raises:
        BadInputError: There is neither.
    """
    # Tasks called here belong to no run, whose log they could be in.
    os.environ.setdefault("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "ignore")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    if os.environ.get("PREFECT_API_URL"):
        return
    connect()
    from cli.world import world  # noqa: PLC0415 - the sandbox is loaded only where it is asked
    from sandbox.prefect import worker_environment  # noqa: PLC0415

    os.environ.update(worker_environment(world()))
