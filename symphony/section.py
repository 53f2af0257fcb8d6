"""What sections of ``symphony.yaml`` are made of."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
"""A DNS label of at most 40 characters (RFC 1123), so that it fits every name made of it."""

Seconds = Annotated[float, Field(gt=0, le=24 * 3600)]


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not path.strip():
        raise ValueError("must be a path inside the repository, without '..'")
    return str(pure)


RepositoryPath = Annotated[str, AfterValidator(_inside)]
"""A POSIX path relative to the repository's root that cannot leave it."""


class Model(BaseModel):
    """A frozen section that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
