from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from deployments.client import PrefectApi
from symphony.errors import BadInputError, SymphonyError


def api(answer: Callable[[httpx.Request], httpx.Response]) -> PrefectApi:
    made = PrefectApi("http://prefect.test/api/", "admin:secret")
    made._http = httpx.Client(  # noqa: SLF001 - the wire is replaced, nothing else
        base_url=made.url, auth=("admin", "secret"), transport=httpx.MockTransport(answer)
    )
    return made


def run(state: str = "RUNNING", **more: Any) -> dict[str, Any]:
    return {
        "id": "r1",
        "name": "release",
        "state_type": state,
        "state_name": state.title(),
        "state": {"message": "why"},
        **more,
    }


def test_a_run_is_started_with_its_key_and_the_credentials() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        listing = request.url.path.endswith("deployments/filter")
        return httpx.Response(200, json=[{"name": "dev", "id": "d1"}] if listing else run())

    started = api(answer).start("release", "dev", {"commit": "main"}, "key-1")
    assert started.id == "r1"
    assert seen[1].url.path == "/api/deployments/d1/create_flow_run"
    assert json.loads(seen[1].content)["idempotency_key"] == "key-1"
    assert seen[1].headers["authorization"].startswith("Basic ")


def test_a_parameter_that_the_flow_does_not_have_starts_nothing() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        schema = {"properties": {"commit": {}, "environment": {}}}
        return httpx.Response(200, json=[{"name": "dev", "id": "d1", "parameter_openapi_schema": schema}])

    with pytest.raises(BadInputError, match="release has no parameter comit; there are: commit, environment"):
        api(answer).start("release", "dev", {"comit": "main", "environment": "dev"})
    assert seen == ["/api/deployments/filter"]


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, BadInputError, "refuses the credentials"),
        (404, BadInputError, "does not know the run r1"),
        (422, BadInputError, "refuses GET"),
        (500, SymphonyError, "failed on GET .* with status 500"),
    ],
)
def test_each_refusal_is_one_sentence(status: int, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        api(lambda _: httpx.Response(status)).run("r1")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"detail":"commit is too short."}', "commit is too short."),
        (
            '{"exception_detail":[{"loc":["body","name"],"msg":"Field required"},{"loc":["body"],"msg":"Bad"}]}',
            "name: Field required; Bad",
        ),
        ("<html>", "<html>"),
        ('["no"]', "no"),
    ],
)
def test_what_a_refusal_says_is_told_without_its_json(body: str, said: str) -> None:
    with pytest.raises(BadInputError) as refused:
        api(lambda _: httpx.Response(422, text=body)).run("r1")
    assert str(refused.value).endswith(f"/flow_runs/r1: {said}")


def test_an_unknown_deployment_is_named_with_those_that_are_there() -> None:
    there = api(lambda _: httpx.Response(200, json=[{"name": "dev", "id": "d1"}, {"name": "prod", "id": "d2"}]))
    with pytest.raises(BadInputError, match="no deployment release/moon; there are: release/dev, release/prod"):
        there.start("release", "moon", {})


def test_a_start_that_is_sent_again_names_the_same_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PrefectApi._send.retry, "sleep", lambda _: None)  # type: ignore[attr-defined]  # noqa: SLF001
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("filter"):
            return httpx.Response(200, json=[{"name": "dev", "id": "d1"}])
        keys.append(json.loads(request.content)["idempotency_key"])
        if len(keys) == 1:
            raise httpx.ReadTimeout("slow", request=request)
        return httpx.Response(200, json=run())

    api(answer).start("release", "dev", {})
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_a_server_that_does_not_answer_is_asked_again_and_then_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PrefectApi._send.retry, "stop", lambda state: state.attempt_number >= 3)  # type: ignore[attr-defined]  # noqa: SLF001
    monkeypatch.setattr(PrefectApi._send.retry, "sleep", lambda _: None)  # type: ignore[attr-defined]  # noqa: SLF001
    tries: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        tries.append(1)
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(SymphonyError, match=r"http://prefect\.test/api does not answer"):
        api(answer).run("r1")
    assert len(tries) == 3


def test_a_run_is_followed_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.client._POLL_SECONDS", 0)
    states = iter(["PENDING", "RUNNING", "COMPLETED"])

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=[] if request.url.path.endswith("filter") else run(next(states)))

    assert [now.state_type for now, _ in api(answer).follow("r1")] == ["PENDING", "RUNNING", "COMPLETED"]


def test_a_run_is_found_by_its_key_and_its_page_by_the_artifacts_key() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if request.url.path.endswith("artifacts/filter"):
            return httpx.Response(
                200, json=[{"data": "# page"}] if body["artifacts"]["key"]["any_"] == ["release-dev"] else []
            )
        return httpx.Response(200, json=[run()] if body["flow_runs"]["idempotency_key"]["any_"] == ["here"] else [])

    client = api(answer)
    assert client.find("nowhere") is None
    found = client.find("here")
    assert found is not None
    assert client.artifact(found.id, "release-dev") == "# page"
    assert client.artifact(found.id, "other") is None
    assert client.link("r1") == "http://prefect.test/runs/flow-run/r1"
    assert found.message == "why"


@pytest.mark.parametrize("status", [503, 502])
def test_a_server_whose_database_was_locked_or_that_has_just_gone_is_asked_again(status: int) -> None:
    answers = [httpx.Response(status), httpx.Response(200, json=run())]
    assert api(lambda _: answers.pop(0)).run("r1").id == "r1"
    assert answers == []


def test_versions_of_deployments_are_told_by_whole_name_over_all_pages() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        if request.url.path.endswith("/flows/filter"):
            return httpx.Response(200, json=[{"id": "f", "name": "smoke"}])
        numbers = range(asked["offset"], min(asked["offset"] + asked["limit"], 201))
        return httpx.Response(
            200,
            json=[
                {"flow_id": "f", "name": f"d{n}", "version": "v", "entrypoint": f"{whose}.smoke.smoke"} for n in numbers
            ],
        )

    whose = "flows"
    found = api(answer).versions()
    assert len(found) == 201
    assert found["smoke/d200"] == "v"
    whose = "others"
    assert api(answer).versions() == {}


def test_a_server_that_never_comes_is_waited_for_no_longer_than_asked() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(SymphonyError, match="did not answer within 0 s"):
        api(refuse).wait(0.1)
    api(lambda _: httpx.Response(200, json=True)).wait(0.1)
