"""How images are built."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from symphony.section import Model, Seconds

SecretReference = Annotated[str, StringConstraints(pattern=r"^(env://[A-Za-z_][A-Za-z0-9_]*|/[\w./-]+)$")]
"""Where the worker finds a secret: in a variable, or in a file by its whole path."""
Platform = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+/[a-z0-9]+(/v[0-9]+)?$")]
"""Operating system, architecture and variant, as the OCI image specification names them."""


class Build(Model):
    """How images are built."""

    builder: Literal["engine", "buildkit"] = Field(
        default="engine",
        description="`engine`: the Docker engine's own; `buildkit`: BuildKit, driven by buildx on the worker's PATH.",
    )
    address: str | None = Field(
        default=None,
        pattern=r"^(unix|tcp|docker-container|kube-pod|ssh)://\S+$",
        description="Where BuildKit listens; the worker's BUILDKIT_HOST by default.",
    )
    cache: str | None = Field(
        default=None,
        pattern=r"^(\{environment\}/)?[a-z0-9]+([._/-][a-z0-9]+)*$",
        description="ECR repository with mutable tags that BuildKit keeps its caches in; none by default.",
    )
    parallel: int = Field(default=4, ge=1, le=64, description="Images that a run builds side by side.")
    timeout: Seconds = Field(default=1800, description="Seconds that one build, or one push, may take.")
