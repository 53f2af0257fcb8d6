from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from sandbox import daemon, doctor, lifecycle, lock
from sandbox.daemon import Daemon
from sandbox.lifecycle import Event, down, up
from sandbox.part import NotReadyError, Part, PartError
from sandbox.world import World
from symphony.errors import BadInputError

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


class Fake(Part):
    """A part that writes down what happens to it."""

    limit: ClassVar[float] = 5.0

    def __init__(self, name: str, diary: list[str], *needs: str, broken: str = "", stuck: str = "") -> None:
        self.name, self.needs = name, needs  # type: ignore[misc]
        self.diary, self.broken, self.stuck = diary, broken, stuck

    def start(self, world: World) -> None:
        del world
        self.diary.append(f"start {self.name}")
        if self.broken:
            raise BadInputError(self.broken)

    def check(self, world: World) -> None:
        del world
        self.diary.append(f"ready {self.name}")

    def stop(self, world: World) -> None:
        del world
        if self.stuck:
            raise RuntimeError(self.stuck)
        self.diary.append(f"stop {self.name}")


class Sleeper(Part):
    """A part with one real process."""

    name: ClassVar[str] = "sleeper"
    daemons: ClassVar[tuple[str, ...]] = ("sleeper",)

    def start(self, world: World) -> None:
        Daemon("sleeper", SLEEPER).start(world)

    def check(self, world: World) -> None:
        if "sleeper" not in daemon.recorded(world):
            raise NotReadyError("it sleeps no more")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(source=tmp_path, state=tmp_path / "state", cache=tmp_path / "cache")
    yield made
    for process in daemon.marked(made):
        process.kill()


def use(monkeypatch: pytest.MonkeyPatch, *made: Part) -> None:
    monkeypatch.setattr(lifecycle, "parts", lambda _: made)
    monkeypatch.setattr(doctor, "preflight", lambda *_: ())


def test_each_part_starts_after_those_it_needs_and_stops_before_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    diary: list[str] = []
    ground = Fake("ground", diary)
    use(monkeypatch, ground, Fake("roof", diary, "walls"), Fake("walls", diary, "ground"))
    monkeypatch.setattr(ground, "check", lambda _: time.sleep(0.2) or diary.append("ready ground"))  # type: ignore[func-returns-value]
    seconds = up(world)
    assert diary == ["start ground", "ready ground", "start walls", "ready walls", "start roof", "ready roof"]
    assert set(seconds) == {"roof", "walls", "ground"}
    diary.clear()
    down(world)
    assert diary == ["stop roof", "stop walls", "stop ground"]
    assert not world.state.exists()


def test_a_part_that_fails_is_named_those_that_need_it_are_held_and_others_come_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    diary: list[str] = []
    events: list[Event] = []
    use(monkeypatch, Fake("walls", diary, broken="No bricks."), Fake("roof", diary, "walls"), Fake("garden", diary))
    with pytest.raises(PartError, match="No bricks"):
        up(world, events.append)
    assert "ready garden" in diary
    assert "start roof" not in diary
    failed = {event.part: event.text for event in events if event.state == "failed"}
    assert failed == {"walls": "No bricks.", "roof": "not started, since walls is not up"}


def test_a_mistake_in_a_part_names_the_part(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    part = Fake("walls", [])
    monkeypatch.setattr(part, "start", lambda _: 1 / 0)
    use(monkeypatch, part)
    with pytest.raises(PartError, match="walls did not come up: ZeroDivisionError"):
        up(world)


def test_a_part_that_cannot_be_stopped_is_named_and_the_others_are_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    diary: list[str] = []
    use(monkeypatch, Fake("ground", diary), Fake("walls", diary, "ground", stuck="glued"))
    up(world)
    with pytest.raises(PartError, match="walls could not be stopped: glued"):
        down(world)
    assert "stop ground" in diary
    assert world.state.exists()


def test_up_twice_leaves_the_process_and_repairs_it_after_a_kill(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Sleeper())
    up(world)
    first = daemon.recorded(world)["sleeper"]
    up(world)
    assert daemon.recorded(world)["sleeper"] == first
    os.kill(first, 9)
    psutil.Process(first).wait(10)
    up(world)
    assert daemon.recorded(world)["sleeper"] != first


def test_down_ends_also_what_a_killed_process_left_and_keeps_the_logs_if_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Sleeper())
    up(world)
    environment = {**os.environ, daemon.MARK: str(world.state)}
    orphan = subprocess.Popen(SLEEPER, env=environment, start_new_session=True)
    down(world, keep_logs=True)
    orphan.wait(timeout=10)
    assert [path.name for path in world.state.iterdir()] == ["logs"]


