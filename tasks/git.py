"""Git: a mirror of the remote, worktrees of it, and commits onto branches that Symphony alone writes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from symphony.errors import BadInputError, SymphonyError, ToolError, TransientError
from symphony.models import Commit
from symphony.tool import run

_REF = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$")
_TRANSIENT = (
    "could not resolve host",
    "connection refused",
    "connection reset",
    "connection timed out",
    "failed to connect",
    "couldn't connect",
    "the requested url returned error: 5",
    "unexpected disconnect",
    "early eof",
    "cannot lock ref",
)
_IDENTITY = {
    "GIT_AUTHOR_NAME": "Symphony",
    "GIT_AUTHOR_EMAIL": "symphony@localhost",
    "GIT_COMMITTER_NAME": "Symphony",
    "GIT_COMMITTER_EMAIL": "symphony@localhost",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


def git(*args: str, cwd: Path, stdin: str | None = None, ok: Collection[int] = (0,), index: Path | None = None) -> str:
    """Run git, quietly and without prompts.

    Args:
        args: Its arguments.
        cwd: Folder to run in.
        stdin: Text for its standard input.
        ok: Exit codes that are no failure.
        index: Another index file than the folder's own.

    Returns:
        Its standard output without the last newline.

    Raises:
        TransientError: The remote could not be reached, or answered with a 5xx.
        ToolError: Anything else that failed.
    """
    env = {**_IDENTITY, **({"GIT_INDEX_FILE": str(index)} if index else {})}
    try:
        return run(["git", *args], cwd=cwd, env=env, stdin=stdin, ok=ok, limit=300).stdout.rstrip("\n")
    except ToolError as error:
        if any(sign in error.output.lower() for sign in _TRANSIENT):
            raise TransientError(f"git {args[0]} could not reach the remote: {error.output.strip()}") from error
        raise


def work_home() -> Path:
    """Folder of mirrors and worktrees: ``SYMPHONY_WORK``, or the user's cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "symphony" / "work"
    path = Path(os.environ.get("SYMPHONY_WORK") or default)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def fetch(remote: str) -> Path:
    """Bring this machine's bare mirror of a remote up to date.

    Args:
        remote: URL of the remote, without credentials; git's credential helper knows them.

    Returns:
        The mirror; its ``refs/heads`` are the remote's.

    Raises:
        TransientError: The remote could not be reached.
    """
    mirror = work_home() / "mirrors" / hashlib.sha256(remote.encode()).hexdigest()[:16]
    mirror.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(mirror):
        if not (mirror / "HEAD").exists():
            shutil.rmtree(mirror, ignore_errors=True)
            git("init", "--quiet", "--bare", str(mirror), cwd=mirror.parent)
            git("remote", "add", "origin", remote, cwd=mirror)
        update(mirror)
    return mirror


def contents(mirror: Path, names: Iterable[str]) -> dict[str, str]:
    """Texts of several files at once, each named ``commit:path``; one that is not there is left out."""
    wanted = list(dict.fromkeys(names))
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=work_home()) as folder:
        read, asked = Path(folder) / "read", "".join(f"{name}\n" for name in wanted)
        run(["git", "cat-file", "--batch"], cwd=mirror, env=_IDENTITY, stdin=asked, limit=300, binary_stdout=read)
        data, at = read.read_bytes(), 0
    for name in wanted:
        begin = data.index(b"\n", at) + 1
        if data[at:begin].endswith(b" missing\n"):
            at = begin
            continue
        end = begin + int(data[at:begin].split()[-1])
        found[name] = data[begin:end].decode(errors="replace")
        at = end + 1
    return found


def resolve(mirror: Path, ref: str) -> Commit:
    """The full id of a commit named by branch, tag or (short) id.

    Raises:
        BadInputError: No such commit, or a name that git would not take for one.
    """
    if _REF.match(ref):
        with contextlib.suppress(ToolError):
            return git("rev-parse", "--quiet", "--verify", "--end-of-options", f"{ref}^{{commit}}", cwd=mirror)
    raise BadInputError(
        f"The commit {ref!r} is not in the Git remote; push it first, or name a branch, tag or commit id."
    )


