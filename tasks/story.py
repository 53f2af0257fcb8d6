"""The story of a release, promotion or rollback: what each stage did and how long it took, as record and artifact."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

from symphony.change import Change
from symphony.errors import HeldError, SupersededError
from symphony.markdown import escape, fence
from symphony.models import Approval, Deployed, Image, Probe, UnitPlan, UnitResult
from symphony.record import Kind, ReleaseRecord
from tasks.approval import Consent
from tasks.artifacts import key_of, markdown
from tasks.git import authored
from tasks.plan_report import times


class Story:
    """Gathers what a run does while it does it, so that a failed one tells as much as a good one.

    Attributes:
        change: The commit being released.
        consent: The approval that a deploy to a protected environment needs.
        origin: Record whose tree is promoted, or gone back to.
        undoes: Of a rollback: name of the record that each application leaves.
        left: Applications that were left alone, and why.
        units: What became of the Terragrunt units.
        images: Images built or found.
        removed: Applications taken out of the environment.
        deployed: The rollout; None before it succeeded.
        probes: URLs asked.
    """

    def __init__(
        self, change: Change, consent: Consent | None = None, *, kind: Kind = "release", who: str = "", why: str = ""
    ) -> None:
        """Begin the story now; who and why are by default the commit's author and subject."""
        self.change = change
        self.origin: ReleaseRecord | None = None
        self.undoes: dict[str, str] = {}
        self.left: dict[str, str] = {}
        self.units: tuple[UnitResult, ...] = ()
        self.images: tuple[Image, ...] = ()
        self.removed: tuple[str, ...] = ()
        self.deployed: Deployed | None = None
        self.probes: tuple[Probe, ...] = ()
        self.consent = consent or Consent()
        self._kind = kind
        self._who = who
        self._why = why
        self._reason = ""
        self._state: Literal["succeeded", "failed", "superseded", "held"] = "succeeded"
        self._stages: dict[str, float] = {}
        self._began: dict[str, str] = {}
        self._started = datetime.now(UTC)
        self._clock = time.monotonic()
        self._seconds = 0.0

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage, also when it fails."""
        started = time.monotonic()
        self._began[name] = _stamp(datetime.now(UTC))
        try:
            yield
        finally:
            self._stages[name] = round(time.monotonic() - started, 3)
            self._seconds = round(time.monotonic() - self._clock, 3)

    def failed(self, error: BaseException) -> None:
        """The run ends here, because of this."""
        self._state = {SupersededError: "superseded", HeldError: "held"}.get(type(error), "failed")  # type: ignore[assignment]  # the literals
        self._reason = str(error) or type(error).__name__

    @property
    def eventful(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.units or self.images or self.removed or self.deployed)

    def record(self) -> ReleaseRecord:
        """The run as Git keeps it."""
        author, committed, subject = authored(self.change.mirror, self.change.commit)
        released = self._kind == "release"
        return ReleaseRecord(
            kind=self._kind,
            environment=self.change.environment,
            commit=self.change.commit,
            base=self.change.base or "",
            state=self._state,
            reason=self._reason,
            who=self._who or (author if released else ""),
            why=self._why or (subject if released else ""),
            # Of a watch's images nobody knows when they were written; the charts' commit is older.
            committed="" if self._kind == "watch" else committed,
            origin=self.origin.name if self.origin else "",
            undoes=self.undoes,
            left=self.left,
            run=self.change.run,
            started=_stamp(self._started),
            seconds=self._seconds,
            stages=self._stages,
            began=self._began,
            approved_by=self.consent.beforehand,
            approvals=(*approvals(self.units), *self.consent.answers),
            removed=self.removed,
            units=self.units,
            images=self.images,
            deployed=self.deployed,
            probes=self.probes,
        )

    def tell(self) -> None:
        """Leave the story with the run, as a page that a person reads from top to bottom."""
        markdown(key_of(self._kind, self.change.environment), page(self.record(), self.change.target.argocd.url))


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def approvals(units: tuple[UnitResult, ...]) -> tuple[Approval, ...]:
    """What people decided about the plans of units, each decision once."""
    found = {approval.model_dump_json(): approval for unit in units if (approval := unit.approval)}
    return tuple(found.values())


def page(record: ReleaseRecord, argocd: str) -> str:
    """A release's story as Markdown.

    Args:
        record: The release.
        argocd: Address of Argo CD, for links.
    """
    verdict = "is live in" if record.state == "succeeded" else "is **not** live in"
    lines = [f"# {record.commit[:12]} {verdict} {record.environment}", ""]
    if record.origin:
        lines += [{"promote": "Promoted: ", "rollback": "Rolled back to "}.get(record.kind, "") + record.origin, ""]
    if record.who or record.why:
        lines += [f"By {escape(record.who or 'somebody')}: {escape(record.why or 'no reason given')}", ""]
    if record.reason:
        lines += [fence(record.reason), ""]
    stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in record.stages.items())
    lines += [f"{record.seconds:.1f} s in all: {stages}.", "", "| step | what | result |", "| --- | --- | --- |"]
    lines += [f"| {step} | {escape(what)} | {escape(result)} |" for step, what, result in rows(record)]
    if record.deployed is not None:
        names = [f"{record.environment}-{name}" for name in record.deployed.applications]
        lines += ["", "Argo CD: " + ", ".join(f"[{name}]({argocd}/applications/argocd/{name})" for name in names)]
    return "\n".join(lines)


Row = tuple[str, str, str]
"""Step, what it was done to, and the result."""


def rows(record: ReleaseRecord) -> list[Row]:
    """The story's table in plain text, in the order of the stages."""
    units = [("unit", unit.unit, unit.state + _counts(unit.plan) + _again(unit)) for unit in record.units]
    decided = {"approve": "approved", "refuse": "refused"}
    asked = [
        (
            "approval",
            ", ".join([*one.plans, *one.manifests]),
            f"{decided[one.decision]} by {one.approver} {one.reason}".strip(),
        )
        for one in record.approvals
    ]
    left = [("left alone", name, why) for name, why in record.left.items()]
    return [*asked, *units, *_images(record), *left, *_rollout(record), *_urls(record)]


