from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow

from flows import smoke as module
from flows.smoke import smoke_applications
from symphony.errors import SmokeError
from symphony.models import Probe
from tasks.ingress import ProbeError, Target
from tasks.retry import ONCE

if TYPE_CHECKING:
    from tests.conftest import Delivery

PROBLEMS = {"/": "", "/bad": "status 502: no endpoints"}


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> list[list[dict[str, object]]]:
    from prefect import task  # noqa: PLC0415 - only here

    left: list[list[dict[str, object]]] = []

    @task(**ONCE)
    def probe(target: Target, seconds: float) -> Probe:
        assert seconds == 1
        found = Probe(application="one", url=target.url, status=200, milliseconds=1.5, problem=PROBLEMS[target.path])
        if not found.passed:
            raise ProbeError(found)
        return found

    monkeypatch.setattr(module, "probe", probe)
    monkeypatch.setattr(module, "table", lambda _key, _title, rows: left.append(rows))
    return left


def run(delivery: Delivery, monkeypatch: pytest.MonkeyPatch, *paths: str) -> tuple[Probe, ...]:
    targets = tuple(Target("one", "one.dev.localhost", path, "http://ingress.example") for path in paths)
    monkeypatch.setattr(module, "read_targets", lambda *_: targets)

    @flow
    def body() -> Any:
        return smoke_applications(delivery.change(), [delivery.image("one", "a")])

    found: tuple[Probe, ...] = body()
    return found


@pytest.mark.usefixtures("prefect")
def test_every_url_is_asked_and_listed(
    delivery: Delivery, tables: list[list[dict[str, object]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [one.url for one in run(delivery, monkeypatch, "/")] == ["http://one.dev.localhost/"]
    assert tables[0][0]["result"] == "good"


@pytest.mark.usefixtures("prefect")
def test_one_that_fails_is_named_and_listed_among_the_others(
    delivery: Delivery, tables: list[list[dict[str, object]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SmokeError) as failed:
        run(delivery, monkeypatch, "/", "/bad")
    assert str(failed.value) == (
        "1 of 2 URLs of dev did not answer as they should: http://one.dev.localhost/bad: status 502: no endpoints."
    )
    assert [row["result"] for row in tables[0]] == ["good", "status 502: no endpoints"]
