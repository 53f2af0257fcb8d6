"""Module folders that a Terragrunt unit is made of, read from its ``terraform`` block and from the modules' own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_COMMENT = re.compile(r'("(?:\\.|[^"\\\n])*")|#[^\n]*|//[^\n]*|/\*.*?\*/', re.DOTALL)
_BLOCK = re.compile(r"^[ \t]*terraform\s*\{", re.MULTILINE)
_MODULE = re.compile(r'^[ \t]*module\s+"[^"]*"\s*\{', re.MULTILINE)
_SOURCE = re.compile(r"^[ \t]*source\s*=\s*(.+?)\s*$", re.MULTILINE)
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
        for expression in _sources(file, _BLOCK):
            known = _KNOWN.sub(lambda found: str(tree if found[1] == "get_repo_root" else unit), expression)
            literal = _LITERAL.match(known)
            if literal is None:
                return None
            if literal[1].startswith(_LOCAL):
                # In `modules//network` the part after the double slash is the module.
                _follow(tree, _within(unit, literal[1].replace("//", "/")), folders)
    return tuple(sorted(folders))


def _follow(tree: Path, folder: Path, seen: set[str]) -> None:
    if not folder.is_relative_to(tree):
        return
    name = folder.relative_to(tree).as_posix()
    if name in seen:
        return
    seen.add(name)
    for file in sorted((*folder.glob("*.tf"), *folder.glob("*.tofu"))):
        for expression in _sources(file, _MODULE):
            literal = _LITERAL.match(expression)
            if literal and literal[1].startswith(_LOCAL):
                _follow(tree, _within(folder, literal[1].replace("//", "/")), seen)


def _within(folder: Path, path: str) -> Path:
    return Path(os.path.normpath(folder / path))


def _sources(file: Path, block: re.Pattern[str]) -> Iterator[str]:
    """The ``source`` expressions in a file's blocks of one kind."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return
    text = _COMMENT.sub(lambda found: found[1] or "", text)
    for start in block.finditer(text):
        if found := _SOURCE.search(_body(text, start.end())):
            yield found[1]


def _body(text: str, start: int) -> str:
    """A block's text up to the brace that closes it; braces within strings pair up, as templates do."""
    depth = 1
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return text[start:index]
    return text[start:]
