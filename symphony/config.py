"""``symphony.yaml``, typed: applications, environments, infrastructure and Git.

Every name that reaches a path, a Git ref, a URL or a tool's arguments is checked here, at the edge.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from ruamel.yaml.comments import CommentedMap

from symphony.addons import AccessEntry, Addon
from symphony.build import Build, Platform, SecretReference
from symphony.errors import BadInputError
from symphony.outside import MalformedError, read_yaml
from symphony.section import Model as Model  # noqa: PLC0414 - sections are described by it elsewhere too
from symphony.section import Name as Name  # noqa: PLC0414 - so that callers need one module
from symphony.section import Remote, RepositoryPath, Seconds
from symphony.smoke import Smoke
from symphony.supply_chain import SupplyChain
from symphony.watch import Watch


class Git(Model):
    """Where the code and the desired state live."""

    remote: Remote = Field(description="URL of the remote that Argo CD follows too.")
    main: str = Field(
        default="main", pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", description="Branch whose pushes are released."
    )


class Infrastructure(Model):
    """Where the Terragrunt units are."""

    live: RepositoryPath = Field(default="infra/live", description="Folder with one folder an environment.")
    parallelism: int = Field(default=4, ge=1, le=64, description="Units planned or applied side by side.")


WRITTEN = frozenset({"application", "environment", "chart", "values", "commit", "image"})
"""Values that Symphony gives to every chart itself."""


class Application(Model):
    """One service: where its source, image and chart are."""

    source: RepositoryPath = Field(description="Build context.")
    git: Remote | None = Field(
        default=None,
        description="Another Git repository that holds the source; this one by default.",
    )
    ref: str = Field(
        default="main", pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", description="Branch or tag of that other repository."
    )
    dockerfile: RepositoryPath = Field(default="Dockerfile", description="Relative to the source folder.")
    build_args: dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], str] = Field(
        default_factory=dict
    )
    build_secrets: dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$")], SecretReference] = Field(
        default_factory=dict,
        description="Secrets of `RUN --mount=type=secret`, by id: the worker's env://NAME, or a whole path.",
    )
    platforms: tuple[Platform, ...] = Field(
        default=(), description="Platforms that the image is built for, such as linux/arm64; the builder's by default."
    )
    chart: RepositoryPath = Field(description="Helm chart.")
    repository: str = Field(
        pattern=r"^(\{environment\}/)?[a-z0-9]+([._/-][a-z0-9]+)*$",
        description="ECR repository; `{environment}` stands for the environment's name.",
    )
    values: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="Values of the chart; `{unit.output}` stands for an output of the environment's Terragrunt unit.",
    )
    smoke: Smoke = Field(
        default=Smoke(), description="What its URLs must answer; the annotation symphony.dev/smoke of an Ingress wins."
    )
    watch: dict[Name, Watch] = Field(
        default_factory=dict,
        description="By environment: which image of the repository runs there, whoever pushed it. A release to that "
        "environment brings the chart alone.",
    )

    @field_validator("values")
    @classmethod
    def _free(cls, values: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if taken := sorted(values.keys() & WRITTEN):
            raise ValueError(f"has {', '.join(taken)}, which Symphony writes itself")
        return values


class Aws(Model):
    """The account an environment lives in."""

    account: str = Field(pattern=r"^\d{12}$", description="The only account that may be touched.")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://\S+$",
        description="Another address of the AWS API; a sandbox has one, AWS has none.",
    )
    registry: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9.-]+(:\d+)?$",
        description="Registry host; ECR's own of the account by default.",
    )
    credentials: str = Field(
        default="aws", pattern=r"^[a-z0-9-]+$", description="prefect-aws AwsCredentials block that gives the sessions."
    )

    @property
    def registry_host(self) -> str:
        """Host (and port) that image names begin with."""
        return self.registry or f"{self.account}.dkr.ecr.{self.region}.amazonaws.com"


class Kubernetes(Model):
    """The cluster an environment's applications run in."""

    context: str = Field(pattern=r"^\S+$", description="Context of the kubeconfig.")
    namespace: Name
    access: tuple[AccessEntry, ...] = Field(
        default=(), description="Roles that `provision` lets into an EKS cluster, beside those that are there."
    )


class ArgoApi(Model):
    """Argo CD's own API, for a worker that has no rights in the cluster that Argo CD runs in."""

    address: str = Field(pattern=r"^https?://[^\s/]+[^\s?#]*$", description="Its scheme, host and port.")
    token: str = Field(
        pattern=r"^(env://[A-Za-z_][A-Za-z0-9_]*|/[\w./-]+)$",
        description="Where the worker finds the token of an account: env://NAME, or a file by its whole path.",
    )


