from __future__ import annotations

import dataclasses
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_UI_URL, temporary_settings
from prefect.states import Scheduled

from symphony.change import Change
from symphony.drift import Area, Finding
from symphony.errors import BadInputError
from tasks import reconcile as module
from tasks.reconcile import moved_applications, reconcile, restorable

if TYPE_CHECKING:
    from tests.conftest import Delivery


def moved(area: Area, where: str, what: str = "x", since: str = "T1", **more: Any) -> Finding:
    return Finding(**{"area": area, "kind": "drift", "where": where, "what": what, "since": since, **more})


UNIT, ROLE, DEPLOYMENT = (
    moved("infrastructure", "network"),
    moved("infrastructure", "access", "aws_iam_role.pull"),
    moved("cluster", "one", "Deployment/one", told="it is not as the commit has it"),
)
LEFT = (
    moved("infrastructure", "ecr", kind="pending"),
    moved("infrastructure", "dns", kind="unknown"),
    moved("cluster", "dev", "Pod/debug", kind="stray"),
    moved("cluster", "one", "auto-sync"),
    moved("cluster", "two", "health"),
    moved("images", "one", "dev/one@sha256:1"),
    moved("access", "one", "certificate of one.example"),
)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []

    def start(name: str, **asked: Any) -> FlowRun:
        calls.append({"name": name, **asked})
        return FlowRun(id=uuid.UUID(int=1), name="a run", flow_id=uuid.UUID(int=2), state=Scheduled())

    monkeypatch.setattr(module, "run_deployment", start)
    return calls


def reconciling(delivery: Delivery, *areas: str) -> Change:
    change = delivery.change()
    target = change.target.model_copy(update={"reconcile": areas})
    configuration = change.configuration.model_copy(update={"environments": {"dev": target}})
    return dataclasses.replace(change, configuration=configuration)


def test_only_what_a_run_can_put_back_is_restorable() -> None:
    assert restorable([UNIT, *LEFT, DEPLOYMENT]) == (UNIT, DEPLOYMENT)


def test_what_one_look_found_is_put_back_by_one_run_of_each_flow_started_once(
    delivery: Delivery, started: list[dict[str, Any]]
) -> None:
    change = reconciling(delivery, "infrastructure", "cluster")
    later = moved("infrastructure", "dns", since="T2")
    with temporary_settings({PREFECT_UI_URL: "http://ui"}):
        runs = reconcile.fn(change, [UNIT, ROLE, DEPLOYMENT, later, *LEFT])
    assert [
        (one["name"], one["parameters"]["restore"], one["idempotency_key"].rpartition(":")[2]) for one in started
    ] == [
        ("deploy/dev", ["one"], "T1"),
        ("provision/dev", ["access", "network"], "T1"),
        ("provision/dev", ["dns"], "T2"),
    ]
    assert {one["parameters"]["commit"] for one in started} == {change.commit}
    assert runs[1].where == ("access", "network")
    assert (runs[1].state, runs[1].link) == ("Scheduled", f"http://ui/runs/flow-run/{uuid.UUID(int=1)}")


def test_what_symphony_yaml_does_not_name_is_left_alone(delivery: Delivery, started: list[dict[str, Any]]) -> None:
    assert reconcile.fn(reconciling(delivery, "cluster"), [UNIT, ROLE]) == ()
    assert reconcile.fn(reconciling(delivery), [UNIT, DEPLOYMENT]) == ()
    assert started == []


def test_a_missing_deployment_is_told(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object, **__: object) -> None:
        raise ObjectNotFound(Exception("404"))

    monkeypatch.setattr(module, "run_deployment", start)
    with pytest.raises(BadInputError, match="Prefect has no deployment provision/dev, which would put back"):
        reconcile.fn(reconciling(delivery, "infrastructure"), [UNIT])


def test_an_application_that_the_deployment_does_not_know_is_told(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: object, **__: object) -> None:
        answer = httpx.Response(409, text="'one' is not one of ['two']", request=httpx.Request("POST", "http://x"))
        raise PrefectHTTPStatusError("refused", request=answer.request, response=answer)

    monkeypatch.setattr(module, "run_deployment", start)
    with pytest.raises(BadInputError, match=r"no run of deploy/dev that puts back one .*`symphony deploy-flows`"):
        reconcile.fn(reconciling(delivery, "cluster"), [DEPLOYMENT])


def test_an_answer_holds_for_what_has_moved_and_not_for_more(delivery: Delivery) -> None:
    change = delivery.change()
    first, _ = moved_applications(change, [DEPLOYMENT, *LEFT])
    more, _ = moved_applications(change, [DEPLOYMENT, moved("cluster", "one", "Service/one")])
    assert set(first) == set(more) == {"one"}
    assert first != more
    assert moved_applications(change, [DEPLOYMENT]) == (first, "")
