"""Text that goes into a page of Markdown."""

from __future__ import annotations

import re

_LINK = re.compile(r"\[([^\]]+)\]\((https?://[^\s()]+)\)")
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~-])")


def escape(text: str) -> str:
    """Text that Markdown shows as it is, also within a table's cell; line ends become spaces."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(r"\\\1", plain)


def fence(text: str, language: str = "") -> str:
    """Text as a code block that nothing within can close; a language colours it."""
    ticks = "`" * max(3, 1 + max((len(found) for found in re.findall(r"`+", text)), default=0))
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def linked(cell: str) -> tuple[str, str]:
    """Text and address of a table's cell that is a link, as Prefect's UI shows it; other text has no address."""
    found = _LINK.fullmatch(cell)
    return (found[1], found[2]) if found else (cell, "")
