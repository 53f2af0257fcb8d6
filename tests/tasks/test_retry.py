from __future__ import annotations

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

from symphony.errors import SymphonyError, TransientError
from tasks.retry import TRANSIENT, passing_failures


def test_only_what_passes_is_tried_again_and_each_time_is_told(prefect: None) -> None:
    del prefect
    asked: list[str] = []

    @task(**{**TRANSIENT, "retry_delay_seconds": 0})
    def ask(name: str, failures: list[Exception]) -> str:
        asked.append(name)
        if failures:
            raise failures.pop(0)
        return name

    slow = TransientError("SlowDown.")

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=4))  # type: ignore[arg-type]
    def body() -> dict[str, list[str]]:
        told: dict[str, list[str]] = {}
        plans = {"passes": [slow, slow], "never": [slow] * 9, "denied": [SymphonyError("AccessDenied.")], "well": []}
        futures = []
        for name, failures in plans.items():
            told[name] = []
            with passing_failures(told[name]):
                futures.append(ask.submit(name, failures))
        assert [future.state.is_completed() for future in futures if future.wait() is None] == [
            True,
            False,
            False,
            True,
        ]
        return told

    assert body() == {"passes": ["SlowDown."] * 2, "never": ["SlowDown."] * 3, "denied": [], "well": []}
    assert {name: asked.count(name) for name in asked} == {"passes": 3, "never": 4, "denied": 1, "well": 1}
