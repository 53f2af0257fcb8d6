"""What decides the deployments, in twelve digits: who carries them needs not be put there again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from deployments.listing import Declared

_SOURCES = ("deployments", "flows", "symphony")
"""Folders whose code decides what a deployment is: the list's reader, flows with their parameters, and types."""


def fingerprint(root: Path, declared: Sequence[Declared], files: Sequence[Path] = ()) -> str:
    """The version of all deployments of one state of the code.

    Args:
        root: Folder with the code.
        declared: Deployments of the whole list.
        files: ``symphony.yaml`` and the list.
    """
    total = hashlib.sha256("\0".join(one.full_name for one in declared).encode())
    code = [file for folder in _SOURCES for file in sorted((root / folder).glob("*.py"))]
    for file in (*files, root / "requirements.lock", *code):
        if file.exists():
            name = file.relative_to(root) if file in code else file.name
            total.update(f"\0{name}\0".encode() + file.read_bytes())
    return total.hexdigest()[:12]
