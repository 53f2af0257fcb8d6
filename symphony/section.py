"""What sections of ``symphony.yaml`` are made of."""

from __future__ import annotations

import re
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
    # What begins with a dash would be an option of the tools that it is handed to, and a line end another line.
    if path.startswith("-") or not path.isprintable():
        raise ValueError("must not begin with a dash, and have printable characters alone")
    return str(pure)


RepositoryPath = Annotated[str, AfterValidator(_inside)]
"""A POSIX path relative to the repository's root that cannot leave it."""


_SECRET = re.compile(r"https?://[^/]*@|ssh://[^/]*:[^/]*@", re.IGNORECASE)


def _without_secret(remote: str) -> str:
    if _SECRET.match(remote):
        # It would stand in the process list, in what Git says when it fails, and in what Argo CD is told.
        raise ValueError("must not have a login in it; Git's credential helper knows that")
    return remote


Remote = Annotated[
    str, StringConstraints(pattern=r"^(https?://|ssh://|git@|file:///)\S+$"), AfterValidator(_without_secret)
]
"""URL of a Git remote, without a login."""


class Model(BaseModel):
    """A frozen section that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
