"""Terragrunt stacks: their units generated before anything is listed, and what in the repository each comes from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from symphony.errors import BadInputError, ToolError
from symphony.models import Fact
from tasks import hcl
from tasks.diagnosis import complaint
from tasks.live import Live
from tasks.sources import literal, local_folder

STACK = "terragrunt.stack.hcl"
_MANIFEST = ".terragrunt-stack-manifest"
"""Terragrunt leaves it in every folder that it generated."""
GENERATED = ".terragrunt-stack"
"""Folder below a stack that holds its units."""
_CACHE = ".terragrunt-cache"


class Origin(Fact):
    """What of the repository a generated unit comes from.

    Attributes:
        reading: Stack files above it and the files that these read, relative to the checkout's root.
        sources: Folders that it was copied from, relative to the checkout's root; None where only Terragrunt could
            tell.
    """

    reading: tuple[str, ...] = ()
    sources: tuple[str, ...] | None = ()


def generate(live: Live) -> None:
    """Let Terragrunt write the units of every stack below the environment's folder; nothing is done without one.

    Args:
        live: The environment's live folder.

    Raises:
        BadInputError: Terragrunt cannot generate them.
    """
    if not any(_CACHE not in file.parts for file in live.folder.glob(f"**/{STACK}")):
        return
    said: list[str] = []
    try:
        live.terragrunt("stack", "generate", limit=300, on_line=said.append)
    except ToolError as error:
        reason = complaint(said).replace(f"{live.tree}/", "")
        raise BadInputError(
            f"Terragrunt cannot generate the stacks of {live.prefix}: {reason} Correct them."
        ) from error


def origin(live: Live, unit: str, stacks: Iterable[dict[str, Any]]) -> Origin | None:
    """What a generated unit comes from; None for a unit that people wrote.

    Args:
        live: The environment's live folder, its stacks generated.
        unit: The unit's path.
        stacks: The stacks among what ``terragrunt find --json --reading`` printed.
    """
    if not (live.folder / unit / _MANIFEST).is_file():
        return None
    reading: set[str] = set()
    sources: set[str] = set()
    known = True
    for stack in stacks:
        path = PurePosixPath(stack["path"])
        if not PurePosixPath(unit).is_relative_to(path):
            continue
        files = (f"{path}/{STACK}", *stack.get("reading", ()))
        reading |= {os.path.relpath(os.path.normpath(live.folder / name), live.tree) for name in files}
        for source in _sources(live, path, PurePosixPath(unit).relative_to(path)):
            if source is None:
                known = False
            elif source.is_relative_to(live.tree):
                sources.add(source.relative_to(live.tree).as_posix())
    return Origin(reading=tuple(sorted(reading)), sources=tuple(sorted(sources)) if known else None)


def _sources(live: Live, stack: PurePosixPath, below: PurePosixPath) -> Iterator[Path | None]:
    """Local source folders of the blocks of a stack that make what is at a path below it."""
    folder = live.folder / stack
    inner = PurePosixPath(*below.parts[1:]) if below.parts[0] == GENERATED else below
    text = hcl.read(folder / STACK)
    for kind in ("unit", "stack"):
        for _, body in hcl.blocks(text, kind):
            written = hcl.attributes(body)
            place = literal(live.tree, folder, written.get("path", ""))
            if place is not None and not inner.is_relative_to(place):
                continue
            source = literal(live.tree, folder, written.get("source", ""))
            if source is None:
                yield None
            elif found := local_folder(folder, source):
                yield found
