"""What people read of a provision run: a table of its units, and a page with every plan."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from symphony.markdown import escape
from symphony.models import ACTIONS, Approval, UnitPlan, UnitResult

_PAGE = 180_000
_TEXT = 40_000
_RESOURCES = 200
_NOTE = 600
"""What saying where a whole plan is takes at most."""
_NOWHERE: Mapping[str, str] = {}


def rows(results: Sequence[UnitResult]) -> list[dict[str, object]]:
    """One row a unit: its state, what its plan does to how many resources, and how long it took."""
    return [
        {
            "unit": result.unit,
            "state": _state(result),
            **{action: result.plan.count(action) if result.plan else "" for action in ACTIONS},
            "seconds": round(result.seconds, 1),
            "retries": result.retries or "",
            "reason": result.reason,
        }
        for result in results
    ]


def summary(results: Sequence[UnitResult], unaffected: int, removed: Sequence[str], go_on: str = "") -> str:
    """The run in a few sentences: how many units ended how, what is applied and what not, and how to go on.

    Args:
        results: What became of each affected unit.
        unaffected: How many units were left alone.
        removed: Units that are no longer in the tree.
        go_on: The command that applies what is not applied.
    """
    states = Counter(_state(result) for result in results)
    told = ", ".join(f"{count} {state}" for state, count in states.items()) or "No unit is affected"
    lines = [f"{told}; {unaffected} not affected." if unaffected else f"{told}."]
    if missing := [result.unit for result in results if result.state in ("planned", "failed", "held back")]:
        applied = ", ".join(result.unit for result in results if result.state in ("applied", "destroyed")) or "nothing"
        lines.append(f"Applied: {applied}. Not applied: {', '.join(missing)}.")
        lines.append(f"To go on: {go_on}" if go_on else "")
    if again := ", ".join(f"{result.unit} {times(result.retries)}" for result in results if result.retries):
        lines.append(
            f"Tried again, for what can pass by itself (throttling, a busy lock, the network, a 5xx): {again}."
        )
    if removed:
        names = ", ".join(removed)
        lines.append(
            f"No longer in the tree, and not destroyed: {names}. What they made still exists; to destroy it, start "
            f"provision with destroy_removed."
        )
    return "\n\n".join(line for line in lines if line)


def page(  # noqa: PLR0913, PLR0917 - the facts of the page
    title: str,
    results: Sequence[UnitResult],
    unaffected: int,
    removed: Sequence[str],
    go_on: str = "",
    whole: Mapping[str, str] = _NOWHERE,
) -> str:
    """The run as Markdown: the summary first, then each unit folded, its whole plan within, cut to a readable size.

    Args:
        title: Heading.
        results: What became of each affected unit.
        unaffected: How many units were left alone.
        removed: Units that are no longer in the tree.
        go_on: The command that applies what is not applied.
        whole: Where the whole text of a plan is that is cut here, as a sentence, by unit.
    """
    told = summary(results, unaffected, removed, go_on).split("\n\n")
    parts = [part for part, _ in _folded(results, whole)]
    return "\n\n".join([f"## {escape(title)}", *(escape(line) for line in told), *parts])


def cut(results: Sequence[UnitResult]) -> list[UnitResult]:
    """Those whose plan is too long to stand whole on the page."""
    notes = {result.unit: "x" * _NOTE for result in results}
    return [result for result, (_, is_cut) in zip(results, _folded(results, notes), strict=True) if is_cut]


def _folded(results: Sequence[UnitResult], whole: Mapping[str, str]) -> Iterator[tuple[str, bool]]:
    """Each unit's part of the page, and whether its plan is cut there."""
    room = _PAGE
    for result in results:
        note = whole.get(result.unit, "")
        is_long = _is_long(result.plan)
        part = _fold(result, note if is_long else "")
        if full := len(part) > room:
            left_out = f"{_headline(result)}; its plan is left out here, since the page is full. {note}"
            part = f"- {escape(left_out)}"
        room -= len(part)
        yield part, is_long or full


def times(count: int) -> str:
    """A number of times, in words."""
    return "once" if count == 1 else f"{count} times"


def _is_long(plan: UnitPlan | None) -> bool:
    return plan is not None and (len(plan.text) > _TEXT or len(plan.changes) > _RESOURCES)


def _fold(result: UnitResult, note: str) -> str:
    """One HTML block without a line end: Prefect's UI folds nothing that Markdown sees as several blocks."""
    head = _headline(result)
    inside: list[str] = []
    if result.reason:
        inside.append(f"<p>{_html(result.reason)}</p>")
    if result.approval:
        inside.append(f"<p>{_html(_approved(result.approval))}</p>")
    if result.plan and not result.plan.empty:
        inside += [_resources(result.plan), _text(result.plan)]
    if note:
        inside.append(f"<p>{_html(note)}</p>")
    if not inside:
        return f"- {escape(head)}"
    return f"<details><summary>{_html(head)}</summary>{''.join(inside)}</details>"


def _approved(approval: Approval) -> str:
    word = "Approved" if approval.decision == "approve" else "Refused"
    return f"{word} by {approval.approver} at {approval.at}{f': {approval.reason}' if approval.reason else '.'}"


def _state(result: UnitResult) -> str:
    return f"{result.state}, provisional" if result.plan and result.plan.provisional else result.state


def _html(text: str) -> str:
    return html.escape(text, quote=False).replace("\n", "&#10;")


def _headline(result: UnitResult) -> str:
    plan, told = result.plan, [_state(result)]
    if plan is not None and not plan.empty:
        told += [f"{count} to {action}" for action in ACTIONS if (count := plan.count(action))] or ["outputs only"]
    if result.retries:
        told.append(f"tried again {times(result.retries)}")
    return f"{result.unit}: {', '.join(told)}"


def _resources(plan: UnitPlan) -> str:
    lines = [f"{change.action} {change.address}" for change in plan.changes[:_RESOURCES]]
    if len(plan.changes) > _RESOURCES:
        lines.append(f"… and {len(plan.changes) - _RESOURCES} more")
    lines.extend(f"output {name}" for name in plan.outputs)
    return f"<ul>{''.join(f'<li>{_html(line)}</li>' for line in lines)}</ul>"


def _text(plan: UnitPlan) -> str:
    text = plan.text
    if len(text) > _TEXT:
        text = f"{text[:_TEXT]}\n… cut here: the plan has {len(plan.text):,} characters."
    return f"<pre>{_html(text)}</pre>"
