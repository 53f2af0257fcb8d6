"""The sandbox as a whole: leaves nothing, comes up in time, and is repaired. Runs before the other tests here."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Self

import psutil
import pytest

from sandbox import daemon, footprint
from sandbox.docker import base_image
from sandbox.docker.sources import mirror
from sandbox.footprint import Footprint
from sandbox.lifecycle import Event, down, up
from sandbox.part import PartError
from sandbox.parts import parts
from sandbox.status import memory, status
from sandbox.world import World

UP_SECONDS = 60.0
MEMORY = 4 * 2**30
KILLED = (
    *("etcd", "kube-apiserver", "containerd", "kubelet", "coredns", "aws", "registry", "registry-gate", "git"),
    *("prefect-server", "prefect-worker", "traefik", "argocd-redis", "argocd-application-controller"),
)


@pytest.fixture(scope="module")
def before(machine: World) -> Footprint:
    """The machine without a sandbox, but with a warm cache: what is made once in its life is not measured."""
    if not (machine.cache / "base-image" / f"{base_image.PYTHON.key(mirror())}.tar").exists():
        up(machine)
    down(machine)
    return footprint.take(machine)


@pytest.fixture(scope="module")
def fresh(machine: World, before: Footprint) -> Mapping[str, float]:
    """A sandbox that came up from nothing; how long that took, and its memory at most."""
    del before
    with _Peak(machine) as peak:
        started = time.monotonic()
        seconds = up(machine)
        total = time.monotonic() - started
    return {**seconds, "total": total, "memory": peak.bytes}


class _Peak:
    """The most memory that a sandbox has while something is done."""

    def __init__(self, world: World) -> None:
        self._world, self.bytes, self._done = world, 0.0, threading.Event()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(2):
            self.bytes = max(self.bytes, memory(self._world))


def pids(world: World) -> dict[str, int]:
    """Every daemon that the parts of this sandbox name, by name; one that does not run is missing."""
    names = {name for part in parts(world) for name in part.daemons}
    return {name: pid for name, pid in daemon.recorded(world).items() if name in names}


def test_it_comes_up_from_a_warm_cache_in_a_minute_and_four_gibibytes(
    machine: World, fresh: Mapping[str, float]
) -> None:
    assert status(machine).ready
    assert fresh["total"] <= UP_SECONDS, fresh
    assert 0 < fresh["memory"] <= MEMORY


@pytest.mark.usefixtures("fresh")
def test_up_again_is_quick_and_leaves_every_process_as_it_is(machine: World) -> None:
    first = pids(machine)
    started = time.monotonic()
    up(machine)
    assert pids(machine) == first
    assert time.monotonic() - started < UP_SECONDS / 3


@pytest.mark.usefixtures("fresh")
def test_two_ups_at_once_do_not_collide(machine: World) -> None:
    first = pids(machine)
    failures: list[PartError] = []
    notes: list[Event] = []

    def run() -> None:
        try:
            up(machine, notes.append)
        except PartError as error:
            failures.append(error)

    both = [threading.Thread(target=run) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert not failures
    assert any("Another command" in event.text for event in notes)
    assert pids(machine) == first


@pytest.mark.usefixtures("fresh")
def test_what_was_killed_is_repaired_by_the_next_up_and_what_lives_stays(machine: World) -> None:
    first = pids(machine)
    for name in KILLED:
        os.kill(first[name], 9)
    gone = psutil.wait_procs([psutil.Process(first[name]) for name in KILLED if psutil.pid_exists(first[name])], 5)
    assert not [process for process in gone[1] if process.status() != psutil.STATUS_ZOMBIE]
    up(machine)
    second = pids(machine)
    assert second.keys() == first.keys()
    assert all(second[name] != first[name] for name in KILLED)
    assert second["dockerd"] == first["dockerd"] if "dockerd" in first else True
    assert status(machine).ready


@pytest.mark.usefixtures("fresh")
def test_no_password_is_in_a_process_title_or_readable_by_others(machine: World) -> None:
    secrets = {path.name: path.read_text() for path in (machine.state / "secrets").iterdir()}
    titles = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            titles.append(" ".join(process.cmdline()))
    assert not [name for name, secret in secrets.items() if any(secret in title for title in titles)]
    assert machine.state.stat().st_mode & 0o777 == 0o700
    loose = [path.name for path in (machine.state / "secrets").iterdir() if path.stat().st_mode & 0o077]
    assert not loose


def foreign(world: World, line: str) -> bool:
    """Whether a trace is a process that people started meanwhile: not in our folders, and not by a daemon of ours."""
    if not line.startswith("processes: new: "):
        return False
    number, _, command = line.removeprefix("processes: new: ").partition(" ")
    ours = {process.pid for process in daemon.marked(world)}
    return int(number) not in ours and not any(str(place) in command for place in (world.state, *world.tools))


@pytest.fixture
def crashed(machine: World, fresh: Mapping[str, float]) -> Iterator[World]:
    """A sandbox half of whose processes were killed, so that `down` cannot rely on them."""
    del fresh
    for name in ("containerd", "kube-proxy", "dockerd", "prefect-worker", "argocd-redis"):
        if pid := daemon.recorded(machine).get(name):
            os.kill(pid, 9)
    yield machine
    up(machine)


def test_down_leaves_nothing_behind_even_after_a_crash(crashed: World, before: Footprint) -> None:
    down(crashed)
    traces = footprint.difference(before, footprint.take(crashed))
    assert [line for line in traces if not foreign(crashed, line)] == []
    assert not crashed.state.exists()
