"""What smoke leaves for people: a table of all URLs, and of each that failed all that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symphony.change import Change
from symphony.markdown import Link, escape, fence
from symphony.models import Probe
from tasks.answer import Answer
from tasks.artifacts import key_of, table
from tasks.chart_tests import ChartTest

_LINES = 10
_WIDTH = 200


@dataclass(frozen=True)
class Failure:
    """A URL that did not answer as it should.

    Attributes:
        probe: What came of it.
        answer: Its last answer.
        behind: What lies behind it.
    """

    probe: Probe
    answer: Answer
    behind: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """URL, problem, and the Service behind it, in one clause."""
        seen = f" ({self.behind[0]})" if self.behind else ""
        return f"{self.probe.url}: {self.probe.problem.rstrip('.')}{seen}"

    @property
    def page(self) -> str:
        """All that is known of it, as Markdown."""
        lines = [f"#### {escape(self.probe.url)}", "", escape(self.probe.problem), ""]
        if self.answer.status is not None:
            head = [f"status {self.answer.status}", *(f"{name}: {value}" for name, value in self.answer.headers)]
            body = self.answer.body.decode(errors="replace").splitlines()[:_LINES]
            lines += [fence("\n".join([*head, "", *(line[:_WIDTH] for line in body)])), ""]
        return "\n".join([*lines, *(f"- {escape(one)}" for one in self.behind)])


def report(change: Change, probes: Sequence[Probe], tests: Sequence[ChartTest], failures: Sequence[Failure]) -> None:
    """Leave the table with the run."""
    rows: list[dict[str, object]] = [
        {
            "application": one.application,
            "URL": Link(one.url, one.url),
            "status": one.status if one.status is not None else "none",
            "p50 ms": one.milliseconds if one.milliseconds is not None else "",
            "p95 ms": one.p95 if one.p95 is not None else "",
            "version": one.version,
            "result": one.problem or one.warning or one.note or "good",
        }
        for one in probes
    ]
    rows += [
        {
            "application": one.application,
            "URL": f"test pod {one.name}",
            "status": "Failed" if one.problem else "Succeeded",
            "p50 ms": round(one.seconds * 1000),
            "p95 ms": "",
            "version": "",
            "result": one.problem or "good",
        }
        for one in tests
    ]
    shown = "\n\n".join([*(one.page for one in failures), *(one.page for one in tests if one.problem)])
    table(key_of("smoke", change.environment), f"URLs of {change.environment}", rows, shown)
