"""How a revision that Argo CD reports stands to a commit of the desired state."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path
from typing import Literal

from symphony.change import Change
from symphony.errors import ToolError
from symphony.models import Commit
from tasks.desired import parts
from tasks.git import fetch, git, is_ancestor

Standing = Literal["other", "carries", "overtaken"]
"""How a revision stands to a commit of the desired state; see `standing`."""


def standing(change: Change, revision: str, commit: Commit, application: str) -> Standing:
    """Whether a revision carries an application just as a commit of the desired state has it.

    Returns:
        ``carries`` for the commit itself, and for a later one that has this application just so; ``overtaken`` for a
        later one that has it otherwise; ``other`` for all else, such as an earlier one.

    Raises:
        TransientError: The revision is not in the mirror yet, and the remote could not be reached.
    """
    if revision == commit:
        return "carries"
    for _ in range(2):
        with contextlib.suppress(ToolError):
            return _standing(change.mirror, revision, commit, application)
        fetch(change.configuration.git.remote)
    return "other"


@functools.lru_cache(maxsize=4096)
def _standing(mirror: Path, revision: str, commit: Commit, application: str) -> Standing:
    if not _follows(mirror, commit, revision):
        return "other"
    found = parts(mirror, [(revision, application), (commit, application)])
    return "carries" if found[revision, application] == found[commit, application] else "overtaken"


@functools.lru_cache(maxsize=1024)
def _follows(mirror: Path, commit: Commit, revision: str) -> bool:
    """Whether a revision is the commit or a later one, which never changes; a `ToolError` where it is not there yet."""
    git("cat-file", "-e", f"{revision}^{{commit}}", cwd=mirror)
    return is_ancestor(mirror, commit, revision)
