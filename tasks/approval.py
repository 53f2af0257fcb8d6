"""Asking a person about plans and deploys: the run is suspended, so that waiting holds no process, slot or lock."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Literal

from prefect.context import FlowRunContext
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from pydantic import Field

from symphony.change import Change
from symphony.errors import BadInputError, DeployError
from symphony.markdown import escape
from symphony.models import ACTIONS, Approval, UnitPlan

ApprovalHours = Annotated[float, Field(gt=0, le=30 * 24)]
"""How long a run waits for a person; its saved plans are kept a little longer than the longest."""
APPROVAL_HOURS = 24
"""Where nobody says how long."""
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
    answer = _answer(change, [hashes, dict(files)], [_told(plan) for plan in plans.values()], page, hours)
    return answer.model_copy(update={"plans": hashes})


@dataclass
class Consent:
    """What a run needs before it may change what runs in a protected environment.

    Attributes:
        beforehand: Who approved before the run began; blank where nobody did.
        hours: How long to wait for an answer.
        answers: What was answered, as far as anybody was asked.
        always: Whether it is needed in an environment that is not protected too.
    """

    beforehand: str = ""
    hours: float = APPROVAL_HOURS
    answers: list[Approval] = field(default_factory=list)
    always: bool = False

    def obtain(self, change: Change, changed: Mapping[str, str], page: str) -> str:
        """Have what a deploy changes approved; the run is suspended where a person has to be asked, as in `ask`.

        Args:
            change: The commit being released.
            changed: Hash of each application's changes; an answer holds for these alone.
            page: Address of the page with the changes; empty where there is none.

        Returns:
            Who approved; empty where nobody has to.

        Raises:
            BadInputError: Nobody has approved, and the run cannot ask since it is of no deployment.
            DeployError: It was refused.
        """
        if not (change.target.protected or self.always) or not changed:
            return ""
        if by := " ".join(self.beforehand.split()):
            return by
        if not can_ask():
            why = "protected" if change.target.protected else "to be put back"
            raise BadInputError(
                f"The environment {change.environment!r} is {why} and nobody has approved what changes in "
                f"{', '.join(sorted(changed))}; start the run again with approved_by set to who approves."
            )
        told = [f"- {escape(name)} (`{hash_[:12]}`)" for name, hash_ in sorted(changed.items())]
        answer = _answer(change, ["deploy", dict(changed)], told, page, self.hours)
        self.answers.append(answer.model_copy(update={"manifests": dict(changed)}))
        if answer.decision == "refuse":
            why = f": {answer.reason.rstrip('.')}" if answer.reason else ""
            raise DeployError(
                f"{answer.approver} refused the deploy to {change.environment}{why}. Nothing that runs was changed."
            )
        return answer.approver


def _answer(change: Change, bound: object, told: Sequence[str], page: str, hours: float) -> Approval:
    """Suspend the run with a form, or take up what was answered to just this."""
    key = hashlib.sha256(json.dumps([change.commit, bound], sort_keys=True).encode()).hexdigest()[:40]
    form = Decision.with_initial_data(description=_description(change, told, page, hours))
    answer = suspend_flow_run(wait_for_input=form, timeout=int(hours * _HOUR), key=key, _sync=True)  # type: ignore[call-overload]  # Prefect's own switch, which its overloads leave out
    return Approval(
        approver=" ".join(answer.approver.split()),
        decision=answer.decision,
        reason=answer.reason.strip(),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=change.commit,
    )


def _told(plan: UnitPlan) -> str:
    counts = ", ".join(f"{count} to {action}" for action in ACTIONS if (count := plan.count(action)))
    return f"- {escape(plan.unit)}: {counts or 'outputs only'} (`{plan.hash[:12]}`)"


def _description(change: Change, told: Sequence[str], page: str, hours: float) -> str:
    more = [f"- … and {len(told) - _SHOWN} more"] if len(told) > _SHOWN else []
    where = f"[Read what changes]({page}) first." if page else "Read what changes in the run's artifacts first."
    return "\n".join(
        [
            f"**{change.environment}** at commit `{change.commit[:12]}` would change:",
            "",
            *told[:_SHOWN],
            *more,
            "",
            f"{where} Nothing is changed before your answer; after {hours:g} hours the run fails.",
        ]
    )
