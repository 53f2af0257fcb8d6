from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import copy_context

import pytest

from symphony.ending import ended_together, under_way
from symphony.errors import ToolError
from symphony.tool import run


def cancelled_during(work: Callable[[], None], begun: threading.Event) -> None:
    """A run that is cancelled while a thread of it works; returns when that has ended."""
    threads = list[threading.Thread]()

    def run() -> None:
        with ended_together():
            threads.append(threading.Thread(target=copy_context().run, args=(work,)))
            threads[0].start()
            assert begun.wait(10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    threads[0].join(20)


def test_what_takes_too_long_is_ended() -> None:
    stopped = threading.Event()
    with under_way(stopped.set, limit=0.05) as work:
        assert stopped.wait(10)
    assert work.ended == "limit"


def test_what_is_done_in_time_is_not() -> None:
    stopped = threading.Event()
    with under_way(stopped.set, limit=0.05) as work:
        pass
    assert not stopped.wait(0.2)
    assert work.ended == ""


def test_a_cancelled_run_ends_what_its_threads_do_and_what_they_begin_later() -> None:
    begun, ended = threading.Event(), list[str]()

    def work() -> None:
        stopped = threading.Event()
        with under_way(stopped.set) as first:
            begun.set()
            assert stopped.wait(10)
        with under_way(stopped.set) as second:
            ended.extend([first.ended, second.ended])

    cancelled_during(work, begun)
    assert ended == ["run", "run"]


def test_a_failure_ends_nothing_else() -> None:
    stopped = threading.Event()
    with pytest.raises(ValueError, match="no"), ended_together(), under_way(stopped.set):
        raise ValueError("no")
    assert not stopped.is_set()


def test_a_tool_of_a_cancelled_run_is_ended() -> None:
    started, errors = threading.Event(), list[ToolError]()

    def work() -> None:
        try:
            run(["sh", "-c", "echo begun; sleep 600"], on_line=lambda _: started.set())
        except ToolError as error:
            errors.append(error)

    before = time.monotonic()
    cancelled_during(work, started)
    assert errors
    assert time.monotonic() - before < 15
