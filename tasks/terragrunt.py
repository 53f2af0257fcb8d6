"""Terragrunt: the state bucket, and planning, applying and asking one unit."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

from prefect import task
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from symphony.config import Environment
from symphony.errors import SymphonyError, ToolError
from symphony.models import ACTIONS, UnitPlan
from symphony.outside import read_json
from tasks.aws import client
from tasks.diagnosis import diagnose
from tasks.git import work_home
from tasks.given_secrets import given_secrets
from tasks.live import Live
from tasks.plan import mask, read_plan, sensitive_values
from tasks.provisional import mocks_allowed
from tasks.retry import TRANSIENT
from tasks.units import Unit

_PLAN = "symphony.tfplan"
"""The saved plan's name in the unit's working folder, which the run's checkout takes with it."""
_MASKS = "symphony.masks.json"
"""Beside it: the texts in it that no log may show."""
_SHOWN = "symphony.plan.json"
"""Beside it too: the plan as JSON, which holds sensitive values in plain."""
_LOCK = "-lock-timeout=20s"
_PUSHES = 5
_NO_CHANGE, _CHANGE = 0, 2
"""Exit codes of ``plan -detailed-exitcode``."""


@task(name="bootstrap state", task_run_name="bootstrap state of {live.environment}", **TRANSIENT)
def bootstrap_state(target: Environment, live: Live, unit: Unit) -> None:
    """Make the bucket that holds the environment's state; harmless where it exists.

    Args:
        target: The environment; nothing is made where the credentials are of another account than its own.
        live: The environment's live folder.
        unit: Any unit, whose configuration names the bucket.

    Raises:
        BadInputError: The credentials belong to another account.
        TransientError: AWS was throttling or out of reach.
        SymphonyError: AWS refused.
    """
    client(target, "sts")
    _run(live, unit.path, "state bootstrap", "backend", "bootstrap")


@task(name="plan unit", task_run_name="plan {unit.path}", **TRANSIENT)
def plan_unit(live: Live, unit: Unit) -> UnitPlan:
    """Plan a unit against the real outputs of what it depends on, and save the plan beside it.

    Args:
        live: The environment's live folder.
        unit: The unit.

    Returns:
        The plan, sensitive values masked; empty where nothing would change.

    Raises:
        TransientError: AWS was throttling or out of reach, or another run holds the unit's lock.
        SymphonyError: tofu could not plan it; the sentence holds its reason.
    """
    return _plan(live, unit)


@task(name="plan provisionally", task_run_name="plan {unit.path} provisionally", **TRANSIENT)
def plan_provisionally(live: Live, unit: Unit) -> UnitPlan:
    """Plan a unit whose dependencies are not applied, with mock outputs for what they lack; nothing is saved.

    Args:
        live: The environment's live folder, in a checkout of the run's own.
        unit: The unit.

    Returns:
        The plan, marked as provisional.

    Raises:
        TransientError: AWS was throttling or out of reach, or another run holds the unit's lock.
        SymphonyError: tofu could not plan it, as where the unit has no mocks.
    """
    included = [live.tree / name for name in unit.reading if name.endswith(".hcl")]
    with mocks_allowed(live.folder / unit.path, included):
        plan = _plan(live, unit)
    if not plan.empty:
        # What is empty cannot be applied; its JSON stays, for the policy.
        plan_files(live, unit)[0].write_bytes(b"")
    return plan.model_copy(update={"provisional": True})


@task(name="plan destruction", task_run_name="plan destroying {unit.path}", **TRANSIENT)
def plan_destruction(live: Live, unit: Unit) -> UnitPlan:
    """Plan to destroy all that a unit made, and save the plan beside it.

    Args:
        live: The environment's live folder in a checkout that still has the unit.
        unit: The unit.

    Returns:
        The plan; empty where nothing of it exists any more.

    Raises:
        TransientError: AWS was throttling or out of reach, or another run holds the unit's lock.
        SymphonyError: tofu could not plan it; the sentence holds its reason.
    """
    return _plan(live, unit, "-destroy")


