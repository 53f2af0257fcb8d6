from __future__ import annotations

from typing import TYPE_CHECKING

from symphony.drift import Finding, compare

if TYPE_CHECKING:
    from symphony.drift import Area

EARLY, LATE = "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"


def finding(
    what: str, *, where: str = "network", area: Area = "infrastructure", told: str = "", since: str = ""
) -> Finding:
    return Finding(area=area, kind="drift", where=where, what=what, told=told, since=since)


def test_a_finding_keeps_since_when_it_stands_also_where_it_moves_on_and_is_news_once() -> None:
    first = compare((), [finding("vpc", told="a")], (), EARLY)
    assert [one.since for one in first.standing] == [EARLY]
    assert first.found == first.standing
    second = compare(first.standing, [finding("vpc", told="b"), finding("subnet")], (), LATE)
    assert [(one.what, one.told, one.since) for one in second.standing] == [("subnet", "", LATE), ("vpc", "b", EARLY)]
    assert [one.what for one in second.found] == ["subnet"]
    assert second.cleared == ()


def test_what_is_gone_is_cleared_but_not_where_nobody_could_look() -> None:
    old = [
        finding("vpc", since=EARLY),
        finding("rule", where="access", since=EARLY),
        finding("x", area="cluster", since=EARLY),
    ]
    report = compare(old, [], {("infrastructure", "access"), ("cluster", "")}, LATE)
    assert [one.what for one in report.cleared] == ["vpc"]
    assert {(one.what, one.since) for one in report.standing} == {("rule", EARLY), ("x", EARLY)}
    assert report.found == ()


def test_that_a_unit_could_not_be_looked_at_is_cleared_by_another_failure_of_another_unit() -> None:
    unknown = Finding(area="infrastructure", kind="unknown", where="access", what="look", since=EARLY)
    report = compare([unknown], [], {("infrastructure", "network")}, LATE)
    assert report.cleared == (unknown,)
    assert report.standing == ()
