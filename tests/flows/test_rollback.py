from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prefect.states import State

from flows import rollback as module
from flows import rollout, stages
from flows.rollback import rollback
from symphony.change import Change
from symphony.models import Commit
from tasks.git import git
from tasks.holds import read_holds

if TYPE_CHECKING:
    from tests.flows.conftest import Platform


def back(*applications: str, **more: Any) -> State[Any]:
    names = list(applications) or None
    state: State[Any] = rollback(environment="dev", applications=names, return_state=True, **more)  # type: ignore[call-overload]
    return state


def test_it_goes_back_to_the_last_good_release_by_one_commit_and_is_recorded(platform: Platform) -> None:
    platform.release(one="a", two="a")
    good = platform.tree("one")
    platform.release(one="b")
    left, there = platform.records()[0], platform.head()
    state = back("one", who="Ada", why="It is slow.")
    assert state.name == "Completed"
    assert platform.tree("one") == good
    assert git("rev-list", "--count", f"{there}..{platform.head()}", cwd=platform.mirror) == "1"
    record = platform.records()[0]
    assert (record.kind, record.state, record.who, record.why) == ("rollback", "succeeded", "Ada", "It is slow.")
    assert record.undoes == {"one": left.name}
    assert record.commit == platform.records()[-1].commit
    assert [image.digest[7] for image in record.images] == ["a"]
    assert list(record.stages) == ["deploy", "smoke"]
    assert ("one",) in platform.locked


def test_what_is_held_no_release_moves_until_it_is_lifted(platform: Platform) -> None:
    platform.release(one="a", two="a")
    platform.release(one="b")
    back("one", who="Ada", why="It is slow.")
    state = platform.release(one="c")
    assert state.name == "Held"
    assert "by Ada: It is slow." in str(state.message)
    assert platform.records()[0].state == "held"
    state = platform.release(two="b")
    assert "Left as it is in dev: one (held since" in str(state.message)
    assert platform.digests() == {"one": "a", "two": "b"}
    assert "one" in platform.records()[0].left

    assert "Lifted in dev: one" in str(back(action="lift the hold").message)
    platform.release()
    assert platform.digests() == {"one": "c", "two": "b"}, "what was held back was forgotten"


def test_the_same_release_again_brings_back_what_was_rolled_back_once_it_is_lifted(platform: Platform) -> None:
    platform.release(one="a", two="a")
    platform.release(one="b")
    back()
    back(action="lift the hold")
    platform.release()
    assert platform.digests() == {"one": "b", "two": "a"}


def test_all_go_back_to_what_the_environment_was_and_the_rest_stays(platform: Platform) -> None:
    platform.release(one="a", two="a")
    platform.release(one="b", two="b")
    platform.release(two="c")
    back()
    assert platform.digests() == {"one": "b", "two": "b"}
    assert list(read_holds(platform.mirror, "dev")) == ["two"]


def test_each_further_one_goes_a_step_back_and_the_first_has_none(platform: Platform) -> None:
    for letter in "abc":
        platform.release(one=letter)
    back("one")
    assert platform.digests()["one"] == "b"
    back("one")
    assert platform.digests()["one"] == "a"
    state = back("one")
    assert state.is_failed()
    assert "No earlier release of dev has passed its smoke tests" in str(state.message)
    assert platform.digests()["one"] == "a"


def test_a_release_that_was_rolled_back_is_not_gone_back_to_by_itself_but_by_name(platform: Platform) -> None:
    platform.release(one="a")
    platform.release(one="b")
    wrong = platform.records()[0]
    back("one")
    back(action="lift the hold")
    platform.release(one="c")
    back("one")
    assert platform.digests()["one"] == "a"
    back("one", release=wrong.run[:8])
    assert platform.digests()["one"] == "b"
    assert back("one", release=wrong.commit).name == "Completed"


def test_a_failed_release_is_no_goal(platform: Platform) -> None:
    platform.release(one="a")
    platform.mute = "b"
    failed = platform.release(one="b")
    assert failed.is_failed()
    platform.release(one="c")
    back("one")
    assert platform.digests()["one"] == "a"
    named = back("one", release=platform.records()[2].name)
    assert named.is_failed()
    assert "has not passed its smoke tests" in str(named.message)


@pytest.mark.parametrize("dies", ["before", "after"])
def test_started_again_after_a_crash_it_goes_no_further_step_back(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    for letter in "abc":
        platform.release(one=letter)
    left = platform.records()[0]
    deploy_trees = module.deploy_trees

    def killed(*arguments: Any, **more: Any) -> Any:
        if dies == "after":
            deploy_trees(*arguments, **more)
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(module, "deploy_trees", killed)
        patched.setattr(stages, "_keep", lambda _: None)
        with pytest.raises(SystemExit):
            back("one")
    assert platform.digests()["one"] == {"before": "c", "after": "b"}[dies]
    assert "one" in read_holds(platform.mirror, "dev")
    back("one")
    assert platform.digests()["one"] == "b"
    assert platform.records()[0].undoes == {"one": left.name}
    back("one")
    assert platform.digests()["one"] == "a"


@pytest.mark.parametrize("wrong", ["bad", "mute"])
def test_one_that_does_not_come_up_leaves_all_as_it_was_and_unheld(platform: Platform, wrong: str) -> None:
    platform.release(one="a")
    platform.release(one="b")
    tree = platform.tree("one")
    setattr(platform, wrong, "a")
    assert back("one").is_failed()
    assert platform.tree("one") == tree
    assert read_holds(platform.mirror, "dev") == {}
    assert platform.records()[0].state == "failed"


def test_a_failed_one_leaves_the_hold_that_was_there_before(platform: Platform) -> None:
    for letter in "abc":
        platform.release(one=letter)
    back("one", why="the first")
    platform.bad = "a"
    assert back("one", why="the second").is_failed()
    assert read_holds(platform.mirror, "dev")["one"].why == "the first"


def test_what_somebody_moves_meanwhile_is_left_alone(platform: Platform) -> None:
    platform.release(one="a")
    platform.release(one="b")
    platform.on_lock = lambda: platform.release(one="c")
    state = back("one")
    assert state.name == "Superseded"
    assert platform.digests()["one"] == "c"
    assert read_holds(platform.mirror, "dev") == {}


def test_two_at_once_go_one_step_back(platform: Platform) -> None:
    for letter in "abc":
        platform.release(one=letter)
    platform.on_lock = lambda: back("one")
    assert back("one").name == "Completed"
    assert platform.digests()["one"] == "b"


def test_where_a_person_merges_it_waits_as_long_as_the_run_was_told(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def merge(change: Change, proposed: Commit, _: object, hours: float) -> Commit:
        given.append(hours)
        git("push", "--quiet", "origin", f"{proposed}:refs/heads/env/dev", cwd=change.mirror)
        return proposed

    monkeypatch.setattr(rollout, "wait_for_merge", merge)
    text = (platform.delivery.copy / "symphony.yaml").read_text()
    platform.delivery.commit("symphony.yaml", text.replace("  dev: &dev\n", "  dev: &dev\n    proposals: true\n"))
    platform.release(one="a")
    platform.release(one="b")
    assert back("one", approval_hours=2).name == "Completed"
    assert given == [24, 24, 2]
    assert platform.digests()["one"] == "a"


def test_an_environment_without_a_release_says_so(platform: Platform) -> None:
    del platform
    state = back()
    assert state.is_failed()
    assert "Nothing has gone live in 'dev' yet" in str(state.message)
