"""What Git keeps: a record of each release, promotion, rollback and watch, and a hold on what was rolled back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from symphony.models import Approval, Commit, Deployed, Fact, Image, Probe, UnitResult

Kind = Literal["release", "promote", "rollback", "watch"]


class ReleaseRecord(Fact):
    """What Git keeps of a release, schema versioned: each version reads those before it."""

    schema_version: Literal[1, 2] = 2
    kind: Kind = "release"
    environment: str
    commit: Commit
    base: str = Field(default="", description="Commit of the last release that succeeded; empty for the first.")
    state: Literal["succeeded", "failed", "superseded", "held"]
    reason: str = ""
    who: str = Field(default="", description="Who asked for it; of a release, who wrote its commit.")
    why: str = Field(default="", description="Why; of a release, its commit's subject.")
    committed: str = Field(default="", description="When the commit was made, ISO 8601.")
    origin: str = Field(default="", description="Name of the record whose tree was promoted or gone back to.")
    undoes: dict[str, str] = Field(default_factory=dict, description="Of a rollback: the record each application left.")
    left: dict[str, str] = Field(default_factory=dict, description="Applications that were left alone, and why.")
    run: str = Field(description="Prefect flow run id.")
    started: str = Field(description="UTC, ISO 8601.")
    seconds: float
    stages: dict[str, float] = Field(default_factory=dict, description="Seconds of each stage that was entered.")
    began: dict[str, str] = Field(default_factory=dict, description="When each stage began, UTC, ISO 8601.")
    approved_by: str = ""
    approvals: tuple[Approval, ...] = Field(default=(), description="What people decided on plans and deploys.")
    removed: tuple[str, ...] = ()
    units: tuple[UnitResult, ...] = ()
    images: tuple[Image, ...] = ()
    deployed: Deployed | None = None
    probes: tuple[Probe, ...] = ()

    @property
    def name(self) -> str:
        """What the record is called: when, which commit, which run."""
        stamp = self.started.replace(":", "").replace("-", "")
        return f"{stamp}-{self.commit[:12]}-{self.run[:8] or 'by-hand'}"

    @property
    def ended(self) -> datetime:
        """When its last stage ended."""
        return datetime.fromisoformat(self.started) + timedelta(seconds=self.seconds)

    @property
    def passed(self) -> bool:
        """Whether it moved applications and every URL answered: its tree may be promoted, and gone back to."""
        return self.state == "succeeded" and self.deployed is not None


class Hold(Fact):
    """What keeps an application of an environment where it is, until it is lifted."""

    schema_version: Literal[1] = 1
    environment: str
    application: str
    who: str
    why: str
    since: str = Field(description="UTC, ISO 8601.")
    release: str = Field(default="", description="Name of the record that it was rolled back to; empty by hand.")
    leaves: str = Field(default="", description="Name of the record that it was rolled back from.")
    run: str = Field(default="", description="Run of the rollback that put it there; empty by hand.")

    def __str__(self) -> str:
        """The hold as a clause for people."""
        return f"held since {self.since} by {self.who or 'somebody'}: {self.why or 'no reason given'}"
