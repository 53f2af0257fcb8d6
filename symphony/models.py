"""The domain's nouns as frozen types that check themselves."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from symphony.section import Name, RepositoryPath

Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
"""A full Git commit id."""

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""An image's digest (OCI image specification)."""


class Fact(BaseModel):
    """A frozen value that a task hands on; serialisable, since Prefect keeps results as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Image(Fact):
    """An image that the registry holds.

    Attributes:
        application: Name in ``symphony.yaml``.
        repository: Host and repository, without tag.
        tag: Content hash it was pushed under.
        digest: What the registry calls it.
        built: False where the registry had it already.
        commit: Commit of its source, which it was built from or found for.
    """

    application: str
    repository: str
    tag: str
    digest: Digest
    built: bool
    commit: str

    @property
    def reference(self) -> str:
        """What the desired state names: repository and digest."""
        return f"{self.repository}@{self.digest}"

    @property
    def path(self) -> str:
        """The repository within its registry, as ECR calls it."""
        return self.repository.partition("/")[2]


Action = Literal["add", "change", "replace", "destroy"]
ACTIONS: tuple[Action, ...] = get_args(Action)
"""All of them, in the order people read them."""


class ResourceChange(Fact):
    """What a plan does to one resource."""

    address: str
    action: Action


class UnitPlan(Fact):
    """A Terragrunt unit's plan, read.

    Attributes:
        unit: Path of the unit below the environment's folder.
        changes: One entry a changed resource.
        outputs: Names of the outputs that change.
        text: The plan as tofu prints it, sensitive values masked by tofu itself.
        seconds: Wall time of the plan.
        hash: SHA-256 of its canonical changes, which an approval is bound to; empty where nothing would change.
        provisional: Made with mock outputs, or with outputs that will change: shown, and never applied.
    """

    unit: str
    changes: tuple[ResourceChange, ...] = ()
    outputs: tuple[str, ...] = ()
    text: str = ""
    seconds: float = 0.0
    hash: str = ""
    provisional: bool = False

    def count(self, action: Action) -> int:
        """How many resources the plan does this to."""
        return sum(change.action == action for change in self.changes)

    @property
    def empty(self) -> bool:
        """Whether applying would change neither resource nor output."""
        return not self.changes and not self.outputs


class Approval(Fact):
    """What a person decided about plans of a protected environment, or about a deploy to it.

    Attributes:
        approver: Who, as they wrote it in the form.
        decision: What.
        reason: Why, as they wrote it.
        at: When the run took the decision up, UTC, ISO 8601.
        commit: Commit that was planned or rendered.
        plans: Hash of each unit's plan that was shown.
        manifests: Hash of each application's changes that were shown.
    """

    approver: str
    decision: Literal["approve", "refuse"]
    reason: str = ""
    at: str
    commit: Commit
    plans: dict[str, str] = Field(default_factory=dict)
    manifests: dict[str, str] = Field(default_factory=dict)


class UnitResult(Fact):
    """What became of a unit in a run.

    Attributes:
        unit: Path of the unit below the environment's folder.
        state: What became of it.
        plan: What its last plan changes; None where there is none.
        reason: Why it ended so, where that needs a word.
        seconds: Wall time of its plan and its apply.
        approval: What a person decided about the plan.
        retries: How often its tasks were tried again, for what can pass by itself.
    """

    unit: str
    state: Literal["applied", "unchanged", "planned", "failed", "held back", "destroyed", "removed, not destroyed"]
    plan: UnitPlan | None = None
    reason: str = ""
    seconds: float = 0.0
    approval: Approval | None = None
    retries: int = 0


class Desired(Fact):
    """What an environment's branch says about one application: ``applications/<application>.yaml``.

    Attributes:
        application: Name in ``symphony.yaml``.
        environment: Environment it runs in.
        chart: Folder of its chart on the branch.
        values: Extra value files, relative to the chart, later ones winning.
        commit: Commit that was released.
        repository: Host and repository of its image.
        digest: The image.
        infrastructure: Values that come from the environment's units.
    """

    application: Name
    environment: Name
    chart: RepositoryPath
    values: tuple[RepositoryPath, ...] = ()
    commit: Commit
    repository: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]+(:\d+)?/[a-z0-9]+([._/-]+[a-z0-9]+)*$")]
    digest: Digest
    infrastructure: dict[str, Any] = Field(default_factory=dict)


class Rollout(Fact):
    """One application as Argo CD rolled it out.

    Attributes:
        application: Name in ``symphony.yaml``.
        revision: Revision that Argo CD reports as synced; empty where it was removed.
        health: Argo CD's word for its health.
        seconds: From the refresh to Healthy.
        by_hand: Whether Argo CD was asked to sync it, since its auto-sync is off.
    """

    application: str
    revision: str = ""
    health: str = ""
    seconds: float = 0.0
    by_hand: bool = False


class Deployed(Fact):
    """An environment's desired state, written and rolled out.

    Attributes:
        environment: Name in ``symphony.yaml``.
        commit: Commit on the environment's branch.
        revision: Revision that Argo CD reports as synced.
        applications: Applications that this deploy moved.
        seconds: From the commit to Healthy.
        superseded: Applications left alone, since a newer commit of them is there already.
        held: Applications left alone, since they are held where they are, and why.
    """

    environment: str
    commit: Commit
    revision: Commit
    applications: tuple[str, ...]
    seconds: float
    superseded: tuple[str, ...] = ()
    held: dict[str, str] = Field(default_factory=dict)


class Probe(Fact):
    """One URL, asked through the ingress.

    Attributes:
        application: Whose it is.
        url: As people open it.
        status: Of the last answer; None where none came.
        milliseconds: Median time of the answers.
        p95: Time that 95 of 100 answers kept to.
        version: What it tells of itself.
        note: What else is to be known, such as that it is no URL of the application's.
        warning: What fails a smoke run and undoes no deploy, such as a certificate that ends soon.
        problem: Why the answer is no good one.
    """

    application: str
    url: str
    status: int | None
    milliseconds: float | None
    p95: float | None = None
    version: str = ""
    note: str = ""
    warning: str = ""
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether the answer was as expected."""
        return not self.problem
