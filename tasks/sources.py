"""Module folders that a Terragrunt unit is made of, read from its ``terraform`` block and from the modules' own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from tasks import hcl

_LITERAL = re.compile(r'^"((?:[^"\\$]|\\.|\$(?!\{))*)"$')
_KNOWN = re.compile(r"\$\{\s*(get_repo_root|get_terragrunt_dir|get_original_terragrunt_dir)\(\)\s*\}")
_LOCAL = ("./", "../", "/")


def module_folders(tree: Path, unit: Path, included: Iterable[Path]) -> tuple[str, ...] | None:
    """Folders of the checkout whose files are the unit's modules, those that its modules use included.

    Terragrunt's own listing of files read leaves them out.

    Args:
        tree: The checkout's root.
        unit: The unit's folder.
        included: Files that the unit includes, which may hold its ``terraform`` block.

    Returns:
        POSIX paths relative to the checkout, sorted; none where the source is elsewhere, pinned by its address.
        None where the source is an expression that only Terragrunt could tell.
    """
    folders: set[str] = set()
    for file in (unit / "terragrunt.hcl", *included):
        for _, body in hcl.blocks(hcl.read(file), "terraform"):
            if not (expression := hcl.attributes(body).get("source")):
                continue
            source = literal(tree, unit, expression)
            if source is None:
                return None
            if folder := local_folder(unit, source):
                _follow(tree, folder, folders)
    return tuple(sorted(folders))


def literal(tree: Path, folder: Path, expression: str) -> str | None:
    """The text of an expression that is a string, with the checkout's root and the file's folder known.

    Args:
        tree: The checkout's root.
        folder: Folder of the file it stands in.
        expression: As it is written.

    Returns:
        None where only Terragrunt could tell.
    """
    known = _KNOWN.sub(lambda found: str(tree if found[1] == "get_repo_root" else folder), expression)
    found = _LITERAL.match(known)
    return found[1] if found else None


def local_folder(folder: Path, source: str) -> Path | None:
    """The folder that a source in ``folder`` names; None where it is somewhere else, by an address."""
    # In `modules//network` the part after the double slash is the module.
    return Path(os.path.normpath(folder / source.replace("//", "/"))) if source.startswith(_LOCAL) else None


def _follow(tree: Path, folder: Path, seen: set[str]) -> None:
    if not folder.is_relative_to(tree):
        return
    name = folder.relative_to(tree).as_posix()
    if name in seen:
        return
    seen.add(name)
    for file in sorted((*folder.glob("*.tf"), *folder.glob("*.tofu"))):
        for _, body in hcl.blocks(hcl.read(file), "module"):
            found = _LITERAL.match(hcl.attributes(body).get("source", ""))
            if found and (used := local_folder(folder, found[1])):
                _follow(tree, used, seen)
