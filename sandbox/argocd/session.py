"""A login to Argo CD's API server."""

from __future__ import annotations

import httpx

from sandbox.world import HOST, World
from symphony.errors import SymphonyError

USER = "admin"
_SECONDS = 10.0


def url(world: World) -> str:
    """Address of Argo CD's API and UI."""
    return f"http://{HOST}:{world.ports.argocd}"


def login(world: World) -> str:
    """A bearer token of the user ``admin``, good for a day.

    Raises:
        SymphonyError: The API server does not answer, or refuses the sandbox's own password.
    """
    body = {"username": USER, "password": world.secret("argocd-password")}
    try:
        answer = httpx.post(f"{url(world)}/api/v1/session", json=body, timeout=_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        raise SymphonyError(
            f"Argo CD at {url(world)} does not answer a login: {error}; see `symphony status --sandbox`."
        ) from error
    if answer.status_code != httpx.codes.OK:
        raise SymphonyError(
            f"Argo CD at {url(world)} refused the sandbox's own password with {answer.status_code}; "
            "`symphony up` sets it anew."
        )
    return str(answer.json()["token"])
