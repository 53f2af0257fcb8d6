"""The desired state of an environment: the branch ``env/<environment>``, written by Symphony alone."""

from __future__ import annotations

import contextlib
import functools
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from symphony.change import Change
from symphony.config import WRITTEN, branch_of
from symphony.errors import BadInputError, SymphonyError
from symphony.models import Commit, Desired, Digest, Image
from symphony.outside import read_yaml
from tasks.git import contents, fetch, git, head, is_ancestor, work_home
from tasks.helm import value_files, vendor
from tasks.images import image_repository
from tasks.outputs import filled


def desired(change: Change, image: Image) -> Desired:
    """What the environment's branch shall say about an application whose image is at hand."""
    application = change.configuration.applications[image.application]
    chart = application.chart
    return Desired(
        application=image.application,
        environment=change.environment,
        chart=f"charts/{image.application}",
        values=value_files(change.tree, chart, change.environment),
        commit=change.commit,
        repository=image.repository,
        digest=image.digest,
        infrastructure=filled(change, application.values),
    )


def image_by_digest(change: Change, application: str, digest: Digest) -> Image:
    """The image that a person names by its digest.

    Raises:
        BadInputError: The application is unknown.
    """
    known = change.configuration.applications
    if application not in known:
        raise BadInputError(f"The application {application!r} is not in symphony.yaml; there are: {', '.join(known)}.")
    repository = image_repository(change, known[application])
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
    return tuple(image_of(entry) for name, entry in sorted(present.items()) if not applications or name in applications)


def watched_images(change: Change, applications: Sequence[str]) -> dict[str, Image]:
    """The images of those applications whose image a policy chooses here, as the environment has them now.

    Args:
        change: Where to.
        applications: Names; one that the environment does not have yet is not among the images.

    Raises:
        TransientError: The remote could not be reached.
    """
    if not (watched := change.configuration.watched(change.environment).keys() & set(applications)):
        return {}
    fetch(change.configuration.git.remote)
    present = read_desired(change.mirror, change.environment)
    return {name: image_of(present[name]) for name in applications if name in watched and name in present}


def image_of(entry: Desired) -> Image:
    """The image that the desired state names for an application."""
    return Image(
        application=entry.application,
        repository=entry.repository,
        tag="",
        digest=entry.digest,
        built=False,
        commit=entry.commit,
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
            (root / file_of(entry.application)).write_text(text(entry), encoding="utf-8")
        yield entries, root


def unpack(mirror: Path, revision: Commit, entries: Iterable[Desired], folder: Path) -> None:
    """Lay applications' charts of a commit of a desired state out in a folder, and what is to be said about them.

    Raises:
        ToolError: The commit has no such chart.
    """
    (folder / "applications").mkdir(exist_ok=True)
    packed, charts = folder / "packed.tar", []
    for entry in entries:
        charts.append(entry.chart)
        (folder / file_of(entry.application)).write_text(text(entry), encoding="utf-8")
    if charts:
        git("archive", f"--output={packed}", revision, "--", *charts, cwd=mirror)
        with tarfile.open(packed) as archive:
            _extract(archive, folder)
        packed.unlink()


def _extract(archive: tarfile.TarFile, folder: Path) -> None:
    """Lay an archive's files out, none beyond the folder."""
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, filter="data")
        return
    # Python before 3.11.4, such as Debian 12's, has no filter; a vendored chart has no links that would be missed.
    home = folder.resolve()
    for member in archive:
        if not (member.isfile() or member.isdir()) or not (home / member.name).resolve().is_relative_to(home):
            raise SymphonyError(f"The desired state has what no chart of Symphony's has: {member.name}.")
        archive.extract(member, home)


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
        **entry.infrastructure,
    }
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in lines.items())


@functools.lru_cache(maxsize=4096)
def parse(written: str) -> Desired:
    """An application's file, read back.

    Raises:
        SymphonyError: Somebody else wrote it.
    """
    try:
        data = dict(read_yaml(written))
        image = data["image"]
        own = {key: value for key, value in data.items() if key in WRITTEN and key != "image"}
        more = {key: value for key, value in data.items() if key not in WRITTEN}
        return Desired(**own, repository=image["repository"], digest=image["digest"], infrastructure=more)
    except (KeyError, TypeError, ValueError) as error:
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
    return entries_at(mirror, at, _names(mirror, at))


def entries_at(mirror: Path, revision: Commit, applications: Iterable[str]) -> dict[str, Desired]:
    """What a commit of an environment's branch says about applications, read at once; those it has not are left out."""
    files = {name: f"{revision}:{file_of(name)}" for name in applications}
    found = contents(mirror, files.values())
    return {name: parse(found[file]) for name, file in files.items() if file in found}


def removed_applications(change: Change) -> tuple[str, ...]:
    """Applications that the environment has and the commit's ``symphony.yaml`` has no more."""
    return tuple(
        name
        for name in sorted(read_desired(change.mirror, change.environment))
        if name not in change.configuration.applications
    )


def superseding(change: Change, commits: Mapping[str, Commit]) -> dict[str, Commit]:
    """Applications that the environment has at a newer commit than they would get, and that commit.

    Args:
        change: Where to.
        commits: The commit that each application would get.

    Raises:
        TransientError: The remote could not be reached.
    """
    fetch(change.configuration.git.remote)
    present = head(change.mirror, branch_of(change.environment))
    there = entries_at(change.mirror, present, commits) if present else {}
    pairs = {(commits[name], entry.commit) for name, entry in there.items()}
    newer = {(one, other) for one, other in pairs if one != other and is_ancestor(change.mirror, one, other)}
    return {name: entry.commit for name, entry in there.items() if (commits[name], entry.commit) in newer}


def file_of(application: str) -> str:
    """Path of an application's file on the branch."""
    return f"applications/{application}.yaml"


def _names(mirror: Path, revision: str) -> list[str]:
    names = git("ls-tree", "-z", "--name-only", revision, "--", "applications/", cwd=mirror).split("\0")
    return [Path(name).stem for name in names if name.endswith(".yaml") and name.isprintable()]


def part(mirror: Path, revision: str, application: str) -> tuple[str, ...]:
    """Object ids of all that a revision has of an application."""
    return parts(mirror, [(revision, application)])[revision, application]


def parts(mirror: Path, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Object ids of all that revisions have of applications, asked at once; see `part`."""
    pairs = list(dict.fromkeys(wanted))
    asked = "".join(f"{at}:charts/{name}\n{at}:{file_of(name)}\n" for at, name in pairs)
    ids = git("cat-file", "--batch-check=%(objectname)", cwd=mirror, stdin=asked).splitlines()
    found = [tuple(one for one in ids[at : at + 2] if not one.endswith(" missing")) for at in range(0, len(ids), 2)]
    return dict(zip(pairs, found, strict=True))
