"""Asking a person about plans: the run is suspended, so that waiting holds no process, slot or lock."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from prefect.context import FlowRunContext
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from pydantic import Field

from symphony.change import Change
from symphony.models import ACTIONS, Approval, UnitPlan
from tasks.artifacts import escape

_HOUR = 3600
_SHOWN = 50


class Decision(RunInput):
    """The form that a person fills in to resume the run."""

    approver: str = Field(min_length=1, max_length=200, pattern=r"\S", description="Your name; the record keeps it.")
    decision: Literal["approve", "refuse"] = Field(description="Refusing leaves everything as it is.")
    reason: str = Field(default="", max_length=2000, description="Why; the record keeps it.")


def can_ask() -> bool:
    """Whether this run can be suspended: one of a deployment can, since a worker starts it again."""
    context = FlowRunContext.get()
    return bool(context and context.flow_run and context.flow_run.deployment_id)


def ask(
    change: Change, plans: Mapping[str, UnitPlan], files: Mapping[str, str], *, page: str, hours: float
) -> Approval:
    """Ask a person about plans, or take up what they answered.

    The first time, the run is suspended: this raises Prefect's ``Pause``, which ends the process. Resumed, the run
    starts from its top and comes here again; for the same commit, plans and saved files it then gets the answer. For
    others it asks again.

    Args:
        change: The commit being released.
        plans: Each unit's plan.
        files: SHA-256 of each unit's saved plan.
        page: Address of the page with the plans; empty where there is none.
        hours: How long to wait; then the run fails.

    Returns:
        The decision.
    """
    hashes = {unit: plan.hash for unit, plan in sorted(plans.items())}
    form = Decision.with_initial_data(description=_description(change, plans, page, hours))
    answer = suspend_flow_run(
        wait_for_input=form, timeout=int(hours * _HOUR), key=_key(change.commit, hashes, files), _sync=True
    )  # type: ignore[call-overload]  # Prefect's own switch, which its overloads leave out
    return Approval(
        approver=answer.approver.strip(),
        decision=answer.decision,
        reason=answer.reason.strip(),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=change.commit,
        plans=hashes,
    )


def _key(commit: str, hashes: Mapping[str, str], files: Mapping[str, str]) -> str:
    """What the answer is bound to."""
    bound = json.dumps([commit, hashes, dict(files)], sort_keys=True)
    return hashlib.sha256(bound.encode()).hexdigest()[:40]


def _description(change: Change, plans: Mapping[str, UnitPlan], page: str, hours: float) -> str:
    lines = [f"**{change.environment}** at commit `{change.commit[:12]}` would change:", ""]
    for unit, plan in list(plans.items())[:_SHOWN]:
        counts = ", ".join(f"{count} to {action}" for action in ACTIONS if (count := plan.count(action)))
        lines.append(f"- {escape(unit)}: {counts or 'outputs only'} (`{plan.hash[:12]}`)")
    if len(plans) > _SHOWN:
        lines.append(f"- … and {len(plans) - _SHOWN} more")
    where = f"[Read the plans]({page}) first. " if page else "Read the plans in the run's artifacts first. "
    return "\n".join(
        [*lines, "", f"{where}Nothing is applied before your answer; after {hours:g} hours the run fails."]
    )
