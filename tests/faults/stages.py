"""The six stages of a release, each held open from outside, so that a fault strikes in its middle and nowhere else."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from sandbox.daemon import recorded
from sandbox.git.repository import repository
from sandbox.world import World
from tests.world.seat import NUMBERS

SECONDS = 6
"""How long a step of a build lasts that is held by itself."""
_APPLY = """
resource "terraform_data" "held" {
  triggers_replace = "%(number)s"

  provisioner "local-exec" {
    command = "touch '%(flag)s.begun'; while test -e '%(flag)s'; do sleep 0.1; done"
  }
}
"""
_UPDATE = """#!/bin/sh
case "$1" in refs/heads/env/*)
  touch '%(flag)s.begun'
  while test -e '%(flag)s'; do sleep 0.1; done
  if rm '%(refusal)s' 2>/dev/null; then echo 'This branch is closed today.' >&2; exit 1; fi
esac
"""
Edit = Callable[[Path], None]


@dataclass(frozen=True)
class Hold:
    """How a release is kept in a stage.

    Attributes:
        edit: What its commit changes beside the greeting.
        release: Lets it go on.
        begun: Whether what holds it has begun, where that can be known.
    """

    edit: Edit
    release: Callable[[], None]
    begun: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class Stage:
    """A stage of a release.

    Attributes:
        name: As in the story.
        task: How the task runs begin that are running while a release is in it.
        hold: Keeps the next release in it, until the body ends at the latest.
    """

    name: str
    task: str
    hold: Callable[[World, Path], contextlib.AbstractContextManager[Hold]]


def nothing(copy: Path) -> None:
    """An edit that changes nothing."""
    del copy


def refusal(world: World) -> Path:
    """The file that makes the remote refuse one push that is held."""
    return repository(world) / "refuse"


@contextlib.contextmanager
def _apply(world: World, folder: Path) -> Iterator[Hold]:
    """A resource of `access` that is made for as long as a file is there."""
    del world
    flag = folder / f"hold-{next(NUMBERS)}"
    flag.touch()

    def edit(copy: Path) -> None:
        (copy / "infra/modules/access/held.tf").write_text(_APPLY % {"number": flag.name, "flag": flag})

    try:
        yield Hold(edit, lambda: flag.unlink(missing_ok=True), Path(f"{flag}.begun").exists)
    finally:
        flag.unlink(missing_ok=True)


@contextlib.contextmanager
def _step(world: World, folder: Path) -> Iterator[Hold]:
    """A step of hello's build that lasts some seconds."""
    del world, folder
    line = f'RUN ["python3", "-c", "import time; time.sleep({SECONDS})  # {next(NUMBERS)}"]\n'

    def edit(copy: Path) -> None:
        file = copy / "apps/hello/Dockerfile"
        plain = re.sub(r"(?m)^RUN .*\n", "", file.read_text())
        file.write_text(plain.replace("COPY ", f"{line}COPY ", 1))

    yield Hold(edit, lambda: None)


@contextlib.contextmanager
def _push(world: World, folder: Path) -> Iterator[Hold]:
    """The remote takes a push to an environment's branch for as long as a file is there."""
    flag, hook = folder / f"hold-{next(NUMBERS)}", repository(world) / "hooks" / "update"
    flag.touch()
    world.write(hook, _UPDATE % {"flag": flag, "refusal": refusal(world)}, mode=0o700)
    try:
        yield Hold(nothing, lambda: flag.unlink(missing_ok=True), Path(f"{flag}.begun").exists)
    finally:
        flag.unlink(missing_ok=True)
        hook.unlink()


def _stopped(daemon: str) -> Callable[[World, Path], contextlib.AbstractContextManager[Hold]]:
    """A part that answers nobody."""

    @contextlib.contextmanager
    def hold(world: World, folder: Path) -> Iterator[Hold]:
        del folder
        process = psutil.Process(recorded(world)[daemon])

        def resume() -> None:
            with contextlib.suppress(psutil.NoSuchProcess):  # a fault may have killed it
                process.resume()

        process.suspend()
        try:
            yield Hold(nothing, resume)
        finally:
            resume()

    return hold


STAGES = (
    Stage("provision", "apply access", _apply),
    Stage("build", "build hello", _step),
    Stage("push", "push hello", _stopped("registry")),
    Stage("commit", "write desired state", _push),
    Stage("sync", "wait until live", _stopped("argocd-application-controller")),
    Stage("smoke", "probe", _stopped("traefik")),
)
