from __future__ import annotations

import contextlib
import contextvars
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from symphony.ending import ended_together
from symphony.errors import TransientError
from symphony.models import Image, Probe
from symphony.smoke import Expected
from tasks import probe as module
from tasks.answer import Answer, Target
from tasks.probe import ProbeError, percentile, probe

if TYPE_CHECKING:
    from tests.conftest import Delivery

DIGEST = "sha256:" + "d" * 64
IMAGE = Image(application="one", repository="r/one", tag="t", digest=DIGEST, built=True, commit="c" * 40)
VERSION = Target("one", "one.dev.localhost", "/version", "http://ingress.example", Expected(), IMAGE)
NEW, OLD = (Answer(200, (), f'{{"digest": "sha256:{letter * 64}"}}'.encode(), 4.0) for letter in "de")


def run(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch, *answers: Answer, seconds: float = 5, target: Target = VERSION
) -> tuple[Probe, int]:
    """What came of it, and how often was asked; the last answer is given again and again."""
    given = list(answers)
    count = 0

    def ask(*_: object) -> Answer:
        nonlocal count
        count += 1
        return given.pop(0) if len(given) > 1 else given[0]

    monkeypatch.setattr(module, "ask", ask)
    return probe.fn(delivery.change(), target, {}, time.monotonic() + seconds), count


def test_several_good_answers_in_a_row_are_needed(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    found, count = run(delivery, monkeypatch, OLD, NEW, NEW, OLD, NEW)
    assert found.passed
    assert count == 7


def test_what_never_answers_well_ends_with_its_last_problem(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = time.monotonic()
    with pytest.raises(ProbeError, match=r"^http://one\.dev\.localhost/version: status 503: no endpoints$") as failed:
        run(delivery, monkeypatch, Answer(503, (), b"no endpoints", 1.0), seconds=0.3)
    assert time.monotonic() - started < 2
    assert failed.value.answer.body == b"no endpoints"


def test_nobody_is_asked_any_more_once_the_run_is_cancelled(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, change = threading.Event(), delivery.change()

    def ask(*_: object) -> Answer:
        begun.set()
        return OLD

    monkeypatch.setattr(module, "ask", ask)
    until = time.monotonic() + 60
    with ThreadPoolExecutor(1) as pool:
        with contextlib.suppress(KeyboardInterrupt), ended_together():
            here = contextvars.copy_context()
            asked = pool.submit(lambda: here.run(probe.fn, change, VERSION, {}, until))
            assert begun.wait(20)
            raise KeyboardInterrupt
        with pytest.raises(ProbeError):
            asked.result(timeout=20)


def test_two_versions_in_turn_never_settle(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProbeError, match="it is sha256:eeeeeeeeeeee, not sha256:dddddddddddd"):
        run(delivery, monkeypatch, *[NEW, OLD] * 100, seconds=0.4)


def test_the_table_tells_the_median_and_what_95_of_100_keep_to(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [Answer(200, (), NEW.body, milliseconds) for milliseconds in (5.0, 1.0, 90.0)]
    found, _ = run(delivery, monkeypatch, *times)
    assert (found.milliseconds, found.p95) == (5.0, 90.0)
    assert percentile(list(range(1, 101)), 0.95) == 95
    assert percentile([], 0.5) is None


def test_a_registry_that_does_not_tell_the_commit_is_a_problem_that_may_pass(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [TransientError("The registry does not answer."), "a" * 40]

    def recorded(*_: object) -> str:
        next_one = told.pop(0)
        if isinstance(next_one, TransientError):
            raise next_one
        return next_one

    monkeypatch.setattr(module, "recorded_commit", recorded)
    answer = Answer(200, (), f'{{"commit": "{"a" * 40}"}}'.encode(), 1.0)
    found, count = run(delivery, monkeypatch, answer)
    assert found.passed
    assert (count, told) == (4, [])
