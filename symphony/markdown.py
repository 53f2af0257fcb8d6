"""Text that goes into a page of Markdown."""

from __future__ import annotations

import html
import re
from typing import NamedTuple

_LINK = re.compile(r"\[((?:[^\]\\]|\\.)+)\]\((https?://[^\s()<>]+)\)")
_IN_CELL = re.compile(r"[\\`*\[\]|~]|(?<!\w)_|_(?!\w)|^[#+-]")
_ESCAPED = re.compile(r"\\([\\`*\[\]|~_#+-])|(&(?:amp|lt|gt);)")
_FOR_URL = str.maketrans({one: f"%{ord(one):02X}" for one in '()<> \t\r\n"\\'})
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~-])")


def escape(text: str) -> str:
    """Text that Markdown shows as it is, also within a table's cell; line ends become spaces."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(r"\\\1", plain)


def fence(text: str, language: str = "") -> str:
    """Text as a code block that nothing within can close; a language colours it."""
    ticks = "`" * max(3, 1 + max((len(found) for found in re.findall(r"`+", text)), default=0))
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


class Link(NamedTuple):
    """What leads somewhere; an address that is none of HTTP leads nowhere."""

    text: str
    url: str

    def __str__(self) -> str:
        """The link as a table's cell has it."""
        text = _in_cell(self.text)
        return f"[{text}]({self.url.translate(_FOR_URL)})" if self.url.startswith(("https://", "http://")) else text


def cell(value: object) -> object:
    """A value as a cell of a table that Prefect's UI shows, which takes texts for Markdown: a text stays as it is."""
    return str(value) if isinstance(value, Link) else _in_cell(value) if isinstance(value, str) else value


def linked(shown: object) -> tuple[str, str]:
    """Text and address of what `cell` made; what is no link has no address."""
    found = _LINK.fullmatch(str(shown))
    text, url = (found[1], found[2]) if found else (str(shown), "")
    return _ESCAPED.sub(lambda one: one[1] or html.unescape(one[2]), text), url


def _in_cell(text: str) -> str:
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _IN_CELL.sub(r"\\\g<0>", plain)
