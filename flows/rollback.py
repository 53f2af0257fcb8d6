"""The flow ``rollback``: back to a release that passed its smoke tests, and held there until somebody lifts it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from flows.names import run_name
from flows.rollout import deploy_trees
from flows.stages import ask_urls, recorded
from symphony.change import Change
from symphony.config import Name
from symphony.errors import SupersededError, SymphonyError
from symphony.record import Hold, ReleaseRecord
from tasks.approval import APPROVAL_HOURS, ApprovalHours, Consent
from tasks.change import open_change
from tasks.desired import image_of
from tasks.failure import show_failure
from tasks.holds import lift_holds, place_holds, read_holds
from tasks.lock import locked
from tasks.previous import Goal, check_unmoved, find_goal
from tasks.story import Story

Text = Annotated[str, Field(max_length=500)]


@flow(
    name="rollback",
    flow_run_name=run_name("rollback"),
    task_runner=ThreadPoolTaskRunner(max_workers=8),  # type: ignore[arg-type]
    on_failure=[show_failure],
)
def rollback(  # noqa: PLR0913, PLR0917 - the fields of the run form
    environment: Name,
    applications: list[Name] | None = None,
    release: Text = "",
    who: Text = "",
    why: Text = "",
    action: Literal["go back", "lift the hold"] = "go back",
    approval_hours: ApprovalHours = APPROVAL_HOURS,
) -> Any:
    """Go back to a release that passed its smoke tests, without a build, and hold the applications there.

    What is held, no release moves until the hold is lifted.

    Args:
        environment: Environment of symphony.yaml.
        applications: Applications that go back; all by default.
        release: Name, run or commit of the release to go back to; by default the last one that passed its smoke tests
            before the present one.
        who: Who asks for it; the record and the hold keep it.
        why: Why; the record and the hold keep it.
        action: Go back, or only lift the holds that are there.
        approval_hours: How long it waits for a person who has to merge it, where the environment takes proposals.
    """
    with open_change(environment, "") as change:
        if action == "lift the hold":
            lifted = lift_holds(change.mirror, environment, applications or (), who)
            return Completed(message=f"Lifted in {environment}: {', '.join(lifted) or 'nothing was held'}.")
        try:
            record = roll_back(change, applications or (), release, who=who, why=why, hours=approval_hours)
        except SupersededError as error:
            return Completed(name="Superseded", message=str(error))
        if record is None:
            return Completed(message=f"{environment} is there already; nothing has been changed.")
        names = ", ".join(record.deployed.applications if record.deployed else ())
        return Completed(
            message=f"{names} is back at {record.commit[:12]} in {environment} after {record.seconds:.1f} s, and held; "
            "`symphony lift` takes the hold off."
        )


def roll_back(  # noqa: PLR0913 - the choices of one run
    change: Change,
    applications: Sequence[str] = (),
    release: str = "",
    *,
    who: str = "",
    why: str = "",
    hours: float = APPROVAL_HOURS,
) -> ReleaseRecord | None:
    """Bring the trees of an earlier release back by one new commit, and hold the applications there.

    What was let into the environment then is let in again: no build, no check, no approval stands before it.

    Args:
        change: The environment, opened at what is live.
        applications: Names of those that go back; all by default.
        release: The release to go back to; the last good one before the present by default.
        who: Who asks for it.
        why: Why.
        hours: How long to wait for a person who has to merge it.

    Returns:
        The rollback's record; None where everything is as that release had it.

    Raises:
        BadInputError: There is no such release.
        SupersededError: Somebody moved the applications meanwhile.
        SymphonyError: It does not come up, or a URL does not answer; what was there before is back, and not held.
    """
    goal = find_goal(change, tuple(applications), release)
    if not goal.entries:
        return None
    change = replace(change, commit=goal.record.commit)
    story = Story(change, Consent(hours=hours), kind="rollback", who=who, why=why)
    story.origin, story.undoes = goal.record, goal.undoes
    story.images = tuple(map(image_of, goal.entries))
    with recorded(story), locked(change.environment, goal.applications):
        check_unmoved(change, goal)
        with _held(change, goal, who, why):
            with story.stage("deploy"):
                subject = f"roll back {', '.join(goal.applications)} to {goal.record.name}"
                story.deployed = deploy_trees(change, goal.entries, goal.origin, subject, hours=hours)
            ask_urls(story)
    return story.record()


@contextmanager
def _held(change: Change, goal: Goal, who: str, why: str) -> Iterator[None]:
    """Hold the applications from before they move; where the rollback fails, the holds are again what they were.

    A run that is killed leaves its hold, by which the next one knows where this one went.
    """
    before = read_holds(change.mirror, change.environment)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    holds = [
        Hold(
            environment=change.environment,
            application=name,
            who=who,
            why=why,
            since=now,
            release=goal.record.name,
            leaves=goal.undoes.get(name, ""),
            run=change.run,
        )
        for name in goal.applications
    ]
    place_holds(change.mirror, change.environment, holds)
    try:
        yield
    except SymphonyError:
        lift_holds(change.mirror, change.environment, goal.applications, who)
        if again := [before[name] for name in goal.applications if name in before]:
            place_holds(change.mirror, change.environment, again)
        raise
