"""The flow ``drift``: what of an environment has moved away from what Git says, told once and until it is cleared."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.layer import SideBySide
from flows.names import run_name
from symphony.change import Change
from symphony.config import Name
from symphony.drift import Area, Finding, Report
from symphony.markdown import escape, fence
from tasks.access_drift import look_at_access
from tasks.approval import can_ask
from tasks.artifacts import key_of, markdown
from tasks.change import as_released, open_change
from tasks.cluster_drift import look_at_cluster
from tasks.desired import image_of, read_desired
from tasks.failure import show_failure
from tasks.findings import keep_findings, tell
from tasks.image_drift import look_at_images
from tasks.live import live_of
from tasks.overview import overview_after
from tasks.reconcile import Reconcile, reconcile
from tasks.shared_provider import SharedProviders
from tasks.unit_drift import look_at_unit
from tasks.units import affected, find_units

Unseen = set[tuple[Area, str]]


@flow(
    name="drift",
    flow_run_name=run_name("drift"),
    task_runner=ThreadPoolTaskRunner(max_workers=64),  # type: ignore[arg-type]
    on_failure=[show_failure],
)
def drift(environment: Name) -> Any:
    """Look at units, cluster, images and access of an environment, and tell what is not as Git says. Changes nothing.

    Args:
        environment: Environment of symphony.yaml to look at.
    """
    with open_change(environment) as change, overview_after(change):
        report = look(change)
        if not report.standing:
            return Completed(message=f"Nothing of {environment} has moved.")
        news = f"{len(report.found)} new, {len(report.cleared)} cleared"
        return Completed(name="Drift", message=f"{_count(report.standing)} in {environment} ({news}).")


def look(change: Change) -> Report:
    """Look at an environment, keep what was found, and tell what is new and what is gone.

    Args:
        change: The environment, at the commit that it would be released at.

    Returns:
        What stands.

    Raises:
        SymphonyError: The remote, or what is kept in it, cannot be read.
    """
    desired = read_desired(change.mirror, change.environment)
    areas: tuple[tuple[Area, Any], ...] = (
        ("cluster", look_at_cluster.submit(change, desired)),
        ("images", look_at_images.submit(change, desired)),
        ("access", look_at_access.submit(change, [image_of(entry) for entry in desired.values()])),
    )
    found, unseen = look_at_units(change)
    for area, looking in areas:
        seen = looking.result(raise_on_failure=False)
        if isinstance(seen, BaseException):
            unseen.add((area, ""))
            found.append(_unknown(area, change.environment, seen))
        else:
            found += seen
    report = keep_findings(change.mirror, change.environment, found, unseen, _now())
    tell(change.environment, report)
    runs = reconcile(change, report.standing) if change.target.reconcile and can_ask() else ()
    markdown(key_of("drift", change.environment), page(change, report, runs), f"Drift of {change.environment}")
    for one in report.found:
        get_run_logger().warning("%s: %s: %s", one.where, one.what, one.told)
    return report


def look_at_units(change: Change) -> tuple[list[Finding], Unseen]:
    """Findings of the units, and those that could not be looked at.

    Args:
        change: The environment, at the commit that it would be released at.
    """
    with as_released(change) as applied:
        live = live_of(applied)
        units = find_units(live)
        side_by_side = SideBySide(live, change.configuration.infrastructure.parallelism)
        with SharedProviders() as providers:
            looked = side_by_side.run(look_at_unit, units, lambda _: providers)
    found: list[Finding] = []
    unseen: Unseen = set()
    for path, outcome in looked.items():
        if isinstance(outcome, BaseException):
            unseen.add(("infrastructure", path))
            found.append(_unknown("infrastructure", path, outcome))
        else:
            found += outcome
    if change.changed:
        now = live_of(change)
        found += [
            Finding(
                area="infrastructure",
                kind="pending",
                where=unit.path,
                what="commit",
                told=f"{change.commit[:12]} changes it, and is not released",
            )
            for unit in affected(now, find_units(now), change.changed)
        ]
    return found, unseen


def _unknown(area: Area, where: str, error: BaseException) -> Finding:
    return Finding(area=area, kind="unknown", where=where, what="look", told=str(error))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _count(findings: tuple[Finding, ...]) -> str:
    return f"{len(findings)} finding{'s' * (len(findings) != 1)}"


def page(change: Change, report: Report, runs: Sequence[Reconcile] = ()) -> str:
    """What stands, for people: a line where nothing has moved; what is new comes first."""
    cleared = [f"- {escape(one.where)}: {escape(one.what)}, stood since {_day(one.since)}" for one in report.cleared]
    back = ["", "Cleared:", "", *cleared] if cleared else []
    if not report.standing:
        return "\n".join([f"Nothing of {change.environment} has moved.", *back])
    news = {one.identity for one in report.found}
    lines = [f"# {_count(report.standing)} in {change.environment}, {len(news)} new", ""]
    lines += [f"- {_told(run)}" for run in runs] + ([""] if runs else [])
    lines += ["| where | what | how | since (UTC) |", "| --- | --- | --- | --- |"]
    for one in sorted(report.standing, key=lambda one: one.identity not in news):
        since = "**new**" if one.identity in news else _day(one.since)
        told = one.told.splitlines() or [""]
        how = escape(told[0]) + (f" (and {len(told) - 1} more, below)" if len(told) > 1 else "")
        lines.append(f"| {one.area}: {escape(one.where)} | {escape(one.what)} | **{one.kind}**: {how} | {since} |")
    for one in report.standing:
        if "\n" in one.told:
            lines += ["", f"**{escape(one.where)}: {escape(one.what)}**", "", fence(one.told)]
    return "\n".join([*lines, *back])


def _told(run: Reconcile) -> str:
    where = f"[{escape(run.name)}]({run.link})" if run.link else escape(run.name)
    waits = ": it waits for an answer" if run.state == "Suspended" else f" is {run.state}"
    return f"{run.flow} of {escape(', '.join(run.where))} puts back what moved: {where}{waits}"


def _day(at: str) -> str:
    return at[:16].replace("T", " ")
