"""The four DORA figures of an environment, out of its release records (https://dora.dev/guides/dora-metrics/)."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from datetime import datetime, timedelta

from symphony.models import Fact
from symphony.record import ReleaseRecord

_DAYS_SHOWN = 2


class Figures(Fact):
    """How an environment was delivered to in some days.

    Attributes:
        environment: Name in ``symphony.yaml``.
        days: Days looked back.
        deployments: Releases and promotions that went live.
        deployments_per_day: Their number a day.
        lead_seconds: Median from the commit to live; None without a deployment.
        failures: Of all that came to a deploy, those that failed or were rolled back.
        failure_rate: Their share; None where nothing came to a deploy.
        restore_seconds: Median from a failure (or, of what was rolled back, from going live) to the next good state.
    """

    environment: str
    days: float
    deployments: int
    deployments_per_day: float
    lead_seconds: float | None
    failures: int
    failure_rate: float | None
    restore_seconds: float | None

    @property
    def rows(self) -> list[dict[str, object]]:
        """The figures as a table for people."""
        rate = "none yet" if self.failure_rate is None else f"{self.failure_rate:.0%}"
        return [
            {"figure": "deployment frequency", "value": f"{self.deployments_per_day:.2g} a day"},
            {"figure": "lead time for changes", "value": _span(self.lead_seconds)},
            {"figure": "change failure rate", "value": f"{rate} ({self.failures})"},
            {"figure": "time to restore", "value": _span(self.restore_seconds)},
        ]


def figures(records: Iterable[ReleaseRecord], environment: str, now: datetime, days: float = 30) -> Figures:
    """Count an environment's records of the last days.

    Args:
        records: Records, of whatever environment, in any order.
        environment: The environment.
        now: The end of the time looked at.
        days: Its length.
    """
    since = now - timedelta(days=days)
    mine = sorted((one for one in records if one.environment == environment), key=lambda one: one.ended)
    undone = {name for one in mine if one.passed for name in one.undoes.values()}
    mine = [one for one in mine if since <= one.ended <= now]
    tried = [one for one in mine if one.kind != "rollback" and "deploy" in one.stages]
    live = [one for one in tried if one.state == "succeeded"]
    failed = [one for one in tried if one.state == "failed" or one.name in undone]
    counted = len([one for one in tried if one.state in {"succeeded", "failed"}])
    lead = [(one.ended - datetime.fromisoformat(one.committed)).total_seconds() for one in live if one.committed]
    restore = _restored(mine, failed)
    return Figures(
        environment=environment,
        days=days,
        deployments=len(live),
        deployments_per_day=round(len(live) / days, 4),
        lead_seconds=round(statistics.median(lead), 3) if lead else None,
        failures=len(failed),
        failure_rate=round(len(failed) / counted, 4) if counted else None,
        restore_seconds=round(statistics.median(restore), 3) if restore else None,
    )


def _restored(mine: list[ReleaseRecord], failed: list[ReleaseRecord]) -> list[float]:
    """Seconds from each failure to the good state after it; failures in a row are one."""
    names = {one.name: one for one in mine}
    spans, broken = list[float](), list[datetime]()
    for one in mine:
        if one.state == "succeeded":
            broken += [names[name].ended for name in one.undoes.values() if name in names]
            if broken:
                spans.append((one.ended - min(broken)).total_seconds())
            broken = []
        elif one in failed:
            broken.append(one.ended)
    return spans


def _span(seconds: float | None) -> str:
    """A time as people say it."""
    if seconds is None:
        return "none yet"
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= _DAYS_SHOWN * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
