from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow, task
from prefect.states import State

from flows import smoke as module
from flows.smoke import smoke_applications
from symphony.errors import SmokeError
from symphony.models import Probe
from tasks import smoke_report
from tasks.answer import Answer, Target
from tasks.chart_tests import ChartTest, ChartTestsError
from tasks.ingress import Entrance
from tasks.probe import ProbeError
from tasks.retry import ONCE

if TYPE_CHECKING:
    from tests.conftest import Delivery

PROBLEMS = {"/": "", "/bad": "status 502: no endpoints"}
ANSWER = Answer(502, (("X-Trace", "t-1"),), b"no\nendpoints", 1.5)
Table = tuple[list[dict[str, object]], str]


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[Table]:
    broken = getattr(request, "param", False)
    left: list[Table] = []

    @task(**ONCE)
    def probe(_change: Any, target: Target, _bases: Any, _until: float) -> Probe:
        found = Probe(application="one", url=target.url, status=200, milliseconds=1.5, problem=PROBLEMS[target.path])
        if not found.passed:
            raise ProbeError(found, ANSWER)
        return found

    @task(**ONCE)
    def look_behind(_change: Any, _target: Target) -> tuple[str, ...]:
        return ("Service one has 0 of 1 endpoints ready", "pod one-1: not ready")

    @task(**ONCE)
    def run_chart_tests(_change: Any, application: str) -> tuple[ChartTest, ...]:
        if broken:
            problem = "container one ended with exit code 1"
            failed = ChartTest(application=application, name="t", seconds=1.5, problem=problem, log=("no table",))
            raise ChartTestsError([failed])
        return (ChartTest(application=application, name="t", seconds=1.5),)

    monkeypatch.setattr(module, "probe", probe)
    monkeypatch.setattr(module, "look_behind", look_behind)
    monkeypatch.setattr(module, "with_tests", lambda _change, names: names)
    monkeypatch.setattr(module, "run_chart_tests", run_chart_tests)
    monkeypatch.setattr(smoke_report, "table", lambda _key, _title, rows, shown: left.append((rows, shown)))
    return left


def run(delivery: Delivery, monkeypatch: pytest.MonkeyPatch, *paths: str) -> tuple[Probe, ...]:
    targets = tuple(Target("one", "one.dev.localhost", path, "http://ingress.example") for path in paths)
    monkeypatch.setattr(module, "read_targets", lambda *_: Entrance(targets, {}))

    @flow
    def body() -> Any:
        return smoke_applications(delivery.change(), [delivery.image("one", "a")])

    found: tuple[Probe, ...] = body()
    return found


@pytest.mark.usefixtures("prefect")
def test_every_url_is_asked_and_listed(
    delivery: Delivery, tables: list[Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [one.url for one in run(delivery, monkeypatch, "/")] == ["http://one.dev.localhost/"]
    assert [(str(row["URL"]), row["status"], row["result"]) for row in tables[0][0]] == [
        ("[http://one.dev.localhost/](http://one.dev.localhost/)", 200, "good"),
        ("test pod t", "Succeeded", "good"),
    ]
    assert tables[0][1] == ""


@pytest.mark.usefixtures("prefect")
def test_one_that_fails_is_named_and_shown_with_all_that_is_known(
    delivery: Delivery, tables: list[Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SmokeError) as failed:
        run(delivery, monkeypatch, "/", "/bad")
    assert str(failed.value) == (
        "1 of 2 URLs of dev did not answer as they should: http://one.dev.localhost/bad: status 502: no endpoints "
        "(Service one has 0 of 1 endpoints ready)."
    )
    rows, shown = tables[0]
    assert [row["result"] for row in rows] == ["good", "status 502: no endpoints", "good"]
    assert "status 502\nX-Trace: t-1\n\nno\nendpoints\n" in shown
    assert "- pod one\\-1: not ready" in shown


@pytest.mark.usefixtures("prefect")
@pytest.mark.parametrize("warning", ["", "the certificate of one.dev.localhost ends in 2.0 days"])
def test_what_warns_fails_a_smoke_run_and_nothing_else(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch, warning: str
) -> None:
    @contextlib.contextmanager
    def opened(_environment: str) -> Iterator[Any]:
        yield delivery.change()

    probe = Probe(application="one", url="u", status=200, milliseconds=1, warning=warning)
    monkeypatch.setattr(module, "open_change", opened)
    monkeypatch.setattr(module, "live_images", lambda *_: ())
    monkeypatch.setattr(module, "smoke_applications", lambda *_: (probe, probe))
    state: State[Any] = module.smoke("dev", return_state=True)  # type: ignore[call-overload]
    if warning:
        assert f"Every URL of dev answers as it should, but {warning}." in str(state.message)
    else:
        assert state.is_completed()


@pytest.mark.usefixtures("prefect")
@pytest.mark.parametrize("tables", [True], indirect=True)
def test_a_test_pod_that_fails_is_a_failure_too(
    delivery: Delivery, tables: list[Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SmokeError) as failed:
        run(delivery, monkeypatch, "/")
    assert str(failed.value) == (
        "Every URL of dev answers as it should, but not so test pod t of one: container one ended with exit code 1."
    )
    rows, shown = tables[0]
    assert rows[1]["status"] == "Failed"
    assert "no table" in shown
