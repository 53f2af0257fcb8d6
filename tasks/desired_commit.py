"""Commits of the desired state: what a deploy writes, and what an undo puts back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from prefect import task

from symphony.change import Change
from symphony.config import branch_of, proposal_of
from symphony.models import Commit, Desired
from tasks.desired import entries_at, file_of, parts, text
from tasks.git import git, head
from tasks.publish import Index, publish
from tasks.retry import TRANSIENT


@task(name="write desired state", task_run_name="write desired state of {change.environment}", **TRANSIENT)
def write_desired(
    change: Change, entries: Sequence[Desired], root: Path, removed: Sequence[str] = (), approver: str = ""
) -> Commit:
    """Put the applications' charts and digests onto the environment's branch, as one commit.

    Args:
        change: The commit being released.
        entries: The applications that move.
        root: Folder that holds them, see `laid_out`.
        removed: Applications that are taken out.
        approver: Who approved it; empty where nobody had to.

    Returns:
        The commit, or the branch's head where nothing differs.

    Raises:
        TransientError: The remote could not be reached, or others were faster every time.
        SymphonyError: The remote refuses the push.
    """

    def edit(index: Index) -> None:
        for entry in entries:
            index.put_folder(entry.chart, root / entry.chart)
            index.put(file_of(entry.application), text(entry))
        for name in removed:
            _take_out(index, name)

    what = [entry.application for entry in entries] + [f"without {name}" for name in removed]
    images = [("Image", f"{entry.repository}@{entry.digest}") for entry in entries]
    approved = [("Approved-By", approver)] if approver else []
    message = _message(change, f"{', '.join(what)} at {change.commit[:12]}", [*images, *approved])
    return _publish(change, edit, message)


@task(name="bring trees", task_run_name="bring trees to {change.environment}", **TRANSIENT)
def bring_trees(  # noqa: PLR0913, PLR0917 - what the commit has and says
    change: Change,
    entries: Sequence[Desired],
    origin: Commit,
    subject: str,
    removed: Sequence[str] = (),
    approver: str = "",
) -> Commit:
    """Give applications the charts of another commit of a desired state, by one new commit on the environment's branch.

    Args:
        change: Where to.
        entries: What the branch shall say about each application.
        origin: Commit that has their charts: an earlier one of the same branch, or one of another environment's.
        subject: What the commit's message says is done.
        removed: Applications that are taken out.
        approver: Who approved it; empty where nobody had to.

    Returns:
        The commit, or the branch's head where nothing differs.

    Raises:
        TransientError: The remote could not be reached, or others were faster every time.
        SymphonyError: The remote refuses the push.
    """

    def edit(index: Index) -> None:
        _bring(change.mirror, index, entries, origin)
        for name in removed:
            _take_out(index, name)

    told = [("Origin", origin), *(("Image", f"{entry.repository}@{entry.digest}") for entry in entries)]
    told += [("Approved-By", approver)] if approver else []
    return _publish(change, edit, _message(change, subject, told))


@task(name="put back", task_run_name="put back in {change.environment}", **TRANSIENT)
def put_back(change: Change, written: Commit, applications: Collection[str]) -> Commit:
    """Give applications the tree they had before a commit of the desired state, by a new commit on top.

    What others wrote since stays: an application that was moved again after ``written`` is left alone. One that had
    no tree before is taken out.

    Args:
        change: The commit that was being released.
        written: Commit of the desired state that is to be undone.
        applications: Names of those to put back.

    Returns:
        The new commit, or the branch's head where nothing was left to put back.

    Raises:
        TransientError: The remote could not be reached, or others were faster every time.
        SymphonyError: The remote refuses the push.
    """
    branch = branch_of(change.environment)
    before = parent(change.mirror, written)

    def edit(index: Index) -> None:
        present = head(change.mirror, branch) or written
        known = parts(change.mirror, [(at, name) for at in (present, written) for name in applications])
        names = [name for name in sorted(applications) if known[present, name] == known[written, name]]
        entries = entries_at(change.mirror, before, names) if before else {}
        if before:
            _bring(change.mirror, index, list(entries.values()), before)
        for name in names:
            if name not in entries:
                _take_out(index, name)

    subject = f"put back {', '.join(sorted(applications))} from before {written[:12]}"
    return _publish(change, edit, _message(change, subject, [("Undoes", written)], run="Undo-Run"))


def before_commit(change: Change, written: Commit, applications: Collection[str]) -> dict[str, Desired | None]:
    """What a commit of the desired state found of each application; None for one that was not there."""
    before = parent(change.mirror, written)
    entries = entries_at(change.mirror, before, applications) if before else {}
    return {name: entries.get(name) for name in sorted(applications)}


def written_by(change: Change) -> Commit | None:
    """The newest commit of the desired state that this run wrote; None where nothing differed or it wrote none."""
    if merged := git("rev-parse", "--quiet", "--verify", _merged_ref(change), cwd=change.mirror, ok=(0, 1)):
        return merged
    if not head(change.mirror, branch_of(change.environment)):
        return None
    # A whole line: within one, people's words could name another run.
    trailer = f"^Symphony-Run: {_run(change)}$"
    branch = f"refs/heads/{branch_of(change.environment)}"
    found = git("log", "-1", "--format=%H", "--basic-regexp", f"--grep={trailer}", branch, "--", cwd=change.mirror)
    return found or None


def proposal_branch(change: Change) -> str:
    """Branch on which this run proposes what the environment's branch shall have."""
    return proposal_of(change.environment, _run_name(change))


