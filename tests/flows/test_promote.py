from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.exceptions import Pause
from prefect.runtime import flow_run
from prefect.states import State

from flows.deploy import deploy
from flows.promote import promote, promote_trees
from symphony.models import Approval
from symphony.record import Hold
from tasks import approval
from tasks.desired import read_desired
from tasks.git import git
from tasks.holds import place_holds
from tasks.outputs import publish_outputs

if TYPE_CHECKING:
    from tests.flows.conftest import Platform


def to(environment: str, *applications: str, **more: Any) -> State[Any]:
    names = list(applications) or None
    state: State[Any] = promote(environment=environment, applications=names, return_state=True, **more)  # type: ignore[call-overload]
    return state


def test_charts_and_digests_move_on_with_the_targets_own_values(platform: Platform) -> None:
    platform.delivery.commit("charts/one/values.staging.yaml", "{}\n")
    platform.release(one="a", two="b")
    passed = platform.records()[0]
    state = to("staging", who="Ada", why="It is good.")
    assert state.name == "Completed"
    assert platform.digests("staging") == platform.digests("dev") == {"one": "a", "two": "b"}
    for name in ("one", "two"):
        assert platform.tree(name, "staging")[0] == platform.tree(name)[0], "another chart"
    entry = read_desired(platform.mirror, "staging")["one"]
    assert (entry.environment, entry.values, entry.repository) == (
        "staging",
        ("values.staging.yaml",),
        "registry.example/dev/one",
    )
    record = platform.records("staging")[0]
    assert (record.kind, record.origin, record.commit) == ("promote", passed.name, passed.commit)
    assert (record.who, record.why, record.state) == ("Ada", "It is good.", "succeeded")

    before = platform.head("staging")
    assert "has everything already" in str(to("staging").message)
    assert platform.head("staging") == before
    assert len(platform.records("staging")) == 1


def test_values_from_infrastructure_are_the_targets_own(platform: Platform) -> None:
    text = (platform.delivery.copy / "symphony.yaml").read_text()
    text = text.replace("charts/one, repository", 'charts/one, values: {role: "{access.role}"}, repository')
    platform.delivery.commit("symphony.yaml", text)
    for environment in ("dev", "staging"):
        publish_outputs.fn(platform.mirror, environment, {"access": {"role": f"the role of {environment}"}})
    platform.release(one="a")
    to("staging", "one")
    assert read_desired(platform.mirror, "staging")["one"].infrastructure == {"role": "the role of staging"}
    assert platform.digests("staging") == {"one": "a"}


def test_chosen_applications_move_alone(platform: Platform) -> None:
    platform.release(one="a", two="b")
    to("staging", "two")
    assert platform.digests("staging") == {"two": "b"}
    assert "has no three" in str(to("staging", "three").message)


def test_it_goes_through_all_environments_in_their_order(platform: Platform) -> None:
    platform.release(one="a", two="b")
    state = to("prod", approved_by="Ada")
    assert "Nothing in staging has passed its smoke tests" in str(state.message)
    assert "first of dev → staging → prod" in str(to("dev").message)
    to("staging")
    assert to("prod", approved_by="Ada").name == "Completed"
    assert platform.digests("prod") == {"one": "a", "two": "b"}
    assert platform.records("prod")[0].approved_by == "Ada"


def test_the_last_good_release_is_promoted_not_what_failed_after_it(platform: Platform) -> None:
    platform.release(one="a")
    platform.mute = "b"
    platform.release(one="b")
    to("staging", "one")
    assert platform.digests("staging") == {"one": "a"}


def test_a_named_release_is_promoted(platform: Platform) -> None:
    platform.release(one="a")
    named = platform.records()[0].run
    platform.release(one="b")
    to("staging", "one", release=named)
    assert platform.digests("staging") == {"one": "a"}


def test_what_was_deployed_without_a_smoke_test_stays(platform: Platform) -> None:
    platform.release(one="a", two="a")
    deploy(environment="dev", images={"two": "sha256:" + "b" * 64})
    platform.release(one="b")
    state = to("staging")
    assert state.is_failed()
    assert "two has passed no smoke test in dev as it is there" in str(state.message)
    assert platform.head("staging") == ""
    assert to("staging", "one").name == "Completed"


def test_a_proposal_waits_for_its_merge_as_long_as_the_run_was_told(platform: Platform) -> None:
    text = (platform.delivery.copy / "symphony.yaml").read_text()
    platform.delivery.commit("symphony.yaml", text.replace("  staging: {", "  staging: {proposals: true, "))
    platform.release(one="a")
    state = to("staging", "one", approval_hours=0.0002)
    assert state.is_failed()
    assert "into env/staging within 0.0002 hours" in str(state.message)


def test_what_has_not_soaked_stays(platform: Platform) -> None:
    text = (platform.delivery.copy / "symphony.yaml").read_text()
    text = text.replace("  staging: {", "  staging: {promotion: {soak: 3600}, ")
    platform.delivery.commit("symphony.yaml", text)
    platform.release(one="a")
    state = to("staging", "one")
    assert state.is_failed()
    assert "of the 3600 s that it must soak" in str(state.message)
    assert platform.head("staging") == ""


