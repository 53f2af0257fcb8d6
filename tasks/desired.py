"""The desired state of an environment: the branch ``env/<environment>``, written by Symphony alone."""

from __future__ import annotations

import contextlib
import functools
import json
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from prefect import task
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from symphony.change import Change
from symphony.config import branch_of
from symphony.errors import BadInputError, SymphonyError, ToolError
from symphony.models import Commit, Desired, Digest, Image
from tasks.git import Index, fetch, git, head, is_ancestor, publish, work_home
from tasks.helm import value_files, vendor
from tasks.images import repository_of
from tasks.retry import TRANSIENT


def desired(change: Change, image: Image) -> Desired:
    """What the environment's branch shall say about an application whose image is at hand."""
    chart = change.configuration.applications[image.application].chart
    return Desired(
        application=image.application,
        environment=change.environment,
        chart=f"charts/{image.application}",
        values=value_files(change.tree, chart, change.environment),
        commit=change.commit,
        repository=image.repository,
        digest=image.digest,
    )


def image_by_digest(change: Change, application: str, digest: Digest) -> Image:
    """The image that a person names by its digest.

    Raises:
        BadInputError: The application is unknown.
    """
    known = change.configuration.applications
    if application not in known:
        raise BadInputError(f"The application {application!r} is not in symphony.yaml; there are: {', '.join(known)}.")
    repository = f"{change.target.aws.registry_host}/{repository_of(change.environment, known[application])}"
    return Image(
        application=application, repository=repository, tag="", digest=digest, built=False, commit=change.commit
    )


def live_images(change: Change, applications: Sequence[str] = ()) -> tuple[Image, ...]:
    """The images that the environment's desired state names now.

    Args:
        change: The environment's configuration counts.
        applications: Names; all by default.

    Raises:
        BadInputError: One of them is not deployed.
    """
    present = read_desired(change.mirror, change.environment)
    if missing := sorted(set(applications) - set(present)):
        there = ", ".join(sorted(present)) or "nothing"
        raise BadInputError(f"{', '.join(missing)} is not deployed to {change.environment}; there is: {there}.")
    return tuple(
        Image(
            application=entry.application,
            repository=entry.repository,
            tag="",
            digest=entry.digest,
            built=False,
            commit=entry.commit,
        )
        for name, entry in sorted(present.items())
        if not applications or name in applications
    )


@contextlib.contextmanager
def laid_out(change: Change, images: Iterable[Image]) -> Iterator[tuple[tuple[Desired, ...], Path]]:
    """The applications' part of the desired state below a folder of its own, as the branch will have it.

    Yields:
        What the branch shall say about each, and the folder: vendored charts, and ``applications/*.yaml``.

    Raises:
        BadInputError: A chart is missing, or depends on what is not in the repository.
    """
    with tempfile.TemporaryDirectory(dir=work_home()) as folder:
        root = Path(folder)
        (root / "applications").mkdir()
        entries = tuple(desired(change, image) for image in images)
        for entry in entries:
            vendor(change.tree, change.configuration.applications[entry.application].chart, root / entry.chart)
            (root / _file(entry.application)).write_text(text(entry), encoding="utf-8")
        yield entries, root


def text(entry: Desired) -> str:
    """An application's file; strings are quoted, since a commit of digits alone would be a number."""
    image = {"repository": entry.repository, "digest": entry.digest}
    lines = {
        "application": entry.application,
        "environment": entry.environment,
        "chart": entry.chart,
        "values": list(entry.values),
        "commit": entry.commit,
        "image": image,
    }
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in lines.items())


def parse(written: str) -> Desired:
    """An application's file, read back.

    Raises:
        SymphonyError: Somebody else wrote it.
    """
    try:
        data = dict(YAML(typ="safe", pure=True).load(written))
        image = data.pop("image")
        return Desired(**data, repository=image["repository"], digest=image["digest"])
    except (YAMLError, ValidationError, KeyError, TypeError, ValueError) as error:
        raise SymphonyError(
            f"An application's file in the desired state is not what Symphony writes: {' '.join(str(error).split())}; "
            "put its last good version back, or deploy the application anew."
        ) from error


def read_desired(mirror: Path, environment: str, revision: str = "") -> dict[str, Desired]:
    """Every application of an environment, by name.

    Args:
        mirror: Bare mirror of the remote.
        environment: The environment.
        revision: A commit of its branch; the branch's head by default.
    """
    at = revision or head(mirror, branch_of(environment))
    if not at:
        return {}
    return {name: entry for name in _names(mirror, at) if (entry := entry_at(mirror, at, name))}


@functools.lru_cache(maxsize=4096)
def entry_at(mirror: Path, revision: str, application: str) -> Desired | None:
    """What a commit of an environment's branch says about an application; None where it has none of that name."""
    try:
        return parse(git("show", f"{revision}:{_file(application)}", cwd=mirror))
    except ToolError:
        return None


def removed_applications(change: Change) -> tuple[str, ...]:
    """Applications that the environment has and the commit's ``symphony.yaml`` has no more."""
    return tuple(
        name
        for name in sorted(read_desired(change.mirror, change.environment))
        if name not in change.configuration.applications
    )


