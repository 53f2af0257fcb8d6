"""Which of a repository's images a policy chooses, and why the others were not taken."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from semantic_version import NpmSpec, Version

from symphony.models import Digest, Fact
from symphony.watch import Watch

_APART = re.compile(r"^(commit-.*|sha256-[0-9a-f]{64}(\..*)?)$")
"""Tags beside an image's own: Symphony's by commit, and those of what refers to an image (OCI distribution
specification 1.1, "Referrers Tag Schema"; cosign's ``.sig``, ``.att`` and ``.sbom``)."""
_CONFIGURATIONS = {
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
}
_EXAMPLES = 3


class Pushed(Fact):
    """An image that ECR holds.

    Attributes:
        digest: The image.
        tags: All its tags.
        at: When it was pushed.
        artifact: ECR's ``artifactMediaType``: what its manifest is of; empty for an index of several platforms.
    """

    digest: Digest
    tags: tuple[str, ...]
    at: datetime
    artifact: str = ""

    @property
    def runs(self) -> bool:
        """Whether it is an image at all, and not an SBOM, a signature or what else refers to one."""
        return not self.artifact or self.artifact in _CONFIGURATIONS


@dataclass(frozen=True)
class Candidate:
    """An image under one of its tags."""

    tag: str
    image: Pushed


@dataclass(frozen=True)
class Choice:
    """What a policy makes of a repository.

    Attributes:
        candidates: Images that it would take, the best first.
        passed_over: By reason, the tags that it would not take.
    """

    candidates: tuple[Candidate, ...]
    passed_over: dict[str, tuple[str, ...]]

    def told(self, taken: str = "") -> str:
        """Why tags were not taken, with examples."""
        at = [one.tag for one in self.candidates].index(taken) + 1 if taken else 0
        after = tuple(one.tag for one in self.candidates[at:]) if taken else ()
        groups = {**({"come after it": after} if after else {}), **self.passed_over}
        return "; ".join(f"{len(tags)} {reason} ({_examples(tags)})" for reason, tags in groups.items())


def choose(watch: Watch, images: Iterable[Pushed]) -> Choice:
    """Put a repository's images into the order of a policy.

    An image with several tags stands for the best of them. Tags of the same rank (such as 1.2.3 and v1.2.3) follow
    the time of their push, then the order of characters.

    Args:
        watch: The policy.
        images: The repository's images; those without a tag are passed over in silence.
    """
    spec = NpmSpec(watch.constraint)
    ranked: list[tuple[Any, Candidate]] = []
    passed: dict[str, list[str]] = {}
    for image in images:
        for tag in image.tags:
            reason, rank = _judged(watch, spec, tag, image)
            if reason:
                passed.setdefault(reason, []).append(tag)
            else:
                ranked.append((rank, Candidate(tag, image)))
    ranked.sort(key=lambda one: (one[0], one[1].image.at, one[1].tag), reverse=True)
    seen: set[Digest] = set()
    best = [one for _, one in ranked if one.image.digest not in seen and not seen.add(one.image.digest)]  # type: ignore[func-returns-value]  # adds
    return Choice(tuple(best), {reason: tuple(sorted(tags, reverse=True)) for reason, tags in passed.items()})


def without(choice: Choice, reason: str, refused: Sequence[Candidate]) -> Choice:
    """A choice without candidates that turned out not to fit, which are told with the reason."""
    left = tuple(one for one in choice.candidates if one not in refused)
    return Choice(
        left, {**choice.passed_over, reason: tuple(one.tag for one in refused)} if refused else choice.passed_over
    )


def _judged(watch: Watch, spec: NpmSpec, tag: str, image: Pushed) -> tuple[str, Any]:
    """Why a tag may not be taken, or its rank."""
    if _APART.match(tag) or not image.runs:
        return "name no image of their own", None
    if watch.allow and not _like(tag, watch.allow):
        return "are not allowed", None
    if _like(tag, watch.ignore):
        return "are ignored", None
    return _RANKS[watch.policy](watch, spec, tag, image)


def _version(watch: Watch, spec: NpmSpec, tag: str, image: Pushed) -> tuple[str, Any]:
    del image
    try:
        version = Version(tag.removeprefix("v"))
    except ValueError:
        return "are no versions", None
    if version not in spec:
        return f"are outside {watch.constraint}", None
    return "", version


def _newest(watch: Watch, spec: NpmSpec, tag: str, image: Pushed) -> tuple[str, Any]:
    del watch, spec, tag
    return "", image.at


def _last(watch: Watch, spec: NpmSpec, tag: str, image: Pushed) -> tuple[str, Any]:
    del watch, spec, image
    return "", tag


def _named(watch: Watch, spec: NpmSpec, tag: str, image: Pushed) -> tuple[str, Any]:
    del spec, image
    return ("", 0) if tag == watch.tag else (f"are not {watch.tag}", None)


_RANKS: dict[str, Callable[[Watch, NpmSpec, str, Pushed], tuple[str, Any]]] = {
    "semver": _version,
    "newest-build": _newest,
    "alphabetical": _last,
    "digest": _named,
}


def _like(tag: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(tag, pattern) for pattern in patterns)


def _examples(tags: Sequence[str]) -> str:
    return ", ".join(tags[:_EXAMPLES]) + (", …" if len(tags) > _EXAMPLES else "")