class ArgoCD(Model):
    """The Argo CD that rolls an environment out."""

    namespace: Name = "argocd"
    url: str = Field(pattern=r"^https?://\S+$", description="Address that people open; links point to it.")
    timeout: Seconds = Field(default=300, description="Seconds a deploy may take to become Healthy.")
    hook_timeout: Seconds = Field(
        default=300, description="Seconds that one hook may take, such as a migration; then it is ended, and told."
    )
    api: ArgoApi | None = Field(
        default=None, description="Reaches Argo CD by its API with a token; by default through Kubernetes."
    )


class Ingress(Model):
    """How the environment's Ingresses are reached."""

    address: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/]+$",
        description="Scheme, host and port; the load balancer of the Ingress status by default.",
    )
    tls_address: str | None = Field(
        default=None,
        pattern=r"^https://[^\s/]+$",
        description="The same for hosts that are served by TLS; the load balancer by default, or `address`.",
    )
    authority: RepositoryPath | None = Field(
        default=None, description="File of certificates (PEM) that certificates of hosts may go back to besides."
    )
    certificate_days: float = Field(
        default=14,
        ge=0,
        le=365,
        description="A certificate with fewer days left fails a smoke run; a deploy is not undone for it.",
    )
    timeout: Seconds = Field(default=60, description="Seconds the smoke test waits for good answers.")
    catch_all: bool = Field(
        default=False,
        description="Whether hosts that no Ingress names are answered too, such as by a landing page; "
        "smoke makes sure that they are not.",
    )


class Promotion(Model):
    """What a tree must have done in the environment before, until it may be promoted to this one."""

    soak: float = Field(
        default=0,
        ge=0,
        le=30 * 24 * 3600,
        description="Seconds that it must have been live there after its smoke tests.",
    )


class Environment(Model):
    """One place that applications are released to."""

    kind: Literal["sandbox", "aws"]
    protected: bool = Field(default=False, description="Plans and deploys wait for a person's approval.")
    proposals: bool = Field(
        default=False,
        description="For a desired-state branch that Symphony may not push to: each deploy is proposed on a branch of "
        "its own, and the run waits until somebody has merged that.",
    )
    aws: Aws
    kubernetes: Kubernetes
    argocd: ArgoCD
    ingress: Ingress = Ingress()
    promotion: Promotion = Promotion()
    reconcile: tuple[Literal["infrastructure", "cluster"], ...] = Field(
        default=(),
        description="Drift that is put back: by a provision of the units, by a sync of the applications; "
        "each waits for a person's approval first, also where the environment is not protected.",
    )
    supply_chain: SupplyChain = Field(
        default=SupplyChain(), description="SBOM, signature and scan of images; nothing is asked by default."
    )

    addons: dict[Name, Addon] = Field(
        default_factory=dict, description="Helm releases that `provision` installs, in this order, after the units."
    )

    @model_validator(mode="after")
    def _endpoint_only_in_a_sandbox(self) -> Environment:
        if self.kind == "aws" and self.aws.endpoint:
            raise ValueError("aws.endpoint belongs to environments of kind sandbox alone; remove it")
        if self.kind == "sandbox" and not self.aws.endpoint:
            raise ValueError("aws.endpoint is missing; an environment of kind sandbox never speaks to AWS itself")
        return self


class Notifications(Model):
    """Whom Prefect tells, by blocks that somebody made there: a webhook as Slack takes it, or e-mail."""

    blocks: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")], ...] = Field(
        default=(), description="Notification blocks, kind and name, such as slack-webhook/platform."
    )
    drift: bool = Field(default=True, description="Of what has moved in an environment, and of what is back.")
    failures: bool = Field(default=True, description="Of runs that failed, crashed or are late.")


