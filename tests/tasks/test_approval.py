from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from symphony.change import Change
from symphony.errors import BadInputError, DeployError
from symphony.models import ResourceChange, UnitPlan
from tasks import approval
from tasks.approval import Consent, Decision, ask, can_ask

PLAN = UnitPlan(unit="network", changes=(ResourceChange(address="a.b", action="replace"),), hash="a" * 64)
CONFIGURATION: Any = None


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    questions: list[dict[str, Any]] = []

    def suspend(**question: Any) -> Decision:
        questions.append(question)
        return Decision(approver=" Ada ", decision="approve", reason="It is time.")

    monkeypatch.setattr(approval, "suspend_flow_run", suspend)
    return questions


def question(commit: str = "c" * 40, plan: UnitPlan = PLAN, file: str = "f") -> Any:
    change = Change(CONFIGURATION, "prod", commit, None, Path(), Path(), "run", None)
    return ask(change, {"network": plan}, {"network": file}, page="http://prefect/artifacts/1", hours=2)


def test_the_form_shows_what_would_change_and_where_to_read_it(asked: list[dict[str, Any]]) -> None:
    question()
    description = asked[0]["wait_for_input"]._description  # noqa: SLF001 - Prefect has no other way to read it
    assert "1 to replace" in description
    assert "http://prefect/artifacts/1" in description
    assert "cccccccccccc" in description
    assert asked[0]["timeout"] == 7200


def test_an_answer_names_who_what_why_and_the_plans(asked: list[dict[str, Any]]) -> None:
    answer = question()
    assert (answer.approver, answer.decision, answer.reason) == ("Ada", "approve", "It is time.")
    assert (answer.commit, answer.plans) == ("c" * 40, {"network": "a" * 64})
    assert len(asked) == 1


def test_an_answer_is_bound_to_commit_hash_and_file(asked: list[dict[str, Any]]) -> None:
    for changed in ({}, {"commit": "d" * 40}, {"plan": PLAN.model_copy(update={"hash": "b" * 64})}, {"file": "g"}, {}):
        question(**changed)  # type: ignore[arg-type]
    keys = [one["key"] for one in asked]
    assert keys[0] == keys[-1]
    assert len(set(keys)) == 4


@pytest.mark.parametrize("wrong", [{"approver": ""}, {"approver": "   "}, {"decision": "perhaps"}])
def test_the_form_takes_a_name_and_a_clear_answer_alone(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Decision(**{"approver": "Ada", "decision": "approve", **wrong})  # type: ignore[arg-type]


def test_a_run_of_no_deployment_cannot_wait() -> None:
    assert not can_ask()


def deploy_to(*, protected: bool = True) -> Any:
    target = SimpleNamespace(protected=protected)
    configuration: Any = SimpleNamespace(environments={"prod": target})
    return Change(configuration, "prod", "c" * 40, None, Path(), Path(), "run", None)


@pytest.mark.parametrize(
    ("consent", "protected", "changed", "by"),
    [
        (Consent(), False, {"one": "1"}, ""),
        (Consent(), True, {}, ""),
        (Consent(beforehand=" Grace "), True, {"one": "1"}, "Grace"),
    ],
)
def test_nobody_is_asked_about_a_deploy_without_need(
    consent: Consent, changed: dict[str, str], by: str, asked: list[dict[str, Any]], *, protected: bool
) -> None:
    assert consent.obtain(deploy_to(protected=protected), changed, "") == by
    assert asked == []


def test_a_deploy_that_nobody_can_be_asked_about_is_not_made(asked: list[dict[str, Any]]) -> None:
    with pytest.raises(BadInputError, match="protected and nobody has approved what changes in one, two"):
        Consent(beforehand="  ").obtain(deploy_to(), {"two": "2", "one": "1"}, "")
    assert asked == []


def test_an_answer_about_a_deploy_is_bound_to_what_changes(
    asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approval, "can_ask", lambda: True)
    consent = Consent(hours=3)
    for changed in ({"one": "1"}, {"one": "2"}, {"two": "1"}, {"one": "1"}):
        assert consent.obtain(deploy_to(), changed, "http://prefect/changes") == "Ada"
    keys = [one["key"] for one in asked]
    assert keys[0] == keys[-1]
    assert len(set(keys)) == 3
    assert consent.answers[0].manifests == {"one": "1"}
    assert asked[0]["timeout"] == 3 * 3600
    assert "http://prefect/changes" in asked[0]["wait_for_input"]._description  # noqa: SLF001 - no other way to read it


def test_a_refused_deploy_says_who_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approval, "can_ask", lambda: True)
    no = Decision(approver="Ada\nSymphony-Commit: x", decision="refuse", reason="Friday")
    monkeypatch.setattr(approval, "suspend_flow_run", lambda **_: no)
    consent = Consent()
    with pytest.raises(DeployError, match="Ada Symphony-Commit: x refused the deploy to prod: Friday"):
        consent.obtain(deploy_to(), {"one": "1"}, "")
    assert consent.answers[0].decision == "refuse"
