"""What a deploy leaves for people: the table of what moved, the page on why something did not, the final sentence."""

from __future__ import annotations

from collections.abc import Sequence

from symphony.change import Change
from symphony.markdown import Link
from symphony.models import Commit, Desired, Rollout
from tasks.argocd import application_name, link
from tasks.artifacts import key_of, markdown, table
from tasks.pods import Diagnosis


def report_deploy(change: Change, commit: Commit, entries: Sequence[Desired], rollouts: Sequence[Rollout]) -> None:
    """Leave the table of a deploy: each application with image, revision, health, time and link."""
    digests = {entry.application: entry.digest for entry in entries}
    rows: list[dict[str, object]] = [
        {
            "application": one.application,
            "image": digests.get(one.application, ""),
            "desired state": commit[:12],
            "revision": one.revision[:12],
            "sync": "asked for, since its auto-sync is off" if one.by_hand else "automatic",
            "health": one.health,
            "seconds": one.seconds,
            "Argo CD": _page(change, one.application),
        }
        for one in rollouts
    ]
    table(key_of("deploy", change.environment), f"{change.commit[:12]} in {change.environment}", rows)


def report_failure(change: Change, commit: Commit, failed: Sequence[Diagnosis]) -> None:
    """Leave the page that tells why applications did not come up."""
    title = f"# {change.commit[:12]} did not come up in {change.environment}"
    about = f"Desired state {commit[:12]}. Argo CD: " + ", ".join(str(_page(change, one.application)) for one in failed)
    markdown(key_of("diagnosis", change.environment), "\n\n".join([title, about, *(one.page for one in failed)]))


def failure(change: Change, failed: Sequence[Diagnosis], became: str) -> str:
    """The one sentence that a failed deploy ends with: which application, why, and what was put back."""
    why = "; ".join(f"{one.application} did not come up in {change.environment}: {one.sentence}" for one in failed)
    return f"{why.rstrip('.')}. {became}"


def put_back_sentence(before: dict[str, Desired | None]) -> str:
    """What an undo that worked has done, application by application."""
    parts = [
        f"{name} is back at {entry.commit[:12]} ({entry.digest[:19]}) and Healthy"
        if entry
        else f"{name} was taken out again, since no version was there before"
        for name, entry in sorted(before.items())
    ]
    return f"Put back: {', '.join(parts)}."


def not_put_back_sentence(environment: str, failed: Sequence[Diagnosis]) -> str:
    """An undo that did not work, loudly."""
    why = "; ".join(f"{one.application}: {one.sentence}" for one in failed)
    return f"PUTTING BACK FAILED, and {environment} needs a person now: {why}."


def _page(change: Change, application: str) -> Link:
    name = application_name(change.environment, application)
    return Link(name, link(change.target, change.environment, application))
