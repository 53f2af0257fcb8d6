"""Reading of Terragrunt's and OpenTofu's files what their own listings leave out: blocks, and attributes within."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

_TEXT = r'"(?:\\.|\$\{(?:[^{}"]|"[^"\n]*"|\{(?:[^{}"]|"[^"\n]*")*\})*\}|[^"\\\n])*"'
_HEREDOC = r"<<-?(?P<word>\w+)[ \t]*\n.*?^[ \t]*(?P=word)[ \t]*$"
_COMMENT = r"#[^\n]*|//[^\n]*|/\*.*?\*/"
_TOKEN = re.compile(rf"(?P<text>{_TEXT}|{_HEREDOC})|{_COMMENT}", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"^[ \t]*([A-Za-z_][\w-]*)[ \t]*=(?![=>])", re.MULTILINE)
_LETTER = re.compile(r"[^\n]")
_OPENING, _CLOSING = "{[(", "}])"


def read(file: Path) -> str:
    """A file's text without comments; empty where it cannot be read."""
    try:
        return without_comments(file.read_text(encoding="utf-8"))
    except OSError:
        return ""


# Units share what they include, so that most texts come by again and again.
@functools.lru_cache(maxsize=256)
def without_comments(text: str) -> str:
    """HCL without comments; strings stay, also those that hold a comment's sign."""
    return _TOKEN.sub(lambda found: found["text"] or "", text)


def blocks(text: str, kind: str) -> Iterator[tuple[str, str]]:
    """Label (quoted or not; empty where it has none) and body of each block of one kind.

    Args:
        text: HCL without comments.
        kind: The block's first word.
    """
    shape = _shape(text)
    for start in re.finditer(rf'^[ \t]*{kind}(?:[ \t]*"([^"\n]*)"|[ \t]+([\w-]+))?[ \t]*\{{', text, re.MULTILINE):
        # What stands in a string or heredoc is no block.
        if shape[start.end() - 1] == "{":
            yield start[1] or start[2] or "", text[start.end() : _close(shape, start.end())]


def attributes(body: str) -> dict[str, str]:
    """The attributes of a block by name, as they are written; those of blocks and objects within are not among them."""
    shape = _shape(body)
    found: dict[str, str] = {}
    position = depth = 0
    for name in _NAME.finditer(shape):
        depth += _depth(shape[position : name.start()])
        position = name.start()
        if depth == 0:
            found[name[1]] = body[name.end() : _line_end(shape, name.end())].strip()
    return found


@functools.lru_cache(maxsize=256)
def _shape(text: str) -> str:
    """The text with strings and heredocs blanked, so that every bracket left is one of the structure."""
    return _TOKEN.sub(lambda found: _LETTER.sub(" ", found[0]), text)


def _depth(shape: str) -> int:
    return sum((letter in _OPENING) - (letter in _CLOSING) for letter in shape)


def _close(shape: str, start: int) -> int:
    """Where a block that begins before ``start`` is closed."""
    depth = 1
    for found in re.finditer(r"[{}]", shape[start:]):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return start + found.start()
    return len(shape)


def _line_end(shape: str, start: int) -> int:
    """Where an expression ends: at the first line end outside brackets."""
    depth = 0
    for found in re.finditer(r"[{}()\[\]\n]", shape[start:]):
        depth += (found[0] in _OPENING) - (found[0] in _CLOSING)
        if found[0] == "\n" and depth <= 0:
            return start + found.start()
    return len(shape)