def test_down_of_nothing_makes_nothing(world: World) -> None:
    down(world)
    assert not world.state.exists()


def test_two_ups_at_once_follow_each_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    diary: list[str] = []
    slow = Fake("slow", diary)
    inside = threading.Semaphore(1)

    def start(_: World) -> None:
        assert inside.acquire(blocking=False), "two at once"
        time.sleep(0.3)
        inside.release()

    monkeypatch.setattr(slow, "start", start)
    use(monkeypatch, slow)
    notes: list[Event] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            up(world, notes.append)
        except PartError as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert [event.text for event in notes if event.state == "note"] == [
        "Another command works on the sandbox; waiting for it."
    ]


def test_a_lock_on_a_folder_that_a_down_removed_meanwhile_is_not_believed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, removed = fcntl.flock, []

    def flock(descriptor: int, how: int) -> None:
        if not removed:
            removed.append(world.state.stat().st_ino)
            world.state.rename(world.state.with_name("removed"))
        plain(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with lock.held(world):
        assert world.state.stat().st_ino != removed[0]


def test_another_clone_takes_the_sandbox_over_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Fake("walls", []))
    up(world)
    other = World(source=world.source / "other", state=world.state)
    events: list[Event] = []
    up(other, events.append)
    assert any(f"belonged to the clone {world.source};" in event.text for event in events)
    events.clear()
    up(other, events.append)
    assert [event for event in events if event.state == "note"] == []


class Listener(Fake):
    """A part that wants a port."""

    def __init__(self, port: int) -> None:
        super().__init__("listener", [])
        self.port = port

    def ports(self, world: World) -> Mapping[str, int]:
        del world
        return {"listend": self.port}


def test_a_taken_port_is_named_with_its_holder_and_nothing_is_started(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        part = Listener(port)
        monkeypatch.setattr(lifecycle, "parts", lambda _: (part,))
        with pytest.raises(PartError) as failure:
            up(world)
    said = str(failure.value)
    assert f"port {port}, which listend of the part listener needs, is held by process {os.getpid()}" in said
    assert f"kill {os.getpid()}" in said
    assert part.diary == []
    assert not world.state.exists()


def test_findings_with_the_same_remedy_are_one_sentence() -> None:
    wrong = [doctor.Finding("ports", "failed", f"port {n} is held", "Run `down`.") for n in (1, 2, 3)]
    said = lifecycle._unfit(wrong)  # noqa: SLF001 - the sentence alone
    assert said == "The sandbox cannot start: port 1 is held (2 more like it). Run `down`."


def test_a_port_of_our_own_process_is_no_hindrance(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import socket, time; s = socket.create_server(('127.0.0.1', 0)); "
        "print(s.getsockname()[1], flush=True); time.sleep(600)"
    )
    Daemon("listend", [sys.executable, "-c", code]).start(world)
    deadline = time.monotonic() + 20
    while not (text := world.log("listend").read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.05)
    part = Listener(int(text))
    monkeypatch.setattr(lifecycle, "parts", lambda _: (part,))
    up(world)
    assert "start listener" in part.diary


def test_a_state_folder_with_a_mount_is_not_removed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Fake("walls", []))
    up(world)
    mounted = world.folder("mounted")
    (mounted / "precious").write_text("mine")
    mountinfo = f"1 2 0:1 / {mounted} rw - tmpfs tmpfs rw"
    read = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda self, *a, **k: mountinfo if self.name == "mountinfo" else read(self, *a, **k)
    )
    with pytest.raises(PartError, match=f"still mounted at {mounted}"):
        down(world)
    assert (mounted / "precious").exists()


def test_a_process_record_of_another_time_is_not_taken_for_ours(world: World) -> None:
    record = {"pid": os.getpid(), "born": 1.0, "argv": ["x"]}
    world.write(world.folder("run") / "old.json", json.dumps(record))
    assert daemon.recorded(world) == {}