def test_an_older_commit_never_overtakes_a_newer_one(platform: Platform) -> None:
    platform.release(one="a")
    older = platform.records()[0].run
    platform.release(one="b")
    to("staging", "one")
    state = to("staging", "one", release=older)
    assert state.name == "Superseded"
    assert platform.digests("staging") == {"one": "b"}


def test_what_is_held_stays_and_the_rest_moves(platform: Platform) -> None:
    platform.release(one="a", two="a")
    hold = Hold(environment="staging", application="one", who="Ada", why="A demo.", since="now")
    place_holds.fn(platform.mirror, "staging", [hold])
    state = to("staging")
    assert "one (held since now by Ada: A demo.)" in str(state.message)
    assert platform.digests("staging") == {"two": "a"}
    assert to("staging").name == "Held"


def test_an_application_that_is_no_more_goes_too(platform: Platform) -> None:
    platform.release(one="a", two="a")
    to("staging")
    text = (platform.delivery.copy / "symphony.yaml").read_text()
    platform.delivery.commit("symphony.yaml", "\n".join(line for line in text.splitlines() if "apps/two" not in line))
    platform.release(one="b")
    to("staging")
    assert platform.digests("staging") == {"one": "b"}


class Person:
    """Answers each question."""

    def __init__(self, decision: Any) -> None:
        self.decision, self.asked = decision, list[dict[str, str]]()

    def answer(self, change: Any, bound: Any, *_: Any) -> Approval:
        self.asked.append(bound[1])
        return Approval(approver="Ada", decision=self.decision, at="now", commit=change.commit)


@pytest.fixture
def staged(platform: Platform) -> Platform:
    platform.release(one="a", two="a")
    to("staging")
    return platform


def answer(monkeypatch: pytest.MonkeyPatch, decision: str) -> Person:
    person = Person(decision)
    monkeypatch.setattr(approval, "can_ask", lambda: True)
    monkeypatch.setattr(approval, "_answer", person.answer)
    return person


def test_a_protected_environment_waits_for_an_answer(staged: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is protected and nobody has approved" in str(to("prod").message)
    assert staged.head("prod") == ""
    person = answer(monkeypatch, "approve")
    assert to("prod").name == "Completed"
    (decided,) = staged.records("prod")[0].approvals
    assert (decided.approver, decided.manifests) == ("Ada", person.asked[0])


def test_a_refused_promotion_changes_nothing_and_is_recorded(staged: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "refuse")
    state = to("prod")
    assert "Ada refused the deploy to prod" in str(state.message)
    assert staged.head("prod") == ""
    assert staged.records("prod")[0].state == "failed"


def test_what_changes_after_the_answer_is_asked_about_anew(staged: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    person = answer(monkeypatch, "approve")
    staged.on_lock = lambda: to("prod", "one", approved_by="Bob")
    assert to("prod").name == "Completed"
    assert [sorted(hashes) for hashes in person.asked] == [["one", "two"], ["two"]]
    assert staged.digests("prod") == {"one": "a", "two": "a"}


def test_two_at_once_move_it_once(staged: Platform) -> None:
    staged.on_lock = lambda: to("prod", approved_by="Ada")
    state = to("prod", approved_by="Bob")
    assert "has everything already" in str(state.message)
    assert git("rev-list", "--count", staged.head("prod"), cwd=staged.mirror) == "1"


def test_a_promotion_that_does_not_come_up_is_put_back(platform: Platform) -> None:
    platform.release(one="a")
    to("staging", "one")
    platform.release(one="b")
    tree = platform.tree("one", "staging")
    platform.mute = "b"
    assert to("staging", "one").is_failed()
    assert platform.tree("one", "staging") == tree
    assert platform.records("staging")[0].state == "failed"


def test_a_run_that_was_suspended_goes_on_with_the_release_it_began_with(
    staged: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def suspend(*_: Any, **__: Any) -> None:
        raise Pause

    begun: list[Any] = []

    @flow
    def body() -> None:
        change = replace(staged.delivery.change(), environment="prod")
        with pytest.raises(Pause):
            promote_trees(change)
        staged.release(one="b")
        to("staging")
        with get_client(sync_client=True) as client:
            begun.append(client.read_flow_run(flow_run.id))
        with monkeypatch.context() as resumed:
            resumed.setattr(
                "tasks.promotion.FlowRunContext", SimpleNamespace(get=lambda: SimpleNamespace(flow_run=begun[0]))
            )
            assert promote_trees(change, approved_by="Ada") is not None

    monkeypatch.setattr(approval, "can_ask", lambda: True)
    monkeypatch.setattr(approval, "_answer", suspend)
    body()
    assert staged.digests("staging")["one"] == "b"
    assert staged.digests("prod")["one"] == "a"