def superseding(change: Change, applications: Sequence[str]) -> dict[str, Commit]:
    """Applications that the environment has at a newer commit than the change's, and that commit.

    Raises:
        TransientError: The remote could not be reached.
    """
    fetch(change.configuration.git.remote)
    present = read_desired(change.mirror, change.environment)
    return {
        name: present[name].commit
        for name in applications
        if name in present
        and present[name].commit != change.commit
        and is_ancestor(change.mirror, change.commit, present[name].commit)
    }


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
    if not git("rev-parse", "--quiet", "--verify", f"{revision}^{{commit}}", cwd=change.mirror, ok=(0, 1, 128)):
        fetch(change.configuration.git.remote)
    if not is_ancestor(change.mirror, commit, revision):
        return "other"
    same = _part(change.mirror, revision, application) == _part(change.mirror, commit, application)
    return "carries" if same else "overtaken"


@task(name="write desired state", task_run_name="write desired state of {change.environment}", **TRANSIENT)
def write_desired(change: Change, entries: Sequence[Desired], root: Path, removed: Sequence[str] = ()) -> Commit:
    """Put the applications' charts and digests onto the environment's branch, as one commit.

    Args:
        change: The commit being released.
        entries: The applications that move.
        root: Folder that holds them, see `laid_out`.
        removed: Applications that are taken out.

    Returns:
        The commit, or the branch's head where nothing differs.

    Raises:
        TransientError: The remote could not be reached, or others were faster every time.
        SymphonyError: The remote refuses the push.
    """

    def edit(index: Index) -> None:
        for entry in entries:
            index.put_folder(entry.chart, root / entry.chart)
            index.put(_file(entry.application), text(entry))
        for name in removed:
            _take_out(index, name)

    what = [entry.application for entry in entries] + [f"without {name}" for name in removed]
    images = [("Image", f"{entry.repository}@{entry.digest}") for entry in entries]
    message = _message(change, f"{', '.join(what)} at {change.commit[:12]}", images)
    return publish(change.mirror, branch_of(change.environment), edit, message)


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
        for name in sorted(applications):
            if _part(change.mirror, present, name) != _part(change.mirror, written, name):
                continue
            _take_out(index, name)
            if before and (entry := entry_at(change.mirror, before, name)):
                index.put_tree(entry.chart, f"{before}:{entry.chart}")
                index.put(_file(name), git("show", f"{before}:{_file(name)}", cwd=change.mirror) + "\n")

    subject = f"put back {', '.join(sorted(applications))} from before {written[:12]}"
    return publish(change.mirror, branch, edit, _message(change, subject, [("Undoes", written)], run="Undo-Run"))


def before_commit(change: Change, written: Commit, applications: Collection[str]) -> dict[str, Desired | None]:
    """What a commit of the desired state found of each application; None for one that was not there."""
    before = parent(change.mirror, written)
    return {name: entry_at(change.mirror, before, name) if before else None for name in sorted(applications)}


def written_by(change: Change) -> Commit | None:
    """The newest commit of the desired state that this run wrote; None where nothing differed or it wrote none."""
    if not head(change.mirror, branch_of(change.environment)):
        return None
    trailer = f"Symphony-Run: {_run(change)}"
    branch = f"refs/heads/{branch_of(change.environment)}"
    found = git("log", "-1", "--format=%H", "--fixed-strings", f"--grep={trailer}", branch, "--", cwd=change.mirror)
    return found or None


def parent(mirror: Path, commit: Commit) -> Commit | None:
    """The commit before; None for the first."""
    return git("rev-parse", "--quiet", "--verify", f"{commit}^", cwd=mirror, ok=(0, 1)) or None


def _message(change: Change, subject: str, extra: Sequence[tuple[str, str]], run: str = "Run") -> str:
    """Subject and trailers; an undo names its run otherwise, so that `written_by` does not take it for a deploy."""
    trailers = [("Environment", change.environment), (run, _run(change)), ("Commit", change.commit)]
    lines = "\n".join(f"Symphony-{name}: {value}" for name, value in [*trailers, *extra])
    return f"{change.environment}: {subject}\n\n{lines}\n"


def _run(change: Change) -> str:
    return change.run or f"by hand {change.commit}"


def _file(application: str) -> str:
    return f"applications/{application}.yaml"


def _take_out(index: Index, application: str) -> None:
    index.remove(f"charts/{application}")
    index.remove(_file(application))


def _names(mirror: Path, revision: str) -> list[str]:
    names = git("ls-tree", "--name-only", revision, "--", "applications/", cwd=mirror)
    return [Path(name).stem for name in names.splitlines() if name.endswith(".yaml")]


def _part(mirror: Path, revision: str, application: str) -> tuple[str, ...]:
    """Object ids of all that a revision has of an application."""
    paths = (f"charts/{application}", _file(application))
    ids = []
    for path in paths:
        with contextlib.suppress(ToolError):
            ids.append(git("rev-parse", "--quiet", "--verify", f"{revision}:{path}", cwd=mirror))
    return tuple(ids)