def note_merged(change: Change, commit: Commit) -> None:
    """Note for `written_by` which commit brought what this run had proposed: whoever merged it may have reworded it."""
    git("update-ref", _merged_ref(change), commit, cwd=change.mirror)


def parent(mirror: Path, commit: Commit) -> Commit | None:
    """The commit before; None for the first."""
    return git("rev-parse", "--quiet", "--verify", f"{commit}^", cwd=mirror, ok=(0, 1)) or None


def _publish(change: Change, edit: Callable[[Index], None], message: str) -> Commit:
    """Put a commit on the environment's branch; where that takes proposals alone, on one of its own."""
    branch = branch_of(change.environment)
    if not change.target.proposals:
        return publish(change.mirror, branch, edit, message)
    return publish(change.mirror, proposal_branch(change), edit, message, base=branch)


def _message(change: Change, subject: str, extra: Sequence[tuple[str, str]], run: str = "Run") -> str:
    """Subject and trailers; an undo names its run otherwise, so that `written_by` does not take it for a deploy."""
    trailers = [("Environment", change.environment), (run, _run(change)), ("Commit", change.commit)]
    # What people wrote stays on its line: another would be a trailer of its own, such as of another run.
    lines = "\n".join(f"Symphony-{name}: {' '.join(value.split())}" for name, value in [*trailers, *extra])
    return f"{change.environment}: {subject}\n\n{lines}\n"


def _run(change: Change) -> str:
    return change.run or f"by hand {change.commit}"


def _merged_ref(change: Change) -> str:
    return f"refs/symphony/merged/{change.environment}/{_run_name(change)}"


def _run_name(change: Change) -> str:
    return change.run or change.commit[:12]


def _bring(mirror: Path, index: Index, entries: Sequence[Desired], origin: Commit) -> None:
    """Applications with the charts of another commit, and with their very files where those say the same."""
    there = entries_at(mirror, origin, [entry.application for entry in entries])
    same = [file_of(entry.application) for entry in entries if there.get(entry.application) == entry]
    index.copy(origin, [*(entry.chart for entry in entries), *same])
    for entry in entries:
        if file_of(entry.application) not in same:
            index.put(file_of(entry.application), text(entry))


def _take_out(index: Index, application: str) -> None:
    index.remove(f"charts/{application}")
    index.remove(file_of(application))