def head(mirror: Path, branch: str) -> Commit | None:
    """The commit a branch of the mirror stands at; None where there is no such branch."""
    return git("rev-parse", "--quiet", "--verify", f"refs/heads/{branch}", cwd=mirror, ok=(0, 1)) or None


def authored(mirror: Path, commit: Commit) -> tuple[str, str, str]:
    """Who wrote a commit, when it was made (ISO 8601), and its subject; empty where it is not there any more."""
    with contextlib.suppress(ToolError):
        author, at, subject = git("show", "--no-patch", "--format=%an%x00%cI%x00%s", commit, cwd=mirror).split("\0")
        return author, at, subject
    return "", "", ""


def committed(mirror: Path, commit: Commit) -> int:
    """When a commit was made, in Unix time."""
    return int(git("show", "--no-patch", "--format=%ct", commit, cwd=mirror))


def changed(mirror: Path, base: Commit, commit: Commit) -> tuple[str, ...]:
    """Paths that differ between two commits; a moved file counts at both places."""
    names = git("diff", "--name-only", "--no-renames", "-z", base, commit, cwd=mirror)
    return tuple(name for name in names.split("\0") if name)


def is_ancestor(mirror: Path, older: Commit, newer: Commit) -> bool:
    """Whether ``newer`` carries ``older`` (a commit is its own ancestor); False where one is not there any more."""
    try:
        run(["git", "merge-base", "--is-ancestor", older, newer], cwd=mirror)
    except ToolError:
        return False
    return True


@contextlib.contextmanager
def worktree(mirror: Path, commit: Commit) -> Iterator[Path]:
    """A checkout of a commit for one run, removed at its end; those of runs that were killed go with the next."""
    path = work_home() / "trees" / f"{commit[:12]}-{uuid.uuid4().hex[:8]}"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    lives = path.with_suffix(".lock")
    with _locked(lives):
        with alone(mirror):
            _sweep(path.parent)
            git("worktree", "prune", cwd=mirror)
            git("worktree", "add", "--quiet", "--detach", str(path), commit, cwd=mirror)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            lives.unlink(missing_ok=True)


def remote_head(mirror: Path, branch: str) -> Commit | None:
    """The commit a branch of the remote stands at now, brought into the mirror; None where there is none (any more).

    Raises:
        TransientError: The remote could not be reached.
        SymphonyError: It refuses.
    """
    if not git("ls-remote", "origin", f"refs/heads/{branch}", cwd=mirror):
        return None
    with alone(mirror):
        update(mirror, branch)
    return head(mirror, branch)


def delete(mirror: Path, branch: str) -> None:
    """Take a branch off the remote.

    Raises:
        TransientError: The remote could not be reached.
        ToolError: It refuses, or has none of that name.
    """
    git("push", "--quiet", "origin", f":refs/heads/{branch}", cwd=mirror)


def update(mirror: Path, branch: str = "*") -> None:
    """Bring a mirror that is held up to date, in one branch or in all.

    Raises:
        TransientError: The remote could not be reached.
        SymphonyError: It refuses.
    """
    spec = f"+refs/heads/{branch}:refs/heads/{branch}"
    try:
        git("fetch", "--quiet", "--prune", "--no-tags", "origin", spec, cwd=mirror)
    except ToolError as error:
        if branch == "*" or "couldn't find remote ref" not in error.output:
            raise SymphonyError(f"The Git remote refuses the fetch: {error.output.strip()}") from error
        git("update-ref", "-d", f"refs/heads/{branch}", cwd=mirror)  # what the remote has no more


def _sweep(trees: Path) -> None:
    """Remove the checkouts whose run holds its lock no more, with the saved plans in them."""
    for lives in trees.glob("*.lock"):
        with contextlib.suppress(OSError), lives.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lives.with_suffix(""), ignore_errors=True)
            lives.unlink(missing_ok=True)


def alone(mirror: Path) -> contextlib.AbstractContextManager[None]:
    """Hold a mirror, so that no other run moves its branches meanwhile."""
    return _locked(mirror.with_suffix(".lock"))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
