"""What has moved away from what Git says: one finding a thing, the same from run to run for as long as it stands."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

from pydantic import Field

from symphony.models import Fact

Area = Literal["infrastructure", "cluster", "images", "access"]


class Finding(Fact):
    """One thing that is not as it should be."""

    area: Area
    kind: Literal["drift", "pending", "unknown", "stray"] = Field(
        description="Changed outside; committed but not applied; could not be looked at; belongs to nothing."
    )
    where: str = Field(description="The unit or the application; the namespace of what belongs to none.")
    what: str = Field(description="The resource within it.")
    told: str = Field(default="", description="How it differs, in a clause or a line each, sensitive values masked.")
    since: str = Field(default="", description="When a run found it first, UTC, ISO 8601.")

    @property
    def identity(self) -> str:
        """What stays the same from run to run, also where how far it has moved does not."""
        return f"{self.area}/{self.kind}/{self.where}/{self.what}"


class Report(Fact):
    """What stands after a look at an environment, and what of it is news."""

    standing: tuple[Finding, ...] = ()
    found: tuple[Finding, ...] = ()
    cleared: tuple[Finding, ...] = ()


def compare(before: Iterable[Finding], now: Iterable[Finding], unseen: Collection[tuple[Area, str]], at: str) -> Report:
    """Tell old findings from new ones and from those that are gone.

    Args:
        before: What stood after the last look.
        now: What this look found.
        unseen: Where it could not look, as area and unit or application (empty for all of the area): what stood there
            is taken to stand still.
        at: When this look was, UTC, ISO 8601.
    """
    old = {one.identity: one for one in before}
    new = {one.identity: one for one in now}
    standing = [one.model_copy(update={"since": old[key].since if key in old else at}) for key, one in new.items()]
    gone = [one for key, one in old.items() if key not in new]
    hidden = [one for one in gone if {(one.area, one.where), (one.area, "")} & set(unseen) and one.kind != "unknown"]
    return Report(
        standing=tuple(sorted((*standing, *hidden), key=lambda one: one.identity)),
        found=tuple(one for one in standing if one.identity not in old),
        cleared=tuple(one for one in gone if one not in hidden),
    )
