"""What an environment's cluster needs before applications can run in it: who may use it, and Helm releases."""

from __future__ import annotations

import re

from pydantic import Field, JsonValue, model_validator

from symphony.section import Model, Name, RepositoryPath, Seconds

_OCI = re.compile(r"^oci://[^\s]+$")
_FOLDER = re.compile(r"^[\w.-]+(/[\w.-]+)*$")


class AccessEntry(Model):
    """A role of AWS that may use an EKS cluster, as ``aws-auth`` has it."""

    role: str = Field(
        pattern=r"^(arn:aws[a-z-]*:iam::\d{12}:role/\S+|\{[a-z0-9][\w./-]*\.[A-Za-z_]\w*\})$",
        description="ARN of the role, or `{unit.output}` for an output of a Terragrunt unit.",
    )
    username: str = Field(pattern=r"^\S+$", description="Name it has in the cluster.")
    groups: tuple[str, ...] = Field(default=(), description="Groups it is in there, which RBAC binds to.")


class Addon(Model):
    """One Helm release."""

    chart: str = Field(description="Folder of this repository, oci:// address, or the name of a chart in `repository`.")
    repository: str | None = Field(
        default=None, pattern=r"^https?://\S+$", description="Helm repository that has the chart."
    )
    version: str | None = Field(
        default=None,
        pattern=r"^v?\d+\.\d+\.\d+[\w.+-]*$",
        description="Exact version of the chart; a folder has its own.",
    )
    namespace: Name
    files: tuple[RepositoryPath, ...] = Field(
        default=(), description="Value files of this repository, later ones winning."
    )
    values: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="Values that win over the files; `{unit.output}` stands for an output of a Terragrunt unit.",
    )
    after: str | None = Field(
        default=None,
        pattern=r"^[\w.-]+(/[\w.-]+)*$",
        description="Terragrunt unit that has to be applied before, such as the cluster's.",
    )
    timeout: Seconds = Field(default=300, description="Seconds until it has to be ready; then it is rolled back.")

    @model_validator(mode="after")
    def _one_kind_of_chart(self) -> Addon:
        if self.folder:
            if self.version or ".." in self.chart.split("/") or not _FOLDER.match(self.chart):
                raise ValueError("chart is a folder inside the repository, which has its version in its Chart.yaml")
        elif self.version is None:
            raise ValueError("version is missing; a chart from elsewhere is taken at an exact version alone")
        if self.repository and not re.fullmatch(r"[\w.-]+", self.chart):
            raise ValueError("chart must be a plain name in a repository")
        return self

    @property
    def folder(self) -> bool:
        """Whether the chart is in the repository."""
        return self.repository is None and not _OCI.match(self.chart)
