from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from sandbox.toolchain import building, go
from sandbox.toolchain.building import Step, build
from sandbox.toolchain.cache import Store
from sandbox.toolchain.pins import Tool
from symphony.errors import SymphonyError

FakeGo = Callable[..., Path]

CHILD = """
from pathlib import Path
from sandbox.toolchain.building import build
from sandbox.toolchain.cache import Store
from sandbox.toolchain.pins import Tool
tool = Tool("example", "example.org/tool", ("cmd/one", "cmd/two"), modules=Path({modules!r}), **{facts!r})
build(Store(Path({cache!r}), (tool,)))
"""


def leftovers(store: Store) -> list[str]:
    return sorted(path.name for path in store.root.iterdir())


def builds(log: Path) -> int:
    return sum(" build " in line for line in log.read_text().splitlines())


def test_a_built_tool_is_laid_out_whole_and_nothing_else_is_left(store: Store, tool: Tool, fake_go: FakeGo) -> None:
    fake_go()
    steps: list[Step] = []
    build(store, steps.append)
    place = store.place(tool)
    assert store.missing() == ()
    assert (place / "bin" / "one").read_text().endswith("echo built\n")
    assert (place / "bin" / "one-server").readlink() == Path("one")
    assert (place / "share" / "two_v1.2.3").exists()
    assert [path.name for path in (place / "share" / "crds").iterdir()] == ["thing.yaml"]
    assert leftovers(store) == [".lock", "example"]
    assert [step.phase for step in steps][:3] == ["preparing", "downloading", "compiling"]
    assert (steps[-2].phase, steps[-2].number, steps[-2].tools) == ("done", 1, 1)
    assert steps[-1].phase == "cleaning"
    assert max(step.packages for step in steps) == 4


def test_builds_with_the_committed_pins_alone(store: Store, fake_go: FakeGo) -> None:
    log = fake_go()
    build(store)
    (call,) = (line for line in log.read_text().splitlines() if " build " in line)
    assert call.startswith("example build")
    assert "-mod=readonly -trimpath" in call


def test_what_is_there_is_not_built_again(store: Store, fake_go: FakeGo) -> None:
    log = fake_go()
    build(store)
    build(store)
    assert builds(log) == 1


def test_a_failing_build_names_the_tool_and_leaves_nothing(store: Store, tool: Tool, fake_go: FakeGo) -> None:
    fake_go(ending="sys.exit('inner.go:3: undefined: x')")
    with pytest.raises(SymphonyError, match=r"example 1\.2\.3 could not be built with Go .*inner\.go:3: undefined: x"):
        build(store)
    assert store.missing() == (tool,)
    assert leftovers(store) == [".lock"]


def test_a_damaged_tool_is_built_again(store: Store, tool: Tool, fake_go: FakeGo) -> None:
    fake_go()
    build(store)
    (store.place(tool) / "bin" / "one").write_text("cut o")
    assert store.missing() == (tool,)
    build(store)
    assert store.missing() == ()
    assert leftovers(store) == [".lock", "example"]


def test_two_builds_at_once_build_once(store: Store, fake_go: FakeGo) -> None:
    log = fake_go(ending="import time; time.sleep(0.5)")
    steps: list[Step] = []
    threads = [threading.Thread(target=build, args=(store, steps.append)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert builds(log) == 1
    assert "waiting" in [step.phase for step in steps]
    assert store.missing() == ()


@pytest.mark.parametrize("busy", ["list", "build"])
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_a_build_that_is_cut_off_leaves_nothing_half_made(
    store: Store, tool: Tool, fake_go: FakeGo, signum: signal.Signals, busy: str
) -> None:
    sleep = "import time; time.sleep(60)"
    log = fake_go(ending=sleep) if busy == "build" else fake_go(listing=sleep)
    facts = {"renamed": tool.renamed, "links": tool.links, "copied": tool.copied}
    code = CHILD.format(cache=str(store.cache), modules=str(tool.modules), facts=facts)
    child = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while f" {busy} " not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert f" {busy} " in log.read_text()
    started = time.monotonic()
    child.send_signal(signum)
    child.wait(timeout=30)
    assert time.monotonic() - started < 20
    assert store.missing() == (tool,)
    if signum == signal.SIGINT:
        assert leftovers(store) == [".lock"]
    fake_go()
    build(store)
    assert store.missing() == ()
    assert leftovers(store) == [".lock", "example"]


def test_read_only_leftovers_of_a_killed_build_are_removed(store: Store, fake_go: FakeGo) -> None:
    fake_go()
    stale = store.session / "go" / "mod" / "module@v1"
    stale.mkdir(parents=True)
    (stale / "file.go").touch()
    (stale / "file.go").chmod(0o444)
    stale.chmod(0o555)
    build(store)
    assert leftovers(store) == [".lock", "example"]


def program(folder: Path, name: str, says: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / name).chmod(0o755)


def test_the_pinned_version_on_path_is_used(store: Store, tool: Tool, tmp_path: Path, fake_go: FakeGo) -> None:
    log = fake_go()
    program(tmp_path / "path", "one", "One v1.2.3+g1234")
    build(store)
    assert builds(log) == 0
    assert (store.place(tool) / "bin" / "one").resolve() == tmp_path / "path" / "one"
    record = store.record(tool)
    assert record is not None
    assert record["from"] == "PATH"
    (tmp_path / "path" / "one").unlink()
    assert store.missing() == (tool,)


@pytest.mark.parametrize("says", ["One v1.2.4", "One v1.2.34", "One v1.2.3-rc1", "One v11.2.3"])
def test_another_version_on_path_is_not_used(store: Store, tmp_path: Path, fake_go: FakeGo, says: str) -> None:
    log = fake_go()
    program(tmp_path / "path", "one", says)
    build(store)
    assert builds(log) == 1


def test_too_little_room_is_told_before_anything_is_built(
    store: Store, fake_go: FakeGo, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fake_go()
    monkeypatch.setattr(building.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    with pytest.raises(SymphonyError, match=r"takes up to .* GiB .* has 1\.0 GiB free"):
        build(store)
    assert builds(log) == 0


@pytest.mark.parametrize(
    ("version", "suits"), [("1.26.99", True), ("1.25.9", False), ("1.26.0", False), ("1.27.1", False)]
)
def test_only_the_pinned_minor_version_of_go_suits(
    tmp_path: Path, fake_go: FakeGo, version: str, suits: object
) -> None:
    fake_go(version=version)
    assert bool(go.suitable(tmp_path / "path" / "go")) is suits
