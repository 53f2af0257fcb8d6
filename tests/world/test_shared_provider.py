"""Drift's plans share provider processes, by real OpenTofu: what is told stays right when those are killed and hang."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

import psutil
import pytest
from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

import tasks.shared_provider
from flows.drift import look_at_units
from sandbox.world import World
from symphony.drift import Finding
from tests.world.unit_tree import LIVE, Repository, an_account, in_account, states, unit

pytestmark = pytest.mark.apart

UNITS = [f"unit-{number}" for number in range(10)]
MOVED = UNITS[-1]
BEGUN_SECONDS = 0.5
"""After this long a plan has attached, and is not done."""


@pytest.fixture(scope="module")
def repository(machine: World, prefect: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """Units side by side, applied; of one, a tag was changed by hand."""
    del prefect
    with an_account(machine, tmp_path_factory) as account, in_account(account, tmp_path_factory) as made:
        made.commit({f"{LIVE}/{name}/terragrunt.hcl": unit(name) for name in UNITS})
        assert set(states(made.provision()).values()) == {"applied"}
        made.released()
        ecr = made.session.client("ecr")
        (found,) = ecr.describe_repositories(repositoryNames=[MOVED])["repositories"]
        ecr.tag_resource(resourceArn=found["repositoryArn"], tags=[{"Key": "note", "Value": "by hand"}])
        yield made


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was told of plans that had to be made again."""
    lines: list[str] = []
    monkeypatch.setattr(tasks.shared_provider, "_log", lines.append)
    return lines


def shared() -> dict[int, psutil.Process]:
    """The provider processes that this run's plans attach to."""
    found = {}
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "-debug" in child.cmdline():
                found[child.pid] = child
    return found


class Saboteur(threading.Thread):
    """Does to one provider process after the other what it is given, in the middle of a plan."""

    def __init__(self, *signals: signal.Signals) -> None:
        super().__init__(daemon=True)
        self.left = list(signals)
        self.seen: dict[int, float] = {}

    def run(self) -> None:
        done: set[int] = set()
        while self.left:
            for pid, process in shared().items():
                begun = self.seen.setdefault(pid, time.monotonic())
                if pid not in done and self.left and time.monotonic() - begun > BEGUN_SECONDS:
                    done.add(pid)
                    process.send_signal(self.left.pop(0))
            time.sleep(0.02)


def look(repository: Repository) -> tuple[list[Finding], set[tuple[str, str]]]:
    @flow(name="drift", task_runner=ThreadPoolTaskRunner(max_workers=8))  # type: ignore[arg-type]
    def body() -> tuple[list[Finding], set[tuple[str, str]]]:
        with repository.change() as change:
            found, unseen = look_at_units(change)
            return found, {(area, where) for area, where in unseen}

    found: tuple[list[Finding], set[tuple[str, str]]] = body()
    return found


def test_what_has_moved_is_told_and_nothing_else_also_when_providers_die_and_hang(
    repository: Repository, said: list[str]
) -> None:
    saboteur = Saboteur(signal.SIGKILL, signal.SIGSTOP)
    saboteur.start()
    found, unseen = look(repository)
    assert not unseen
    assert [(one.where, one.what) for one in found] == [(MOVED, "aws_ecr_repository.this")]
    assert 'tags.note: is "by hand", the commit has "first"' in found[0].told
    assert not saboteur.left
    # The two in whose plans it happened; all others were served.
    assert len([line for line in said if "is planned again" in line]) == len(said) == 2
    assert not shared()
