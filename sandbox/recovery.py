"""After the AWS API lost its memory: what Terragrunt had made there is provisioned again.

The stand-in for AWS keeps its state in memory, OpenTofu's state among it, so a killed process leaves an empty account.
The registry puts ECR's images back by itself; everything else is in code, and `provision` makes it anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
from tenacity import retry, retry_if_result, stop_after_delay, wait_random_exponential

from sandbox.part import PartError
from sandbox.prefect.environment import USER
from sandbox.world import World
from symphony.errors import ToolError
from symphony.tool import run

_RECORDS = "symphony/records"
_LIMIT_SECONDS = 600.0
_POLL_SECONDS = 0.5
_FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def provision_again(world: World, note: Callable[[str], None]) -> tuple[str, ...]:
    """Provision each environment that was released, if the AWS API is another process than it was then.

    Args:
        world: A sandbox whose parts are up.
        note: Called with a sentence for people.

    Returns:
        The environments that were provisioned again.

    Raises:
        PartError: One of them could not be.
    """
    mark, life = world.folder("aws") / "life", _life(world)
    before = mark.read_text() if mark.exists() else life
    environments = _released(world) if before != life else ()
    if environments:
        note(f"The AWS API was started anew and is empty; {', '.join(environments)} is provisioned again.")
    for run_id in [_start(world, name) for name in environments]:
        _wait(world, run_id)
    world.write(mark, life)
    return environments


def _life(world: World) -> str:
    """What tells one process of the AWS API from the next."""
    file = world.state / "run" / "aws.json"
    record = json.loads(file.read_text()) if file.exists() else {}
    return f"{record.get('pid')} {record.get('born')}"


def _released(world: World) -> tuple[str, ...]:
    repository = world.state / "git" / "platform.git"
    try:
        listed = run(["git", "ls-tree", "-d", "--name-only", f"refs/heads/{_RECORDS}"], cwd=repository).stdout
    except ToolError:
        return ()  # no release yet
    return tuple(listed.split())


def _start(world: World, environment: str) -> str:
    deployment = _ask(world, "GET", f"/deployments/name/provision/{environment}")["id"]
    parameters = {"everything": True, "approved_by": "symphony up, since the AWS API had lost its memory"}
    body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
    return str(_ask(world, "POST", f"/deployments/{deployment}/create_flow_run", body)["id"])


def _wait(world: World, run_id: str) -> None:
    deadline = time.monotonic() + _LIMIT_SECONDS
    page = f"{world.prefect_url}/runs/flow-run/{run_id}"
    while (now := _ask(world, "GET", f"/flow_runs/{run_id}"))["state_type"] not in _FINAL:
        if time.monotonic() > deadline:
            raise PartError(f"{now['name']} has not ended after {_LIMIT_SECONDS:.0f} s; look at {page}.")
        time.sleep(_POLL_SECONDS)
    if now["state_type"] != "COMPLETED":
        said = f"{now['name']} ended as {now['state_name']}: {now['state']['message']}"
        raise PartError(f"{said} Look at {page}, then run `symphony up` again.")


def _ask(world: World, method: str, path: str, body: object = None) -> dict[str, Any]:
    try:
        answer = _send(world, method, path, body)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        said = f"Prefect does not take {method} {path}: {error}"
        raise PartError(f"{said}; see `symphony logs prefect-server`.") from error
    found: dict[str, Any] = answer.json()
    return found


@retry(
    # SQLite's one writer kept it out, and nothing was done.
    retry=retry_if_result(lambda answer: answer.status_code == httpx.codes.SERVICE_UNAVAILABLE),
    retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    wait=wait_random_exponential(multiplier=0.2, max=3),
    stop=stop_after_delay(60),
)
def _send(world: World, method: str, path: str, body: object) -> httpx.Response:
    login = (USER, world.secret("prefect-password"))
    return httpx.request(method, f"{world.prefect_url}/api{path}", json=body, auth=login, timeout=15)
