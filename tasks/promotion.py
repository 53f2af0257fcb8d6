"""What a promotion would move: a tree that passed its smoke tests in the environment before, and its gates."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from prefect import task
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

from symphony.change import Change
from symphony.config import Configuration, branch_of
from symphony.errors import BadInputError
from symphony.models import Commit, Desired
from symphony.record import ReleaseRecord
from tasks.affected import configuration_at
from tasks.artifacts import key_of, table
from tasks.desired import entries_at, parts, read_desired, removed_applications, text
from tasks.git import fetch, git, head
from tasks.manifest_diff import show_trees
from tasks.moving import may_not_move, newer_told
from tasks.outputs import filled
from tasks.records import find_record, last_passed, newest
from tasks.retry import ONCE, TRANSIENT

_CONSIDERED = 500
"""Records looked at for the smoke tests of a tree."""
_TAG = "promotes "


@dataclass(frozen=True)
class Proposal:
    """What a promotion would move.

    Attributes:
        source: The environment that it comes from.
        record: The release there whose tree it is.
        origin: That release's commit of the desired state.
        before: Commit of this environment's desired state; None before the first.
        entries: What the desired state shall say about each application that moves.
        removed: Applications that are taken out.
        left: Applications that stay as they are, and why.
        hashes: By application, a hash of what is there and what would be; approvals are bound to them.
        since: When each application passed its smoke tests in the environment it comes from.
    """

    source: str
    record: ReleaseRecord
    origin: Commit
    before: Commit | None
    entries: tuple[Desired, ...] = ()
    removed: tuple[str, ...] = ()
    left: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    since: dict[str, datetime] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All applications that it changes."""
        return (*(entry.application for entry in self.entries), *self.removed)


def source_of(configuration: Configuration, environment: str) -> str:
    """The environment that another is promoted from: the one before it in ``symphony.yaml``.

    Raises:
        BadInputError: It is the first.
    """
    order = list(configuration.environments)
    at = order.index(environment)
    if at == 0:
        raise BadInputError(
            f"Nothing is promoted to {environment}: it is the first of {' → '.join(order)}; release to it."
        )
    return order[at - 1]


@task(name="propose", task_run_name="propose what goes from {source} to {change.environment}", **TRANSIENT)
def propose(change: Change, source: str, applications: Sequence[str], release: str) -> Proposal:
    """Find what a promotion would move, and check that it has passed and soaked where it comes from.

    Args:
        change: Where to.
        source: The environment it comes from.
        applications: Names; all by default.
        release: Release of the source whose tree is meant; the last that passed its smoke tests by default.

    Returns:
        What would move; without entries where everything is there already.

    Raises:
        BadInputError: There is no such release or application, or a gate is shut; nothing has been changed.
        SupersededError: The environment has newer commits of all of them.
        HeldError: All of them are held.
        TransientError: The remote could not be reached.
    """
    mirror = fetch(change.configuration.git.remote)
    record = find_record(mirror, release, source) if release else last_passed(mirror, source)
    if record is None or not record.passed or record.deployed is None:
        what = f"The release {record.name} of {source} has not" if record else f"Nothing in {source} has"
        raise BadInputError(
            f"{what} passed its smoke tests, so there is nothing to promote; release to {source} first."
        )
    origin, before = record.deployed.commit, head(mirror, branch_of(change.environment))
    there = read_desired(mirror, source, origin)
    if missing := sorted(set(applications) - there.keys()):
        raise BadInputError(
            f"The release {record.name} of {source} has no {', '.join(missing)}; it has {', '.join(sorted(there))}."
        )
    wanted = _translated(change, [there[name] for name in applications or sorted(there)], origin)
    present = _present(change, wanted, origin, before)
    differing = [entry for entry in wanted if not present[entry.application].same(entry)]
    gone = () if applications else tuple(name for name in removed_applications(change) if name not in there)
    found = Proposal(source, record, origin, before)
    if not differing and not gone:
        return found
    newer, left = may_not_move(change, {entry.application: entry.commit for entry in differing}, gone)
    entries = tuple(entry for entry in differing if entry.application not in {**newer, **left})
    since = _gates(change, found, entries)
    left |= {name: f"{change.environment} has it newer: {newer_told({name: at})}" for name, at in newer.items()}
    removed = tuple(name for name in gone if name not in left)
    hashes = {entry.application: present[entry.application].bound(entry) for entry in entries}
    hashes |= dict.fromkeys(removed, "gone")
    return Proposal(source, record, origin, before, entries, removed, left, hashes, since)


