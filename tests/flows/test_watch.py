from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import pytest
from prefect.states import State

from flows import watch as module
from flows.deploy import deploy
from flows.release import release
from flows.rollback import rollback
from flows.watch import watch
from symphony.errors import TransientError
from tasks import new_images
from tasks.admission import RefusedImageError
from tasks.git import git
from tests.tasks.paging_ecr import PagingEcr

if TYPE_CHECKING:
    from tests.flows.conftest import Platform


@pytest.fixture
def ecr(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> PagingEcr:
    """ECR that pages, and `one` watched in dev."""
    made = PagingEcr(page=2)
    client = made.client()
    monkeypatch.setattr(new_images, "client", lambda *_: client)
    policies(platform, one="dev: {policy: semver, constraint: ^1}")
    return made


def policies(platform: Platform, **watched: str) -> None:
    """Give applications policies by environment."""
    file = platform.delivery.copy / "symphony.yaml"
    text = file.read_text()
    for name, policy in watched.items():
        text = text.replace(f'/{name}"}}', f'/{name}", watch: {{{policy}}}}}')
    platform.delivery.commit("symphony.yaml", text)


def look(environment: str = "dev", **more: Any) -> State[Any]:
    state: State[Any] = watch(environment=environment, return_state=True, **more)  # type: ignore[call-overload]
    return state


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def commits(platform: Platform, since: str) -> int:
    return int(git("rev-list", "--count", f"{since}..{platform.head()}", cwd=platform.mirror))


def test_all_that_is_new_moves_by_one_commit_with_the_charts_that_are_there(platform: Platform, ecr: PagingEcr) -> None:
    policies(platform, two="dev: {policy: newest-build}")
    platform.release(one="a", two="a")
    charts = platform.tree("one")[0], platform.tree("two")[0]
    platform.delivery.commit("charts/one/values.dev.yaml", "new: true\n")
    for number in range(9):
        ecr.push("dev/one", digest("c"), f"1.0.{number}", at=number)
    ecr.push("dev/one", digest("b"), "1.1.0", at=9)
    ecr.push("dev/one", digest("d"), "2.0.0", at=10)
    ecr.push("dev/two", digest("b"), "build-1")
    ecr.push("dev/two", digest("e"), artifact="application/spdx+json", at=20)
    there = platform.head()
    state = look()
    assert "one, two moved in dev" in str(state.message)
    assert platform.digests() == {"one": "b", "two": "b"}
    assert commits(platform, there) == 1
    assert (platform.tree("one")[0], platform.tree("two")[0]) == charts
    record = platform.records()[0]
    assert (record.kind, record.state, record.why) == ("watch", "succeeded", "watch brings one:1.1.0, two:build-1")
    assert [image.tag for image in record.images] == ["1.1.0", "build-1"]
    assert list(record.stages) == ["deploy", "smoke"]
    assert "No image moves in dev; 2 watched." in str(look().message)
    assert commits(platform, there) == 1


def test_a_release_brings_the_chart_and_leaves_the_image_to_the_watch(platform: Platform, ecr: PagingEcr) -> None:
    platform.release(one="a", two="a")
    ecr.push("dev/one", digest("b"), "1.1.0")
    look()
    platform.delivery.commit("charts/one/values.dev.yaml", "new: true\n")
    before = platform.tree("one")
    state = platform.release(one="c", two="c")
    assert state.is_completed()
    assert platform.digests() == {"one": "b", "two": "c"}
    assert platform.tree("one")[0] != before[0]
    there = platform.head()
    look()
    assert commits(platform, there) == 0


def test_a_release_of_a_source_that_is_not_built_here_moves_nothing(platform: Platform, ecr: PagingEcr) -> None:
    del ecr
    platform.release(one="a", two="a")
    there = platform.head()
    state = platform.release(one="c")
    assert "Nothing that dev has differs" in str(state.message)
    assert commits(platform, there) == 0


def test_what_is_held_is_left_and_it_is_said(platform: Platform, ecr: PagingEcr) -> None:
    platform.release(one="a", two="a")
    platform.release(two="b")
    ecr.push("dev/one", digest("b"), "1.1.0")
    look()
    rollback(environment="dev", applications=["one"], who="Ada", why="It is slow.")
    ecr.push("dev/one", digest("c"), "1.2.0")
    state = look()
    assert "Left as it is in dev: one (held since" in str(state.message)
    assert "It is slow." in str(state.message)
    assert platform.digests()["one"] == "a"
    rollback(environment="dev", action="lift the hold")
    look()
    assert platform.digests()["one"] == "c"


def test_what_was_put_back_is_not_tried_again_and_the_next_one_is(platform: Platform, ecr: PagingEcr) -> None:
    platform.release(one="a", two="a")
    platform.bad = "b"
    ecr.push("dev/one", digest("b"), "1.1.0")
    assert look().is_failed()
    assert platform.digests()["one"] == "a"
    assert platform.records()[0].state == "failed"
    there = platform.head()
    assert look().is_completed()
    assert commits(platform, there) == 0
    ecr.push("dev/one", digest("c"), "1.1.1")
    look()
    assert platform.digests()["one"] == "c"


def test_what_a_person_deployed_instead_stays(platform: Platform, ecr: PagingEcr) -> None:
    platform.release(one="a", two="a")
    ecr.push("dev/one", digest("b"), "1.1.0")
    look()
    deploy(environment="dev", images={"one": digest("d")})
    look()
    assert platform.digests()["one"] == "d"


def test_a_moving_tag_is_followed_forth_and_back(platform: Platform, ecr: PagingEcr) -> None:
    policies(platform, two="dev: {policy: digest, tag: stable}")
    platform.release(one="a", two="a")
    ecr.push("dev/two", digest("b"), "stable")
    look()
    ecr.push("dev/two", digest("c"), "stable")
    look()
    assert platform.digests()["two"] == "c"
    ecr.push("dev/two", digest("b"), "stable")
    look()
    assert platform.digests()["two"] == "b"


def test_what_another_run_moved_while_it_waited_is_not_deployed_twice(platform: Platform, ecr: PagingEcr) -> None:
    platform.release(one="a", two="a")
    ecr.push("dev/one", digest("b"), "1.1.0")
    there = platform.head()
    platform.on_lock = look
    assert "No image moves" in str(look().message)
    assert platform.digests()["one"] == "b"
    assert commits(platform, there) == 1
    assert [one.kind for one in platform.records()] == ["watch", "release"]


def test_one_that_is_not_let_in_keeps_no_other_back(
    platform: Platform, ecr: PagingEcr, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies(platform, two="dev: {policy: alphabetical}")
    platform.release(one="a", two="a")
    ecr.push("dev/one", digest("b"), "1.1.0")
    ecr.push("dev/two", digest("b"), "b")
    monkeypatch.setattr(module, "kept_out", lambda *_: {"one": str(RefusedImageError("It has no signature."))})
    look()
    assert platform.digests() == {"one": "a", "two": "b"}
    assert platform.records()[0].left == {"one": "It has no signature."}


def test_an_image_must_run_on_the_platform(platform: Platform, ecr: PagingEcr, monkeypatch: pytest.MonkeyPatch) -> None:
    policies(platform, two="dev: {policy: semver, platform: linux/amd64}")
    platform.release(one="a", two="a")
    for at, letter in enumerate("bcd"):
        ecr.push("dev/two", digest(letter), f"1.{at}.0")
    runs = {digest("b"): "linux/amd64", digest("c"): "linux/amd64", digest("d"): "linux/arm64"}

    class Registry:
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        @staticmethod
        def platforms(_: str, image: str) -> frozenset[str]:
            return frozenset({runs[image]})

    monkeypatch.setattr(new_images, "oci_registry", lambda _: Registry())
    look()
    assert platform.digests()["two"] == "c"


def test_what_is_not_deployed_yet_waits_for_its_release(platform: Platform, ecr: PagingEcr) -> None:
    ecr.push("dev/one", digest("b"), "1.1.0")
    look()
    assert platform.digests() == {}
    platform.release(one="a", two="a")
    look()
    assert platform.digests() == {"one": "b", "two": "a"}


def test_a_protected_environment_is_asked_before(platform: Platform, ecr: PagingEcr) -> None:
    policies(platform, two="prod: {policy: newest-build}")
    release(environment="prod", approved_by="Ada")
    ecr.push("prod/two", digest("b"), "b")
    state = look("prod")
    assert state.is_failed()
    assert "nobody has approved what changes in two" in str(state.message)
    look("prod", approved_by="Ada")
    assert platform.digests("prod")["two"] == "b"


def test_while_ecr_throttles_nothing_moves(platform: Platform, ecr: PagingEcr, monkeypatch: pytest.MonkeyPatch) -> None:
    platform.release(one="a", two="a")
    ecr.push("dev/one", digest("b"), "1.1.0")

    def busy(*_: object) -> None:
        raise TransientError("AWS refused a look at dev/one: Rate exceeded")

    monkeypatch.setattr(new_images, "poll", busy)
    monkeypatch.setattr(new_images.look, "retry_delay_seconds", [0, 0, 0])
    assert "Rate exceeded" in str(look().message)
    assert platform.digests()["one"] == "a"
