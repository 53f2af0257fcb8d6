"""What decides the deployments, in twelve digits: who carries them needs not be put there again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from deployments.listing import Declared

_INPUTS = ("prefect.yaml", "symphony.yaml", "requirements.lock")
_SOURCES = ("deployments", "flows", "symphony")
"""Folders whose code decides what a deployment is: the list's reader, flows with their parameters, and types."""


def fingerprint(root: Path, declared: Sequence[Declared]) -> str:
    """The version of all deployments of one state of the code.

    Args:
        root: Folder with ``prefect.yaml`` and the code.
        declared: Deployments of the whole list.
    """
    total = hashlib.sha256("\0".join(one.full_name for one in declared).encode())
    files = [root / name for name in _INPUTS]
    files += [file for folder in _SOURCES for file in sorted((root / folder).glob("*.py"))]
    for file in files:
        if file.exists():
            total.update(f"\0{file.relative_to(root)}\0".encode() + file.read_bytes())
    return total.hexdigest()[:12]
