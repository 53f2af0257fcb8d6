"""New images in ECR against the desired state: what an environment's policies would move, and why the rest stays."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from prefect import task

from symphony.change import Change
from symphony.config import branch_of
from symphony.models import Approval, Commit, Desired
from symphony.watch import Watch
from tasks.artifacts import key_of, table
from tasks.aws import client
from tasks.desired import parts, read_desired, text
from tasks.ecr_poll import poll
from tasks.git import fetch, git, head
from tasks.holds import held
from tasks.images import image_repository, repository_of
from tasks.oci_registry import oci_registry
from tasks.records import newest
from tasks.retry import ONCE, TRANSIENT
from tasks.tag_choice import Candidate, Choice, choose, without

SUBJECT = "watch brings "
"""How the subject of a commit begins that a watch made, after the environment."""
_CONSIDERED = 100
"""Records looked at for what somebody refused."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of one application that is watched.

    Attributes:
        application: Its name.
        policy: The policy for people.
        chosen: The policy's choice; None where there is none.
        digest: The image that the environment has; empty where it has none.
        moves: Whether it moves.
        why: What becomes of it, for people.
        others: Why other tags were not taken, for people.
    """

    application: str
    policy: str
    chosen: Candidate | None = None
    digest: str = ""
    moves: bool = False
    why: str = ""
    others: str = ""


@dataclass(frozen=True)
class Found:
    """What a look at ECR would move.

    Attributes:
        origin: Commit of the desired state that it was compared with; empty before the first.
        verdicts: One an application that is watched.
        entries: What the desired state shall say about each that moves.
        held: Those that are held where they are although there is a new image, and why.
        hashes: By application that moves, a hash of what is there and what would be.
    """

    origin: Commit
    verdicts: tuple[Verdict, ...]
    entries: tuple[Desired, ...]
    held: dict[str, str]
    hashes: dict[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """Those that move."""
        return tuple(entry.application for entry in self.entries)

    @property
    def tags(self) -> dict[str, str]:
        """The tag that the policy chose, by application."""
        return {one.application: one.chosen.tag for one in self.verdicts if one.chosen}

    @property
    def subject(self) -> str:
        """What the commit of the desired state says is done."""
        tags = self.tags
        return SUBJECT + ", ".join(f"{name}:{tags[name]}" for name in self.names)

    def only(self, names: Collection[str]) -> Found:
        """The same with no more than some of what moves."""
        entries = tuple(entry for entry in self.entries if entry.application in names)
        return replace(self, entries=entries, hashes={name: self.hashes[name] for name in self.names if name in names})


class Seen:
    """What the policies make of what ECR holds; opaque, since Prefect goes through all that a task is given."""

    def __init__(self, choices: Mapping[str, Choice | str]) -> None:
        """Keep each application's choice, or why there is none."""
        self.choices = choices


@task(name="look for new images", task_run_name="look for new images of {change.environment}", **TRANSIENT)
def look(change: Change) -> Seen:
    """Look once at the repositories of all applications that are watched, and choose by their policies.

    Args:
        change: The environment, opened at the commit whose policies count.

    Raises:
        TransientError: ECR was throttling or out of reach.
    """
    watched = change.configuration.watched(change.environment)
    applications = change.configuration.applications
    where = {name: repository_of(change.environment, applications[name]) for name in watched}
    wanted: dict[str, set[str] | None] = {}
    for name, watch in watched.items():
        tags = wanted.setdefault(where[name], set())
        if watch.tag is None:
            wanted[where[name]] = None
        elif tags is not None:
            tags.add(watch.tag)
    found = poll(
        client(change.target, "ecr"), {repository: frozenset(tags or ()) for repository, tags in wanted.items()}
    )
    return Seen(
        {
            name: images if isinstance(images := found[where[name]], str) else choose(watch, images)
            for name, watch in watched.items()
        }
    )