class Configuration(Model):
    """The whole of ``symphony.yaml``."""

    version: Literal[1]
    project: Name
    git: Git
    infrastructure: Infrastructure = Infrastructure()
    build: Build = Build()
    notifications: Notifications = Notifications()
    applications: dict[Name, Application] = Field(min_length=1)
    environments: dict[Name, Environment] = Field(min_length=1, description="In the order of promotion.")

    @model_validator(mode="after")
    def _watched_exist(self) -> Configuration:
        for name, application in self.applications.items():
            if unknown := sorted(application.watch.keys() - self.environments.keys()):
                known = ", ".join(self.environments)
                raise ValueError(f"applications.{name}.watch names {', '.join(unknown)}; there are: {known}")
        return self

    @model_validator(mode="after")
    def _what_the_builder_can(self) -> Configuration:
        for name, application in self.applications.items():
            if self.build.builder == "engine" and (application.build_secrets or application.platforms):
                raise ValueError(
                    f"applications.{name} has build_secrets or platforms, which need `build: {{builder: buildkit}}`"
                )
        return self

    def watched(self, environment: str) -> dict[str, Watch]:
        """The applications whose image a policy chooses in an environment, and that policy."""
        named = self.applications.items()
        return {name: one.watch[environment] for name, one in named if environment in one.watch}


def branch_of(environment: str) -> str:
    """Branch that holds an environment's desired state, followed by Argo CD."""
    return f"env/{environment}"


def proposal_of(environment: str, run: str) -> str:
    """Branch on which a run proposes what the branch `branch_of` shall have."""
    return f"symphony/proposals/{environment}/{run}"


def configured(default: Path = Path("symphony.yaml")) -> Path:
    """Where this machine's ``symphony.yaml`` is: what ``SYMPHONY_CONFIG`` names, or else the default."""
    return Path(os.environ.get("SYMPHONY_CONFIG") or default)


def load(path: Path) -> Configuration:
    """Read and check a ``symphony.yaml``.

    Args:
        path: The file.

    Returns:
        The configuration, frozen.

    Raises:
        BadInputError: The file is missing, is no YAML, or breaks a rule; each mistake names line, key, what was found
            and what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}; `symphony.yaml` belongs at the root.") from error
    except UnicodeDecodeError as error:
        raise BadInputError(f"{path.name} is no UTF-8: {error}") from error
    try:
        data = read_yaml(text, with_lines=True)
    except MalformedError as error:
        raise BadInputError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(data, CommentedMap):
        raise BadInputError(
            f"{path.name} is empty or no mapping; it needs version, project, git, applications, environments."
        )
    try:
        return Configuration.model_validate(_plain(data))
    except ValidationError as error:
        mistakes = "\n".join(f"  {path.name}:{_mistake(data, one)}" for one in error.errors(include_url=False))
        count = error.error_count()
        raise BadInputError(f"{path.name} has {count} mistake{'s' * (count > 1)}:\n{mistakes}") from error


def _plain(node: Any) -> Any:
    """What the YAML says, merges applied, without ruamel's own types."""
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    return node


def _mistake(data: CommentedMap, error: ErrorDetails) -> str:
    """One mistake as ``line: key: what was found, what is allowed``."""
    place = [part for part in error["loc"] if part != "[key]"]
    line, section = 1, data
    for part in place:
        many = isinstance(section, list)
        if not (many or isinstance(section, Mapping)) or part not in (range(len(section)) if many else section):
            break
        with contextlib.suppress(KeyError, AttributeError):
            line = (section.lc.item if many else section.lc.key)(part)[0] + 1
        section = section[part]
    key = ".".join(str(part) for part in place) or "the file"
    found = error["input"]
    if error["type"] == "missing":
        return f"{line}: {key} is missing; {_allowed(place)}"
    if error["type"] == "extra_forbidden":
        parent = _section(place[:-1])
        known = ", ".join(parent.model_fields) if parent else "none"
        return f"{line}: {key} is not known; allowed here: {known}"
    said = error["msg"].removeprefix("Value error, ")
    shown = f": found {found!r}" if isinstance(found, str | int | float | bool) else ""
    return f"{line}: {key}{shown}; {said[0].lower()}{said[1:]}"


def _section(place: Sequence[str | int]) -> type[Model] | None:
    """The model that describes the section at a place; names in a mapping of sections stand for any key."""
    kind: Any = Configuration
    for part in place:
        if isinstance(kind, type) and issubclass(kind, Model):
            field = kind.model_fields.get(str(part))
            kind = field.annotation if field else None
            if isinstance(kind, UnionType):
                kind = _last(kind)
        else:
            kind = _last(kind)
    return kind if isinstance(kind, type) and issubclass(kind, Model) else None


def _last(kind: Any) -> Any:
    """The last type that an annotation is made of, such as the values of a mapping."""
    arguments = [argument for argument in get_args(kind) if argument not in {NoneType, Ellipsis}]
    return arguments[-1] if arguments else None


def _allowed(place: Sequence[str | int]) -> str:
    parent = _section(place[:-1])
    field = parent.model_fields.get(str(place[-1])) if parent else None
    return (field.description if field else None) or "add it"
