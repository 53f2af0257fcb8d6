"""How images are built."""

from __future__ import annotations

from pydantic import Field

from symphony.section import Model, Seconds


class Build(Model):
    """How images are built."""

    parallel: int = Field(default=4, ge=1, le=64, description="Images that a run builds side by side.")
    timeout: Seconds = Field(default=1800, description="Seconds that one build, or one push, may take.")