@task(name="compare", task_run_name="compare new images with {change.environment}", **TRANSIENT)
def compare(change: Change, seen: Seen) -> Found:
    """Compare the policies' choices with the environment's desired state as it is now.

    Args:
        change: The environment.
        seen: The choices.

    Returns:
        What moves, and what becomes of the others.

    Raises:
        SymphonyError: The registry does not tell an image's platforms.
        TransientError: The remote or the registry could not be reached.
    """
    mirror = fetch(change.configuration.git.remote)
    origin = head(mirror, branch_of(change.environment)) or ""
    present = read_desired(mirror, change.environment, origin)
    watched = change.configuration.watched(change.environment)
    holds, refused = held(change, watched), _refused(change)
    verdicts, entries, left, hashes = list[Verdict](), list[Desired](), dict[str, str](), dict[str, str]()
    for name, watch in sorted(watched.items()):
        verdict = _judged(change, name, watch, seen.choices[name], present.get(name))
        if verdict.moves and verdict.chosen:
            entry = _moved(change, present[name], verdict.chosen)
            bound = _hash(change, entry, origin)
            if name in holds:
                left[name] = holds[name]
                verdict = _stays(verdict, holds[name])
            elif away := moved_away(change, entry):
                verdict = _stays(verdict, f"was there, and gave way to {away!r}; deploy it by hand to have it again")
            elif no := refused.get(bound):
                verdict = _stays(verdict, f"{no.approver} refused it at {no.at}: {no.reason or 'no reason given'}")
            else:
                entries.append(entry)
                hashes[name] = bound
        verdicts.append(verdict)
    return Found(origin, tuple(verdicts), tuple(entries), left, hashes)


@task(name="show new images", task_run_name="show new images of {change.environment}", **ONCE)
def show_look(change: Change, found: Found, out: Mapping[str, str]) -> None:
    """Leave with the run what was looked at, what each policy chose, and why the rest was not taken.

    Args:
        change: The environment.
        found: What was found.
        out: Applications whose image is not let in, and why.
    """
    rows: list[dict[str, object]] = [
        {
            "application": one.application,
            "policy": one.policy,
            "is there": one.digest[:19],
            "chosen": f"{one.chosen.tag} ({one.chosen.image.digest[:19]})" if one.chosen else "",
            "what becomes of it": out.get(one.application) or one.why,
            "not taken": one.others,
        }
        for one in found.verdicts
    ]
    table(key_of("watched", change.environment), f"Images in ECR for {change.environment}", rows)


def moved_away(change: Change, entry: Desired) -> str:
    """What the environment's branch says on the commit by which an application left an image that it had before.

    It is empty for an image that it never had, and for one that a watch itself moved on from, since a policy may go
    back, such as to where a tag is moved back to.
    """
    path, branch = f"applications/{entry.application}.yaml", f"refs/heads/{branch_of(change.environment)}"
    last = git("log", "-1", "--format=%s", f"-S{entry.digest}", branch, "--", path, cwd=change.mirror)
    subject = last.removeprefix(f"{change.environment}: ")
    return "" if subject.startswith(SUBJECT) else subject


def _judged(change: Change, name: str, watch: Watch, choice: Choice | str, now: Desired | None) -> Verdict:
    digest = now.digest if now else ""
    if isinstance(choice, str):
        return Verdict(name, str(watch), digest=digest, why=choice)
    if watch.platform:
        choice = _running(change, name, watch.platform, choice, digest)
    if not choice.candidates:
        return Verdict(name, str(watch), digest=digest, why="no image fits", others=choice.told())
    best = choice.candidates[0]
    verdict = Verdict(name, str(watch), best, digest, others=choice.told(best.tag))
    if now is None:
        return replace(verdict, why="is not deployed yet: a release brings its chart")
    if digest == best.image.digest:
        return replace(verdict, why="is there already")
    return replace(verdict, moves=True, why="moves")


def _stays(verdict: Verdict, why: str) -> Verdict:
    return replace(verdict, moves=False, why=why)


def _running(change: Change, name: str, platform: str, choice: Choice, digest: str) -> Choice:
    """A choice without those better than the first that runs on a platform; what is there already does."""
    repository = repository_of(change.environment, change.configuration.applications[name])
    others: list[Candidate] = []
    with oci_registry(change.target) as registry:
        for one in choice.candidates:
            if one.image.digest == digest or platform in registry.platforms(repository, one.image.digest):
                break
            others.append(one)
    return without(choice, f"do not run on {platform}", others)


def _moved(change: Change, now: Desired, chosen: Candidate) -> Desired:
    repository = image_repository(change, change.configuration.applications[now.application])
    return now.model_copy(update={"repository": repository, "digest": chosen.image.digest})


def _hash(change: Change, entry: Desired, origin: Commit) -> str:
    there = parts(change.mirror, [(origin, entry.application)])[origin, entry.application]
    return hashlib.sha256(json.dumps([there, text(entry)]).encode()).hexdigest()


def _refused(change: Change) -> dict[str, Approval]:
    """By hash, what people refused to watches of a protected environment."""
    if not change.target.protected:
        return {}
    history = itertools.islice(newest(change.mirror, change.environment), _CONSIDERED)
    answers = [answer for one in history if one.kind == "watch" for answer in one.approvals]
    return {bound: one for one in answers if one.decision == "refuse" for bound in one.manifests.values()}
