"""The Debian or Ubuntu mirror this machine itself installs from, read from its apt sources."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from symphony.errors import BadInputError


@dataclass(frozen=True)
class Mirror:
    """Where packages come from.

    Attributes:
        url: The archive's base URL.
        suite: Code name of the release.
    """

    url: str
    suite: str


def mirror(root: Path = Path("/")) -> Mirror:
    """The mirror of this machine's own release.

    Args:
        root: Where ``/etc`` is.

    Raises:
        BadInputError: It runs another system, or its sources name no archive of its release.
    """
    release = root / "etc/os-release"
    found = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', release.read_text() if release.exists() else "", re.MULTILINE)
    if found is None:
        raise BadInputError(f"The base image is made of Debian or Ubuntu packages; {platform.node()} runs neither.")
    suite = found[1]
    folder = root / "etc/apt"
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    for path in files:
        if not path.is_file():
            continue
        read = _deb822 if path.suffix == ".sources" else _one_line
        for url, suites, components in read(path.read_text()):
            if suite in suites and "main" in components and url.startswith(("http://", "https://", "file:/")):
                return Mirror(url.rstrip("/"), suite)
    raise BadInputError(f"No apt source below {folder} names an archive of {suite} main; add one (sources.list(5)).")


def _one_line(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """URL, suites and components of each line in the one-line style (sources.list(5))."""
    for line in text.splitlines():
        words = re.sub(r"\[[^]]*\]", "", line.partition("#")[0]).split()
        if len(words) > 3 and words[0] == "deb":  # noqa: PLR2004 - type, URL, suite and at least one component
            yield words[1], [words[2]], words[3:]


def _deb822(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """URL, suites and components of each stanza in the deb822 style (sources.list(5))."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = {
            key.strip().lower(): value.split()
            for key, colon, value in (line.partition(":") for line in re.sub(r"\n[ \t]+", " ", stanza).splitlines())
            if colon
        }
        if "deb" in fields.get("types", []) and fields.get("enabled") != ["no"]:
            for url in fields.get("uris", []):
                yield url, fields.get("suites", []), fields.get("components", [])
