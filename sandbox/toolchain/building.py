"""Building what is missing: modules of the next tools are downloaded while one compiles."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import psutil

from sandbox.toolchain import go
from sandbox.toolchain.cache import Store
from sandbox.toolchain.pins import Tool
from symphony import tool as runner
from symphony.errors import SymphonyError, ToolError

_LIMIT_SECONDS = 3600.0
_ROOM = {"base": 3 * 2**30, "tool": 2 * 2**30}
"""Bytes that a session's caches take at most: once, and for each tool (seen: 8 GiB of modules for all seven)."""

Phase = Literal["waiting", "preparing", "downloading", "compiling", "done", "found", "cleaning"]


@dataclass(frozen=True)
class Step:
    """How far a build is.

    Attributes:
        phase: ``waiting`` for another build's lock, ``preparing`` Go, ``downloading`` or ``compiling`` a tool; a tool
            is ``done``, or was ``found`` on PATH; ``cleaning`` away the build caches takes its time too.
        tool: Name of the tool; empty while none is dealt with.
        number: Its place among the tools that were missing, from 1.
        tools: How many were missing.
        packages: How many of its packages are compiled.
        total: How many packages it has.
    """

    phase: Phase
    tool: str = ""
    number: int = 0
    tools: int = 0
    packages: int = 0
    total: int = 0


Report = Callable[[Step], None]


def _silent(_: Step) -> None:
    """Report to nobody."""


def build(store: Store, report: Report = _silent) -> None:
    """Put every missing tool into the store: one of the pinned version on PATH is linked, the others are built.

    Args:
        store: Where to.
        report: Called at each step, from more than one thread.

    Raises:
        SymphonyError: A tool does not build, the disk is too full, or Go cannot be had. What was finished stays.
    """
    if not store.missing():
        return
    with store.locked(waiting=lambda: report(Step("waiting"))) as session:
        missing = store.missing()
        steps = {tool: Step("downloading", tool.name, place, len(missing)) for place, tool in enumerate(missing, 1)}
        found = [tool for tool in missing if _adopt(store, tool)]
        for tool in found:
            report(replace(steps.pop(tool), phase="found"))
        if not steps:
            return
        _require_room(store, len(steps))
        report(Step("preparing", tools=len(missing)))
        compiler = go.find(session)
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="download")
        try:
            lists = {tool: pool.submit(_packages, compiler, tool) for tool in steps}
            for tool, step in steps.items():
                report(step)
                made = _Recipe(tool, compiler, session / tool.name).follow(lists[tool], step, report)
                store.keep(tool, made, "built", compiler.version)
                report(replace(step, phase="done"))
        except BaseException:
            _end_children(compiler.program)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            report(Step("cleaning"))


@dataclass(frozen=True)
class _Recipe:
    """One tool, the compiler, and the folder it is made in."""

    tool: Tool
    compiler: go.Go
    folder: Path

    def follow(self, packages: Future[list[str]], step: Step, report: Report) -> Path:
        """Compile and lay out; returns the folder that is to be kept."""
        names: list[str] = []
        try:
            names = packages.result()
            self.compile(names, step, report)
            return self.lay_out()
        except ToolError as error:
            said = [line for line in error.output.splitlines() if line not in set(names)]
            raise SymphonyError(
                f"{self.tool.name} {self.tool.version} could not be built with Go {self.compiler.version}: "
                f"{' '.join(said) or error} "
                "What was built before it is kept; `symphony toolchain build` goes on from there."
            ) from error

    def compile(self, packages: list[str], step: Step, report: Report) -> None:
        """Compile and link every program into ``output``."""
        if not packages:
            return
        order = {name: place for place, name in enumerate(packages, 1)}
        reached = 0
        report(replace(step, phase="compiling", total=len(order)))

        def compiled(line: str) -> None:
            nonlocal reached
            # Cached packages are not named, so what counts is how far down the list the compiler has come.
            if order.get(line, 0) > reached:
                reached = order[line]
                report(replace(step, phase="compiling", packages=reached, total=len(order)))

        output = self.folder / "output"
        output.mkdir(parents=True)
        flags = [
            "-v",
            "-mod=readonly",
            "-trimpath",
            "-buildvcs=false",
            # What the linker drops anyway need not be made: a sixth less to compute, and the same program.
            "-gcflags=all=-dwarf=false",
            "-ldflags",
            self.tool.ldflags,
            "-o",
            f"{output}/",
        ]
        runner.run(
            [str(self.compiler.program), "build", *flags, *self.tool.packages],
            cwd=self.tool.folder,
            env=self.compiler.env,
            limit=_LIMIT_SECONDS,
            on_line=compiled,
        )

    def lay_out(self) -> Path:
        """Put programs, links and copied files where they are looked for."""
        made = self.folder / "made"
        for name, place in self.tool.programs.items():
            (made / place).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / "output" / name).rename(made / place)
        for program, links in self.tool.links.items():
            for link in links:
                (made / "bin" / link).symlink_to(program)
        for name, inside in self.tool.copied.items():
            target = made / "share" / name
            target.mkdir(parents=True)
            for path in sorted((self.module_folder() / inside).glob("*.yaml")):
                if path.name != "kustomization.yaml":
                    shutil.copyfile(path, target / path.name)
        return made

    def module_folder(self) -> Path:
        """Where Go unpacked the tool's module."""
        argv = [str(self.compiler.program), "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", self.tool.module]
        return Path(runner.run(argv, cwd=self.tool.folder, env=self.compiler.env).stdout.strip())


def _packages(compiler: go.Go, tool: Tool) -> list[str]:
    """Download what the tool is made of, and name its packages, dependencies first."""
    if not tool.packages:
        runner.run(
            [str(compiler.program), "mod", "download", tool.module],
            cwd=tool.folder,
            env=compiler.env,
            limit=_LIMIT_SECONDS,
        )
        return []
    argv = [str(compiler.program), "list", "-mod=readonly", "-deps", *tool.packages]
    return runner.run(argv, cwd=tool.folder, env=compiler.env, limit=_LIMIT_SECONDS).stdout.split()


def _adopt(store: Store, tool: Tool) -> bool:
    """Link the programs on PATH, where all of them are there in the pinned version."""
    wanted = re.compile(rf"(?<![\d.]){re.escape(tool.version)}(?![\w.-])")
    found = {name: shutil.which(name) for name in tool.ask}
    if not found:
        return False
    for name, path in found.items():
        try:
            if path is None or Path(path).resolve().is_relative_to(store.root.resolve()):
                return False  # what lies in the store under other pins may go away
            if not wanted.search(runner.run([path, *tool.ask[name]], limit=20).stdout):
                return False
        except SymphonyError:
            return False
    made = store.session / tool.name / "made"
    (made / "bin").mkdir(parents=True)
    for name, path in found.items():
        (made / "bin" / name).symlink_to(os.path.realpath(str(path)))
    store.keep(tool, made, "PATH")
    return True


def _require_room(store: Store, tools: int) -> None:
    wanted = _ROOM["base"] + tools * _ROOM["tool"]
    free = shutil.disk_usage(store.root).free
    if free < wanted:
        raise SymphonyError(
            f"Building {tools} tools takes up to {wanted / 2**30:.0f} GiB for a while, and {store.root} has "
            f"{free / 2**30:.1f} GiB free; make room, set SYMPHONY_CACHE to a folder on a larger disk, "
            "or `symphony toolchain import` what another machine built."
        )


def _end_children(program: Path) -> None:
    """End the compilers this process started, so that an interrupted build stops at once."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if str(program) in child.cmdline():
                child.terminate()