def _counts(plan: UnitPlan | None) -> str:
    if plan is None or plan.empty:
        return ""
    words = {"add": "added", "change": "changed", "replace": "replaced", "destroy": "destroyed"}
    counts = {word: plan.count(action) for action, word in words.items()}  # type: ignore[arg-type]  # the literals
    return f" ({', '.join(f'{count} {word}' for word, count in counts.items() if count) or 'outputs only'})"


def _again(unit: UnitResult) -> str:
    return f", tried again {times(unit.retries)}" if unit.retries else ""


def _images(record: ReleaseRecord) -> list[Row]:
    how = {True: "built and pushed", False: "found in ECR"}
    return [
        ("image", f"{one.repository}:{one.tag[:12]}".rstrip(":"), f"{how[one.built]}, {one.digest[:19]}")
        for one in record.images
    ]


def _rollout(record: ReleaseRecord) -> list[Row]:
    removed = [("removed", name, "taken out of the environment") for name in record.removed]
    if record.deployed is None:
        return removed
    revision, seconds = record.deployed.revision[:12], record.deployed.seconds
    synced = f"synced to {revision}, Healthy after {seconds:.1f} s"
    return [
        *removed,
        ("desired state", f"env/{record.environment}", f"commit {record.deployed.commit[:12]}"),
        *[("Argo CD", f"{record.environment}-{name}", synced) for name in record.deployed.applications],
    ]


def _urls(record: ReleaseRecord) -> list[Row]:
    return [
        (
            "URL",
            one.url,
            one.problem
            or ", ".join(filter(None, (f"{one.status} in {one.milliseconds or 0:.0f} ms", one.version, one.warning))),
        )
        for one in record.probes
    ]