@task(name="apply unit", task_run_name="apply {unit.path}", **TRANSIENT)
def apply_unit(live: Live, unit: Unit, plan: UnitPlan) -> float:
    """Apply the plan that `plan_unit` saved, and nothing else.

    Args:
        live: The environment's live folder.
        unit: The unit.
        plan: What that plan changes.

    Returns:
        Seconds it took.

    Raises:
        TransientError: AWS was out of reach or another run holds the unit's lock, and nothing has been changed.
        StalePlanError: The state has moved since the plan.
        SymphonyError: tofu stopped; the sentence says why, and whether a part of it is done. Or the plan is
            provisional.
    """
    if plan.provisional:
        raise SymphonyError(f"The plan of unit {unit.path} is provisional and is never applied; plan it anew.")
    started = time.monotonic()
    saved, masks = plan_files(live, unit)
    secrets = frozenset(json.loads(masks.read_text(encoding="utf-8")))
    try:
        _run(live, unit.path, "apply", "apply", "-no-color", _LOCK, str(saved), secrets=secrets, log=True)
    except SymphonyError as error:
        if told := _rescued(live, unit):
            raise SymphonyError(f"{error} {told}") from error
        raise
    return round(time.monotonic() - started, 3)


def _rescued(live: Live, unit: Unit) -> str:
    """Take a state that tofu could not write after an apply out of the checkout, and write it after all.

    Returns:
        What became of it, as a sentence; empty where there is none.
    """
    left = next((live.folder / unit.path).glob("**/errored.tfstate"), None)
    if left is None:
        return ""
    kept = _kept_state(live, unit)
    _keep(kept, left.read_text(encoding="utf-8"))
    left.unlink()
    tries = Retrying(
        stop=stop_after_attempt(_PUSHES),
        wait=wait_random_exponential(max=10),
        retry=retry_if_exception_type(SymphonyError),
    )
    try:
        tries(_push_kept, live, unit)
    except RetryError:
        return (
            f"Its state could not be written, and is kept in {kept} on this machine: the unit's next plan here writes "
            "it first. Plan the unit nowhere else before."
        )
    return "Its state could not be written at first, and was written afterwards."


def _push_kept(live: Live, unit: Unit) -> None:
    """Write a state that an earlier apply could not write; tofu refuses it where somebody has written a later one."""
    kept = _kept_state(live, unit)
    if kept.is_file():
        _run(live, unit.path, "writing of the kept state", "state", "push", _LOCK, str(kept))
        kept.unlink()
        _log(f"{unit.path}: the state that an earlier apply could not write is written.")


def _kept_state(live: Live, unit: Unit) -> Path:
    folder = work_home() / "states"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{live.account or 'account'}-{live.environment}-{unit.path.replace('/', '--')}.tfstate"


def plan_files(live: Live, unit: Unit) -> tuple[Path, Path]:
    """The unit's saved plan, and the texts in it that no log may show, as a JSON list.

    Raises:
        SymphonyError: There is none.
    """
    folder = _working_folder(live, unit.path)
    return folder / _PLAN, folder / _MASKS


def restore(live: Live, unit: Unit, plan: bytes, masks: str, shown: bytes) -> None:
    """Put a saved plan back into a checkout, for `apply_unit` and the policy to find."""
    for name, content in ((_PLAN, plan), (_MASKS, masks.encode()), (_SHOWN, shown)):
        file = live.folder / unit.path / name
        file.touch(mode=0o600)
        file.write_bytes(content)


def discard(live: Live, unit: Unit) -> None:
    """Remove a unit's saved plan, where there is one."""
    with contextlib.suppress(SymphonyError):
        while True:
            for file in plan_files(live, unit):
                file.unlink(missing_ok=True)


def _plan(live: Live, unit: Unit, *more: str) -> UnitPlan:
    started = time.monotonic()
    _push_kept(live, unit)
    discard(live, unit)
    args = ("plan", "-no-color", _LOCK, "-compact-warnings", "-detailed-exitcode", f"-out={_PLAN}", *more)
    code, printed = _run(live, unit.path, "plan", *args, ok=(_NO_CHANGE, _CHANGE))
    if code == _NO_CHANGE:
        return UnitPlan(unit=unit.path, seconds=round(time.monotonic() - started, 3))
    folder = _working_folder(live, unit.path)
    shown = live.tofu("show", "-json", _PLAN, cwd=folder).stdout
    _keep(folder / _MASKS, json.dumps(sorted(sensitive_values(unit.path, shown))))
    _keep(folder / _SHOWN, shown)
    plan = read_plan(unit.path, shown, printed, time.monotonic() - started)
    counts = ", ".join(f"{plan.count(action)} to {action}" for action in ACTIONS)
    _log(f"{unit.path}: {counts}; outputs that change: {', '.join(plan.outputs) or 'none'}.")
    return plan


