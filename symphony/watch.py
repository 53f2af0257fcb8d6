"""How new images of an application are chosen in ECR."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator
from semantic_version import NpmSpec

from symphony.section import Model

Policy = Literal["semver", "newest-build", "alphabetical", "digest"]
Pattern = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._*?\[\]!-]{1,128}$")]
"""A tag with the wildcards of a shell: ``*``, ``?``, ``[abc]``, ``[!abc]``."""


class Watch(Model):
    """Which of the images in an application's repository an environment runs."""

    policy: Policy = Field(
        description="`semver`: the highest version within `constraint`; `newest-build`: what was pushed last; "
        "`alphabetical`: the last tag in the order of characters; `digest`: what `tag` names at present."
    )
    constraint: str = Field(
        default="*",
        description="Range of versions as npm writes it, such as ^1.2 or >=1.2 <2; prereleases where it names one.",
    )
    tag: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$", description="The tag that moves, of `digest`."
    )
    allow: tuple[Pattern, ...] = Field(default=(), description="Tags that may be taken; all by default.")
    ignore: tuple[Pattern, ...] = Field(default=(), description="Tags that are never taken.")
    platform: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$",
        description="An image must run on it, such as linux/amd64; not asked by default.",
    )

    @field_validator("constraint")
    @classmethod
    def _range(cls, constraint: str) -> str:
        try:
            NpmSpec(constraint)
        except ValueError as error:
            raise ValueError("must be a range of versions as npm writes it, such as ^1.2 or >=1.2 <2") from error
        return constraint

    @model_validator(mode="after")
    def _belong(self) -> Watch:
        if self.policy != "semver" and self.constraint != "*":
            raise ValueError(f"has a constraint, which the policy {self.policy} does not know; semver does")
        if (self.policy == "digest") != (self.tag is not None):
            raise ValueError("tag belongs to the policy digest, which needs it, and to no other")
        return self

    def __str__(self) -> str:
        """The policy for people."""
        return " ".join([self.policy, *({"semver": [self.constraint], "digest": [str(self.tag)]}.get(self.policy, []))])
