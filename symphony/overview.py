"""What runs where: one row an environment and application."""

from __future__ import annotations

from pydantic import Field

from symphony.markdown import Link, escape
from symphony.models import Fact


class Running(Fact):
    """One application in one environment."""

    environment: str
    application: str
    commit: str = Field(default="", description="The commit that the environment has of it; empty where it has none.")
    digest: str = ""
    since: str = Field(default="", description="When its environment's branch got it, UTC, ISO 8601.")
    health: str = Field(default="", description="As Argo CD tells it; `Unknown` with the reason where it does not.")
    url: str = Field(default="", description="The first URL that its last smoke test asked.")
    drift: int = Field(default=0, description="Findings that stand.")
    held: str = Field(default="", description="Who holds it where it is, and why.")
    link: str = Field(default="", description="Its page in Argo CD.")

    @property
    def row(self) -> dict[str, object]:
        """What people read of it, as a row of a table in Prefect's UI."""
        health = self.health + (", held" if self.held else "")
        return {
            "environment": self.environment,
            "application": self.application,
            "version": self.commit[:12] or "not deployed",
            "digest": self.digest.removeprefix("sha256:")[:12],
            "since (UTC)": self.since[:16].replace("T", " "),
            "health": Link(health, self.link) if health and self.link else health,
            "drift": self.drift or "none" if self.commit else "",
            "URL": Link(self.url, self.url) if self.url else "",
        }


class Overview(Fact):
    """What runs where.

    Attributes:
        running: Environments in the order of promotion, and their applications.
        apart: Findings of drift that belong to no application, such as units', by environment.
        at: When it was looked at, UTC, ISO 8601.
    """

    running: tuple[Running, ...]
    apart: dict[str, int]
    at: str

    @property
    def notes(self) -> str:
        """What a reader of the table should know besides, as Markdown."""
        findings = [f"{escape(name)} has {count} of infrastructure or cluster" for name, count in self.apart.items()]
        drift = f"Findings of drift that are no application's: {', '.join(findings)}." if findings else ""
        return "\n\n".join(filter(None, [f"As of {self.at[:16].replace('T', ' ')} UTC.", drift]))
