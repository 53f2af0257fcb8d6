"""Policies against descriptions of their own: none of these uses the order that the code makes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.watch import Watch
from tasks.tag_choice import Candidate, Pushed, choose

START = datetime(2026, 1, 1, tzinfo=UTC)
OCI, SBOM = "application/vnd.oci.image.config.v1+json", "application/spdx+json"
VERSION = re.compile(
    r"^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?$"
)
"""As semver.org suggests it, without build metadata, which no tag can have."""

small = st.integers(0, 3)
versions = st.builds(
    lambda v, numbers, rest: v + ".".join(map(str, numbers)) + rest,
    st.sampled_from(["", "v"]),
    st.tuples(small, small, small),
    st.sampled_from(["", "", "", "-rc.1", "-rc.2", "-rc.10", "-alpha", "-1"]),
)
apart = st.sampled_from(
    [f"commit-{'a' * 40}", f"sha256-{'b' * 64}", f"sha256-{'b' * 64}.sig", f"sha256-{'c' * 64}.att"]
)
words = st.sampled_from(
    ["latest", "main-7", "main-12", "2026-01-02", "2026-11-02", "1.2", "01.2.3", "0" * 32, "stable"]
)
tags = st.one_of(versions, versions, words, apart)


@st.composite
def repositories(draw: st.DrawFn) -> list[Pushed]:
    """Images with tags that are unique in their repository, as ECR has it."""
    names = draw(st.lists(tags, unique=True, max_size=12))
    images = []
    while names:
        count = draw(st.integers(1, 3))
        mine, names = names[:count], names[count:]
        images.append(
            Pushed(
                digest=f"sha256:{len(images):064x}",
                tags=tuple(mine),
                at=START + timedelta(seconds=draw(st.integers(0, 5))),
                artifact=draw(st.sampled_from([OCI, OCI, OCI, "", SBOM])),
            )
        )
    return images


def open_to(images: Sequence[Pushed], may: Callable[[str], bool] = lambda _: True) -> list[Candidate]:
    """Whatever may be taken at all, by the words of the issue."""
    return [
        Candidate(tag, image)
        for image in images
        for tag in image.tags
        if not tag.startswith("commit-") and not tag.startswith("sha256-") and image.artifact != SBOM and may(tag)
    ]


def above(one: str, other: str) -> bool:
    """Whether a version has precedence over another (semver.org, item 11)."""
    mine, theirs = VERSION.match(one), VERSION.match(other)
    assert mine
    assert theirs
    for place in (1, 2, 3):
        if int(mine[place]) != int(theirs[place]):
            return int(mine[place]) > int(theirs[place])
    if mine[4] is None or theirs[4] is None:
        return mine[4] is None and theirs[4] is not None
    left, right = mine[4].split("."), theirs[4].split(".")
    for a, b in zip(left, right, strict=False):
        if a == b:
            continue
        if a.isdigit() and b.isdigit():
            return int(a) > int(b)
        if a.isdigit() != b.isdigit():
            return b.isdigit()
        return a > b
    return len(left) > len(right)


def numbers(tag: str) -> tuple[int, int, int]:
    found = VERSION.match(tag)
    assert found
    return int(found[1]), int(found[2]), int(found[3])


CONSTRAINTS: dict[str, Callable[[str], bool]] = {
    "*": lambda tag: "-" not in tag,
    "^1.1": lambda tag: "-" not in tag and (1, 1, 0) <= numbers(tag) < (2, 0, 0),
    "~1.2": lambda tag: "-" not in tag and (1, 2, 0) <= numbers(tag) < (1, 3, 0),
    ">=1.2 <3": lambda tag: "-" not in tag and (1, 2, 0) <= numbers(tag) < (3, 0, 0),
    "1.x || >=3.0.0": lambda tag: "-" not in tag and (numbers(tag)[0] == 1 or numbers(tag)[0] >= 3),
    # A range that names a prerelease takes those of the very same version besides (npm's rule).
    ">=1.0.0-rc.2 <2.0.0": lambda tag: (
        (1, 0, 0) <= numbers(tag) < (2, 0, 0)
        if "-" not in tag
        else numbers(tag) == (1, 0, 0) and not above("1.0.0-rc.2", tag)
    ),
}


@given(repositories(), st.sampled_from(sorted(CONSTRAINTS)))
def test_semver_takes_a_version_within_its_constraint_that_none_is_above(images: list[Pushed], constraint: str) -> None:
    fitting = open_to(images, lambda tag: bool(VERSION.match(tag)) and CONSTRAINTS[constraint](tag))
    chosen = choose(Watch(policy="semver", constraint=constraint), images).candidates
    assert bool(chosen) == bool(fitting)
    if chosen:
        assert chosen[0] in fitting
        assert not any(above(one.tag, chosen[0].tag) for one in fitting)


@given(repositories())
def test_newest_build_takes_what_nothing_was_pushed_after(images: list[Pushed]) -> None:
    chosen = choose(Watch(policy="newest-build"), images).candidates
    assert bool(chosen) == bool(open_to(images))
    if chosen:
        assert all(one.image.at <= chosen[0].image.at for one in open_to(images))


@given(repositories())
def test_alphabetical_takes_the_tag_that_none_comes_after(images: list[Pushed]) -> None:
    chosen = choose(Watch(policy="alphabetical"), images).candidates
    assert [one.tag for one in chosen[:1]] == sorted(one.tag for one in open_to(images))[-1:]


@given(repositories(), words)
def test_digest_takes_what_its_tag_names(images: list[Pushed], tag: str) -> None:
    chosen = choose(Watch(policy="digest", tag=tag), images).candidates
    assert [one.image for one in chosen] == [one.image for one in open_to(images, lambda name: name == tag)]


@given(repositories(), st.sampled_from(["semver", "newest-build", "alphabetical"]))
def test_patterns_leave_what_the_policy_would_make_of_the_rest(images: list[Pushed], policy: str) -> None:
    watch = Watch.model_validate({"policy": policy, "allow": ["v*", "main-*"], "ignore": ["*[2-9]"]})
    rest = [one.model_copy(update={"tags": tuple(tag for tag in one.tags if allowed(tag))}) for one in images]
    plain = choose(Watch.model_validate({"policy": policy}), rest).candidates
    assert [(one.tag, one.image.digest) for one in choose(watch, images).candidates] == [
        (one.tag, one.image.digest) for one in plain
    ]


def allowed(tag: str) -> bool:
    return (tag.startswith(("v", "main-"))) and tag[-1] not in "23456789"


@given(repositories(), st.sampled_from(["semver", "newest-build", "alphabetical"]), st.randoms())
def test_the_order_in_which_ecr_tells_does_not_matter(images: list[Pushed], policy: str, random: object) -> None:
    watch = Watch.model_validate({"policy": policy})
    mixed = list(images)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert choose(watch, mixed) == choose(watch, images)


@given(repositories(), st.sampled_from(["semver", "newest-build", "alphabetical"]))
def test_every_tag_is_either_taken_or_told_of_once(images: list[Pushed], policy: str) -> None:
    choice = choose(Watch.model_validate({"policy": policy}), images)
    told = [tag for group in choice.passed_over.values() for tag in group]
    assert len(told) == len(set(told))
    better = {one.image.digest for one in choice.candidates}
    for image in images:
        for tag in image.tags:
            assert (tag in told) or image.digest in better


def test_what_was_not_taken_is_counted_with_examples() -> None:
    images = [
        Pushed(digest=f"sha256:{at:064x}", tags=(tag,), at=START, artifact=OCI)
        for at, tag in enumerate(["1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "2.0.0", "latest", f"commit-{'a' * 40}"])
    ]
    choice = choose(Watch(policy="semver", constraint="^1"), images)
    assert choice.candidates[0].tag == "1.0.4"
    told = choice.told("1.0.4")
    for part in (
        "4 come after it (1.0.3, 1.0.2, 1.0.1, …)",
        "1 are outside ^1 (2.0.0)",
        "1 are no versions (latest)",
        "1 name no image of their own (commit-",
    ):
        assert part in told


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"policy": "semver", "constraint": "~>1"}, "range of versions as npm writes it"),
        (
            {"policy": "alphabetical", "constraint": "^1"},
            "has a constraint, which the policy alphabetical does not know",
        ),
        ({"policy": "digest"}, "tag belongs to the policy digest"),
        ({"policy": "semver", "tag": "latest"}, "tag belongs to the policy digest"),
        ({"policy": "semver", "allow": ["a b"]}, "match pattern"),
        ({"policy": "semver", "platform": "amd64"}, "match pattern"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(section: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Watch.model_validate(section)
