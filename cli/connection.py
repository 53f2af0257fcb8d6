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
