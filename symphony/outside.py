"""JSON and YAML from outside, read: whatever is wrong is one error, and no small text becomes a large value."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML

from symphony.errors import SymphonyError

_MOST = 1_000_000
"""Values that a document may have; aliases count for all that they stand for."""
_DEEPEST = 200
_OPEN = 500
"""Brackets that may be open at once: ruamel.yaml takes minutes for a few thousand."""


class MalformedError(ValueError):
    """A text that is not what it should be; the message says how."""


def read_json(text: str | bytes) -> Any:
    """What a text of JSON says.

    Raises:
        MalformedError: It is none, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"it is no JSON: {error}") from error


def read_yaml(text: str, *, with_lines: bool = False) -> Any:
    """What a text of YAML says.

    Args:
        text: One document.
        with_lines: Whether mappings and sequences shall know the lines they stand in.

    Raises:
        MalformedError: It is none, is nested too deeply, or its aliases make too much of it.
    """
    return _loaded(YAML(typ="rt") if with_lines else YAML(typ="safe", pure=True), text, many=False)


def read_documents(text: str) -> list[Any]:
    """What each document of a text of YAML says.

    Raises:
        MalformedError: As of `read_yaml`.
    """
    return list(_loaded(YAML(typ="safe", pure=True), text, many=True))


def _loaded(yaml: YAML, text: str, *, many: bool) -> Any:
    opened = 0
    for one in re.finditer(r"[\[{\]}]", text):
        opened = opened + 1 if one[0] in "[{" else max(0, opened - 1)
        if opened > _OPEN:
            raise MalformedError("it is no YAML: it is nested too deeply")
    try:
        found = list(yaml.load_all(text)) if many else yaml.load(text)
    except Exception as error:  # the reader raises what its constructors happen to: OverflowError, KeyError and more
        raise MalformedError(f"it is no YAML: {' '.join(str(error).split())}") from error
    _measure(found)
    return found


def _measure(found: Any) -> None:
    """Raise where a value is too deep, or stands for too much."""
    waiting, count = [(found, 0)], 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if depth > _DEEPEST or count > _MOST:
            raise MalformedError("it is nested too deeply, or its aliases stand for too much")
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list | set | tuple) else ()
        waiting.extend((one, depth + 1) for one in inner)


@contextlib.contextmanager
def understood(what: str) -> Iterator[None]:
    """Tell where what is read in here has another shape than it should.

    Args:
        what: What is read, as the sentence begins.

    Raises:
        SymphonyError: It has.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise SymphonyError(f"{what} cannot be read ({type(error).__name__}: {said}).") from error