def initialise(live: Live, unit: Unit) -> None:
    """Have tofu install what a unit needs.

    Args:
        live: The environment's live folder.
        unit: The unit.

    Raises:
        TransientError: AWS was throttling or out of reach.
        SymphonyError: tofu could not.
    """
    _run(live, unit.path, "initialisation", "init", "-no-color")


def plan_read_only(live: Live, unit: Unit) -> str:
    """Plan a unit without its lock, and keep nothing of it.

    Args:
        live: The environment's live folder.
        unit: The unit.

    Returns:
        The plan as JSON, sensitive values in it; empty where nothing would change.

    Raises:
        TransientError: AWS was throttling or out of reach.
        SymphonyError: tofu could not plan it.
    """
    args = ("plan", "-no-color", "-lock=false", "-compact-warnings", "-detailed-exitcode", f"-out={_PLAN}")
    code, _ = _run(live, unit.path, "plan", *args, ok=(_NO_CHANGE, _CHANGE))
    if code == _NO_CHANGE:
        return ""
    try:
        return str(live.tofu("show", "-json", _PLAN, cwd=_working_folder(live, unit.path)).stdout)
    finally:
        discard(live, unit)


def shown_plan(live: Live, unit: Unit) -> Path:
    """The JSON of the unit's saved plan; sensitive values are in it.

    Raises:
        SymphonyError: There is no saved plan.
    """
    return _working_folder(live, unit.path) / _SHOWN


def printed_outputs(live: Live, unit: Unit) -> dict[str, Any]:
    """The outputs of an applied unit as tofu prints them: each with its value, and whether it is sensitive.

    Args:
        live: The environment's live folder.
        unit: The unit.

    Raises:
        TransientError: AWS was throttling or out of reach.
        SymphonyError: tofu could not read the state.
    """
    _, printed = _run(live, unit.path, "output", "output", "-json", "-no-color")
    # What `init` prints stands before it, where the unit was not initialised yet.
    start = printed.find("\n{") + 1 if not printed.startswith("{") else 0
    try:
        return dict(read_json(printed[start:] or "{}"))
    except (TypeError, ValueError) as error:
        raise SymphonyError(f"The outputs of unit {unit.path} cannot be read ({error}).") from error


def _run(  # noqa: PLR0913 - the call's facts, all but the arguments by keyword
    live: Live,
    unit: str,
    doing: str,
    *args: str,
    ok: tuple[int, ...] = (0,),
    secrets: frozenset[str] = frozenset(),
    log: bool = False,
) -> tuple[int, str]:
    """Run Terragrunt in a unit; exit code and standard output, or the diagnosis as an error."""
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        if log and line.strip():
            _log(line)

    try:
        finished = live.terragrunt(*args, unit=unit, ok=ok, secrets=secrets, on_line=take)
    except ToolError as error:
        if error.code < 0:
            raise SymphonyError(f"The {doing} of unit {unit} was cut off: {error} Start the run again.") from error
        hidden = secrets or given_secrets(live, unit)
        said = [mask(line, hidden).replace(f"{live.tree}/", "") for line in lines]
        raise diagnose(doing, unit, said) from ToolError(error.tool, error.code, mask(error.output, hidden))
    return finished.code, finished.stdout


def _working_folder(live: Live, unit: str) -> Path:
    """The folder that holds the saved plan: in Terragrunt's cache, or the unit's own where it has no source."""
    folder = live.folder / unit
    for place in (folder, *sorted(folder.glob(".terragrunt-cache/**/"))):
        if (place / _PLAN).is_file():
            return place
    raise SymphonyError(f"The saved plan of unit {unit} is gone from its working folder; start the run again.")


def _keep(file: Path, text: str) -> None:
    """Write what nobody else may read."""
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")


def _log(line: str) -> None:
    try:
        get_run_logger().info(line)
    except MissingContextError:
        return
