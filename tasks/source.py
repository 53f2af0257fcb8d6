"""Where an image is built from: a folder of the released commit, or of another repository."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from symphony.change import Change
from symphony.config import Application
from symphony.errors import BadInputError
from symphony.models import Commit
from tasks.git import committed, fetch, resolve, worktree

_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True)
class Source:
    """A build context, checked out.

    Attributes:
        folder: The build context.
        remote: URL of the Git remote that it comes from, without a login.
        commit: Its commit.
        epoch: Unix time of the commit, which is the image's own time (reproducible-builds.org, SOURCE_DATE_EPOCH).
    """

    folder: Path
    remote: str
    commit: Commit
    epoch: int

    def labels(self, tag: str) -> dict[str, str]:
        """What the image says of itself (OCI image specification 1.1, "Pre-Defined Annotation Keys")."""
        return {
            "org.opencontainers.image.created": datetime.fromtimestamp(self.epoch, UTC).isoformat(),
            "org.opencontainers.image.revision": self.commit,
            "org.opencontainers.image.source": self.remote,
            VERSION: tag,
        }


VERSION = "org.opencontainers.image.version"
"""Label that holds an image's content tag."""


@contextlib.contextmanager
def source(change: Change, name: str) -> Iterator[Source]:
    """The build context of an application: a folder of the commit, or of another repository's branch or tag.

    Raises:
        BadInputError: There is no such folder, Dockerfile, branch or tag.
        TransientError: The other repository could not be reached.
    """
    application = change.configuration.applications[name]
    if application.git is None:
        yield _source(change.tree, change.mirror, change.configuration.git.remote, change.commit, name, application)
        return
    mirror = fetch(application.git)
    commit = resolve(mirror, application.ref)
    with worktree(mirror, commit) as tree:
        yield _source(tree, mirror, application.git, commit, name, application)


def _source(  # noqa: PLR0913, PLR0917 - what a source is made of
    tree: Path, mirror: Path, remote: str, commit: Commit, name: str, application: Application
) -> Source:
    folder = (tree / application.source).resolve()
    if not folder.is_relative_to(tree.resolve()) or not folder.is_dir():
        raise BadInputError(f"The application {name!r} has no folder {application.source!r} in this commit.")
    dockerfile = (folder / application.dockerfile).resolve()
    if not dockerfile.is_relative_to(tree.resolve()) or not dockerfile.is_file():
        raise BadInputError(f"The application {name!r} has no {application.dockerfile!r} in {application.source!r}.")
    return Source(folder, _LOGIN.sub("", remote), commit, committed(mirror, commit))
