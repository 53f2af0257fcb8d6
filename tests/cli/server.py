"""A Prefect server of one run, and the command line as a person calls it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cli import main
from deployments.client import Run, TaskState


class Server:
    """Runs go through some states, and leave a page under every key."""

    def __init__(self, *states: str, message: str = "It is live.") -> None:
        self.states, self.message = states or ("COMPLETED",), message
        self.at = 0
        self.started: list[tuple[str, str, dict[str, Any], str | None]] = []
        self.cancelled: list[str] = []

    def start(self, flow: str, deployment: str, parameters: dict[str, Any], key: str | None = None) -> Run:
        self.started.append((flow, deployment, parameters, key))
        return self.run("r")

    def run(self, identity: str) -> Run:
        state = self.states[self.at]
        return Run(id=identity, name="n", state_type=state, state_name=state.title(), state={"message": self.message})

    def follow(self, identity: str) -> Iterator[tuple[Run, list[TaskState]]]:
        while True:
            yield self.run(identity), []
            if self.at == len(self.states) - 1:
                return
            self.at += 1

    def cancel(self, identity: str) -> None:
        self.cancelled.append(identity)

    def artifact(self, _: str, key: str) -> str | None:
        return f"The page {key}"

    def link(self, identity: str) -> str:
        return f"http://prefect/{identity}"


def symphony(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Its exit code."""
    monkeypatch.setattr("sys.argv", ["symphony", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code
