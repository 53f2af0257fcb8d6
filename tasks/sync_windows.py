"""Sync windows: when a project of Argo CD lets its applications be synced.

The rules are Argo CD's own (https://argo-cd.readthedocs.io/en/stable/user-guide/sync_windows/): a deny window that is
open holds; where there are allow windows, one of them must be open. A sync by hand passes windows with `manualSync`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from tasks.kubernetes import Object

_PART = re.compile(r"(\d+(?:\.\d+)?)(h|m(?!s)|s)")
_UNITS = {"h": "hours", "m": "minutes", "s": "seconds"}


def holding(project: Object | None, application: Object, *, by_hand: bool = False) -> str:
    """The sync window that holds an application now, as a clause; empty where none does.

    Args:
        project: The AppProject it is in; None where there is none.
        application: The Application.
        by_hand: Whether somebody asks for the sync, so that it is no automatic one.
    """
    windows = ((project or {}).get("spec") or {}).get("syncWindows") or []
    return held([one for one in windows if _matches(one, application)], datetime.now(UTC), by_hand=by_hand)


def held(windows: Iterable[Object], now: datetime, *, by_hand: bool) -> str:
    """The window among those that match which holds a sync at a moment, as a clause; empty where none does."""
    allow = [one for one in windows if one.get("kind") == "allow"]
    deny = [one for one in windows if one.get("kind") == "deny" and _open(one, now)]
    if deny and not (by_hand and all(one.get("manualSync") for one in deny)):
        return f"a sync window of its project holds it: {_told(deny[0])}; deploy again once it is over"
    if not deny and allow and not any(_open(one, now) for one in allow):
        if by_hand and all(one.get("manualSync") for one in allow):
            return ""
        return f"it may be synced only in a sync window of its project, and none is open: {_told(allow[0])}"
    return ""


def _matches(window: Object, application: Object) -> bool:
    destination = application["spec"].get("destination") or {}
    clusters = [destination.get("server"), destination.get("name")]
    found = [
        _any(window.get("applications"), [application["metadata"]["name"]]),
        _any(window.get("namespaces"), [destination.get("namespace")]),
        _any(window.get("clusters"), clusters),
    ]
    named = [one for one in found if one is not None]
    return all(named) if window.get("andOperator") and named else any(named)


def _any(patterns: list[str] | None, names: Iterable[str | None]) -> bool | None:
    """Whether a name matches; None where the window names none of the kind."""
    if not patterns:
        return None
    return any(fnmatch.fnmatchcase(name, pattern) for name in names if name for pattern in patterns)


def _open(window: Object, now: datetime) -> bool:
    """Whether the window began less than its duration ago; one that cannot be read is taken for open."""
    zone = ZoneInfo(window.get("timeZone") or "UTC")
    length = timedelta()
    for count, unit in _PART.findall(str(window.get("duration", ""))):
        length += timedelta(**{_UNITS[unit]: float(count)})
    try:
        begun = next(CronSim(str(window.get("schedule", "")), now.astimezone(zone) - length))
    except (CronSimError, StopIteration):
        return True
    return begun <= now


def _told(window: Object) -> str:
    zone = window.get("timeZone") or "UTC"
    return f"{window.get('kind')} {window.get('schedule')!r} for {window.get('duration')} ({zone})"
