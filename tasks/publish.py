"""Commits onto branches that Symphony alone writes: a tree is edited apart from any checkout, and pushed."""

from __future__ import annotations

import functools
import itertools
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from symphony.errors import SymphonyError, ToolError, TransientError
from symphony.models import Commit
from tasks.git import alone, git, head, update, work_home

_REJECTED = ("non-fast-forward", "fetch first", "stale info", "failed to update ref", "cannot lock ref")
_TRIES = 25
_GONE = ("0", "0" * 40)


class Index:
    """A tree being edited. Git is called once for all edits together, however many applications they move."""

    def __init__(self, mirror: Path, folder: Path, parent: Commit | None) -> None:
        """Begin with a commit's tree, or with an empty one; the folder takes what the edits need."""
        self._mirror, self._folder, self._file = mirror, folder, folder / "index"
        self._edits: dict[str, tuple[str, str | Path]] = {}
        self._numbers = itertools.count()
        git("read-tree", *([parent] if parent else ["--empty"]), cwd=mirror, index=self._file)

    def put(self, path: str, text: str) -> None:
        """Write one file."""
        file = self._folder / str(next(self._numbers))
        file.write_text(text, encoding="utf-8", newline="")
        self._edits[path] = ("100644", file)

    def put_folder(self, path: str, folder: Path) -> None:
        """Replace a whole folder by what is on disk there, with its executable bits; it must stay until the end."""
        self.remove(path)
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not file.is_symlink():
                mode = "100755" if os.access(file, os.X_OK) else "100644"
                self._edits[f"{path}/{file.relative_to(folder).as_posix()}"] = (mode, file)

    def copy(self, commit: Commit, paths: Iterable[str]) -> None:
        """Replace files and folders by what another commit has there."""
        wanted = list(paths)
        for path in wanted:
            self.remove(path)
        listed = git("ls-tree", "-r", "-z", commit, "--", *wanted, cwd=self._mirror) if wanted else ""
        for entry in filter(None, listed.split("\0")):
            about, _, path = entry.partition("\t")
            mode, _, blob = about.split(" ")
            self._edits[path] = (mode, blob)

    def remove(self, path: str) -> None:
        """Take a file, or a folder with all below it, out of the tree; harmless where it is not there."""
        for name in [*self._names, *self._edits]:
            if name == path or name.startswith(f"{path}/"):
                self._edits[name] = _GONE

    def write(self) -> str:
        """Write the tree with all edits, and tell its id."""
        files = [file for _, file in self._edits.values() if isinstance(file, Path)]
        asked = "".join(f"{file}\n" for file in files)
        hashed = ("hash-object", "-w", "--no-filters", "--stdin-paths")
        blobs = iter(git(*hashed, cwd=self._mirror, stdin=asked).splitlines() if files else ())
        entries = "".join(
            f"{mode} {next(blobs) if isinstance(blob, Path) else blob}\t{path}\0"
            for path, (mode, blob) in self._edits.items()
        )
        git("update-index", "-z", "--index-info", cwd=self._mirror, index=self._file, stdin=entries)
        return git("write-tree", cwd=self._mirror, index=self._file)

    @functools.cached_property
    def _names(self) -> list[str]:
        """Files of the tree that the edits began with."""
        return git("ls-files", "-z", cwd=self._mirror, index=self._file).split("\0")


def publish(mirror: Path, branch: str, edit: Callable[[Index], None], message: str, *, base: str = "") -> Commit:
    """Put one commit on top of a branch and push it, again on top of what came between where another was faster.

    Args:
        mirror: The bare mirror.
        branch: Branch that Symphony alone writes; made where it is missing.
        edit: Changes the tree; called anew for each try, so it reads the branch's present state.
        message: Commit message.
        base: Another branch that the commit is put on top of; ``branch`` is then made to be just that commit.

    Returns:
        The commit, or the head that it would be on top of where the edit changed nothing.

    Raises:
        TransientError: The remote could not be reached, or others were faster every time.
        SymphonyError: The remote refuses the push.
    """
    for _ in range(_TRIES):
        with alone(mirror):
            for name in {branch, base or branch}:
                update(mirror, name)
            parent, there = head(mirror, base or branch), head(mirror, branch)
            with tempfile.TemporaryDirectory(dir=work_home()) as folder:
                index = Index(mirror, Path(folder), parent)
                edit(index)
                tree = index.write()
            if parent and tree == git("rev-parse", f"{parent}^{{tree}}", cwd=mirror):
                return parent
            made = git("commit-tree", tree, *(["-p", parent] if parent else []), cwd=mirror, stdin=message)
            lease = f"--force-with-lease=refs/heads/{branch}:{there or ''}"
            try:
                git("push", "--quiet", lease, "origin", f"{made}:refs/heads/{branch}", cwd=mirror)
            except ToolError as error:
                if any(sign in error.output for sign in _REJECTED):
                    continue
                raise SymphonyError(f"The Git remote refuses the push to {branch}: {error.output.strip()}") from error
            git("update-ref", f"refs/heads/{branch}", made, cwd=mirror)
            return made
    raise TransientError(
        f"The branch {branch} moved on {_TRIES} times while a commit was put on it; start the run again."
    )
