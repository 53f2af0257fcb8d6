"""The policy of a commit's tree: whether a plan may be applied, asked of conftest (Rego) on the plan's JSON."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from prefect import task
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from symphony.errors import BadInputError, SymphonyError, ToolError
from symphony.models import Fact
from symphony.outside import MalformedError, read_yaml
from symphony.tool import run
from tasks.live import Live
from tasks.plan import mask, sensitive_values
from tasks.retry import ONCE
from tasks.terragrunt import shown_plan
from tasks.units import Unit

_EXCEPTIONS = "exceptions.yaml"
_DENIED = 1
"""Exit code of ``conftest test`` where something is denied, and also where it fails itself."""


class Denial(Fact):
    """One resource that a rule does not let through.

    Attributes:
        rule: The rule's id.
        unit: Path of the unit below the environment's folder.
        address: The resource's address in the unit's plan.
        message: What is wrong with it, as a sentence.
        fix: What to do about it, as sentences.
    """

    rule: str
    unit: str
    address: str
    message: str
    fix: str

    def __str__(self) -> str:
        """The denial as people read it."""
        return f"{self.address} ({self.rule}): {self.message} {self.fix}".strip()


class PolicyError(SymphonyError):
    """A plan breaks the policy; nothing of it is applied.

    Attributes:
        denials: Every resource that is not let through.
    """

    def __init__(self, unit: str, denials: Sequence[Denial]) -> None:
        """Tell each denial; the message names unit, resource, rule and how to fix or except it."""
        self.denials = tuple(denials)
        told = " ".join(str(denial) for denial in denials)
        super().__init__(f"The policy denies the plan of unit {unit}, so nothing of it is applied. {told}")


class PolicyException(BaseModel):
    """A resource that a rule lets through for a reason and for a time.

    Attributes:
        rule: The rule's id.
        unit: The unit as ``<environment>/<path>``.
        address: The resource's address in the unit's plan.
        reason: Why, and who decided so.
        until: The last day it holds, in UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str = Field(min_length=1)
    unit: str = Field(pattern=r"^[^/\s]+(/[^/\s]+)+$")
    address: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    until: date


class _Exceptions(BaseModel):
    """The file of exceptions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exceptions: tuple[PolicyException, ...] = ()


@task(name="check policy", task_run_name="check policy of {unit.path}", **ONCE)
def check_plan(live: Live, unit: Unit) -> tuple[Denial, ...]:
    """Check the plan that `tasks.terragrunt.plan_unit` saved against the policy in the commit's tree.

    Args:
        live: The environment's live folder.
        unit: The unit.

    Returns:
        What a named exception let through; empty where the tree has no policy.

    Raises:
        PolicyError: A rule denies it, or an exception of the unit has expired or names what does not exist.
        BadInputError: The exceptions cannot be read, or conftest is not installed.
        SymphonyError: The policy itself is broken.
    """
    folder = live.policies
    if folder is None or not folder.is_dir():
        return ()
    shown = shown_plan(live, unit)
    secrets = sensitive_values(unit.path, shown.read_text(encoding="utf-8"))
    facts = {"run": _facts(live, unit, folder)}
    denied, excepted = _told(unit, _ask(unit, folder, shown, facts, secrets), secrets)
    for denial in excepted:
        _log(f"Let through by an exception: {denial}")
    if denied:
        raise PolicyError(unit.path, denied)
    return excepted


def read_exceptions(file: Path) -> tuple[PolicyException, ...]:
    """The named exceptions; none where there is no file.

    Raises:
        BadInputError: The file is no list of exceptions; the sentence names the place and the fault.
    """
    if not file.is_file():
        return ()
    try:
        return _Exceptions.model_validate(read_yaml(file.read_text(encoding="utf-8")) or {}).exceptions
    except (MalformedError, UnicodeDecodeError) as error:
        raise BadInputError(f"The policy's {file.name} cannot be read: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
        raise BadInputError(
            f"The policy's {file.name} is wrong at {faults}. Each exception has rule, unit (as <environment>/<path>), "
            f"address, reason and until (a date)."
        ) from error


def _facts(live: Live, unit: Unit, policies: Path) -> dict[str, Any]:
    """What rules know besides the plan: ``data.run`` in Rego."""
    exceptions = read_exceptions(policies / _EXCEPTIONS)
    # A removed unit is planned in an older tree; which units there are is told by the policy's own.
    folder = policies.with_name(Path(live.root).name)
    known = {item.unit for item in exceptions if any((folder / item.unit).glob("terragrunt*.hcl"))}
    return {
        "account": live.account,
        "environment": live.environment,
        "environments": live.environments or (live.environment,),
        "unit": f"{live.environment}/{unit.path}",
        "units": sorted(known | {f"{live.environment}/{unit.path}"}),
        "today": datetime.now(UTC).date().isoformat(),
        "exceptions": [item.model_dump(mode="json") for item in exceptions],
    }


def _ask(unit: Unit, folder: Path, shown: Path, facts: dict[str, Any], secrets: Collection[str]) -> list[Any]:
    """What conftest answers, one entry a namespace."""
    with tempfile.TemporaryDirectory(prefix="symphony-policy-") as place:
        data = Path(place) / "run.json"
        data.write_text(json.dumps(facts), encoding="utf-8")
        argv = ["conftest", "test", "--no-color", "--output", "json", "--all-namespaces"]
        argv += ["--policy", str(folder), "--data", str(data), "--parser", "json", str(shown)]
        try:
            answer = run(argv, ok=(0, _DENIED), limit=120).stdout
            return list(json.loads(answer))
        except (ToolError, ValueError) as error:
            # It says on standard error what is wrong with a policy; asked again, since only a failure has its text.
            raise SymphonyError(_broken(unit, argv, str(error), secrets)) from error


def _broken(unit: Unit, argv: list[str], why: str, secrets: Collection[str]) -> str:
    try:
        run(argv, limit=120)
    except ToolError as error:
        why = error.output
    why = " ".join(mask(why, secrets).split())
    return f"The policy could not be asked about the plan of unit {unit.path}: {why} Mend it, then start the run again."


def _told(
    unit: Unit, answer: Sequence[dict[str, Any]], secrets: Collection[str]
) -> tuple[tuple[Denial, ...], tuple[Denial, ...]]:
    """Denials, and what exceptions let through, sensitive values masked."""

    def read(kind: str) -> tuple[Denial, ...]:
        found = [entry for part in answer for entry in part.get(kind) or ()]
        denials = {_denial(unit, entry, secrets) for entry in found}
        return tuple(sorted(denials, key=lambda denial: (denial.address, denial.rule, denial.message)))

    return read("failures"), read("warnings")


def _denial(unit: Unit, entry: dict[str, Any], secrets: Collection[str]) -> Denial:
    more = entry.get("metadata") or {}
    return Denial(
        rule=str(more.get("rule", "policy")),
        unit=unit.path,
        address=str(more.get("address", unit.path)),
        message=mask(str(entry["msg"]), secrets),
        fix=mask(str(more.get("fix", "")), secrets),
    )


def _log(line: str) -> None:
    try:
        get_run_logger().warning(line)
    except MissingContextError:
        return
