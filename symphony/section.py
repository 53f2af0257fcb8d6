"""What sections of ``symphony.yaml`` are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
"""A DNS label of at most 40 characters (RFC 1123), so that it fits every name made of it."""

Seconds = Annotated[float, Field(gt=0, le=24 * 3600)]


class Model(BaseModel):
    """A frozen section that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