@task(name="show promotion", task_run_name="show what goes to {change.environment}", **ONCE)
def show_promotion(change: Change, proposal: Proposal) -> str:
    """Leave the digests and the difference of the manifests with the run, before anything moves.

    Args:
        change: Where to.
        proposal: What would move.

    Returns:
        Address of the page with the manifests; empty outside a run.

    Raises:
        BadInputError: A chart does not render here.
    """
    rows: list[dict[str, object]] = []
    names = [entry.application for entry in proposal.entries]
    present = entries_at(change.mirror, proposal.before, names) if proposal.before else {}
    for entry in proposal.entries:
        now = present.get(entry.application)
        rows.append(
            {
                "application": entry.application,
                "commit": entry.commit[:12],
                "digest": entry.digest,
                "in place of": now.digest if now else "nothing",
                f"passed in {proposal.source}": proposal.since[entry.application].isoformat(timespec="seconds"),
            }
        )
    rows += [{"application": name, "commit": "", "digest": "taken out"} for name in proposal.removed]
    rows += [{"application": name, "commit": "", "digest": f"left: {why}"} for name, why in proposal.left.items()]
    title = f"From {proposal.source} to {change.environment}: {proposal.record.name}"
    table(key_of("promotion", change.environment), title, rows)
    return show_trees(change, proposal.entries, proposal.origin, proposal.before, proposal.removed).page


def pinned() -> str:
    """Release that this run began to promote before it was suspended; empty where it was not."""
    context = FlowRunContext.get()
    tags = context.flow_run.tags if context and context.flow_run else []
    return next((tag.removeprefix(_TAG) for tag in tags if tag.startswith(_TAG)), "")


def pin(release: str) -> None:
    """Keep with the run which release it promotes, so that it goes on with that one after it was suspended."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    tags = [tag for tag in context.flow_run.tags if not tag.startswith(_TAG)]
    with get_client(sync_client=True) as client:
        client.update_flow_run(context.flow_run.id, tags=[*tags, f"{_TAG}{release}"])


@dataclass(frozen=True)
class _Present:
    """An application as this environment has it, beside what it would get.

    Attributes:
        entry: What this environment's desired state says; None where it does not have it.
        ids: Object ids of all that it has here; None before the first deploy.
        chart: Object id of the chart that it would get.
    """

    entry: Desired | None
    ids: tuple[str, ...] | None
    chart: tuple[str, ...]

    def same(self, entry: Desired) -> bool:
        """Whether it has all that it would get."""
        return self.entry == entry and self.ids is not None and self.ids[:1] == self.chart

    def bound(self, entry: Desired) -> str:
        """A hash of what is there and what would be."""
        return hashlib.sha256(json.dumps([self.chart, text(entry), self.ids]).encode()).hexdigest()


def _present(change: Change, wanted: Sequence[Desired], origin: Commit, before: Commit | None) -> dict[str, _Present]:
    """All applications as this environment has them, asked of Git at once."""
    names = [entry.application for entry in wanted]
    there = entries_at(change.mirror, before, names) if before else {}
    ids = parts(change.mirror, [(at, name) for at in (origin, before) if at for name in names])
    return {
        name: _Present(there.get(name), ids[before, name] if before else None, ids[origin, name][:1]) for name in names
    }


def _translated(change: Change, entries: Sequence[Desired], origin: Commit) -> list[Desired]:
    """What the target's desired state shall say: the same chart, commit and image, with its own values and outputs."""
    name = f"values.{change.environment}.yaml"
    files = [f"{entry.chart}/{name}" for entry in entries]
    listed = git("ls-tree", "-r", "-z", "--name-only", origin, "--", *files, cwd=change.mirror) if files else ""
    found = set(listed.split("\0"))
    made: list[Desired] = []
    for entry, file in zip(entries, files, strict=True):
        released = configuration_at(change.mirror, entry.commit) or change.configuration
        application = released.applications.get(entry.application)
        update = {
            "environment": change.environment,
            "values": (name,) if file in found else (),
            "infrastructure": filled(change, application.values) if application else {},
        }
        made.append(entry.model_copy(update=update))
    return made


def _gates(change: Change, found: Proposal, entries: Sequence[Desired]) -> dict[str, datetime]:
    """When each application passed its smoke tests in the source; told where one has not, or not for long enough."""
    history = [one for one in itertools.islice(newest(change.mirror, found.source), _CONSIDERED) if one.passed]
    known = parts(
        change.mirror,
        [(one.deployed.commit, entry.application) for one in history if one.deployed for entry in entries]
        + [(found.origin, entry.application) for entry in entries],
    )
    since, shut, now = dict[str, datetime](), list[str](), datetime.now(UTC)
    for name in (entry.application for entry in entries):
        passed = [
            one
            for one in history
            if one.deployed
            and name in one.deployed.applications
            and known[one.deployed.commit, name] == known[found.origin, name]
        ]
        if not passed:
            shut.append(f"{name} has passed no smoke test in {found.source} as it is there")
            continue
        since[name] = passed[0].ended
        soaked, asked = (now - since[name]).total_seconds(), change.target.promotion.soak
        if soaked < asked:
            shut.append(f"{name} is live in {found.source} for {soaked:.0f} s of the {asked:.0f} s that it must soak")
    if shut:
        raise BadInputError(f"Nothing was promoted to {change.environment}: {'; '.join(shut)}.")
    return since
