"""A first ``symphony.yaml`` for a repository, made of what was found in it."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from symphony.config import Configuration
from symphony.discovery import Chart, Found
from symphony.errors import BadInputError

_ACCOUNT, _REGION, _REMOTE = "000000000000", "us-east-1", "https://git.example.com/platform.git"
_URL = "https://argocd.example.com"
_REPOSITORY = re.compile(r"[a-z0-9]+([._/-][a-z0-9]+)*")
_NAME_LIMIT = 40
_GUESSED = "check this"
_HEADER = """\
What Symphony delivers, and where to; `symphony init` wrote it from what this repository has.
Lines that say so are guesses.
"""


@dataclass(frozen=True)
class First:
    """A first ``symphony.yaml``.

    Attributes:
        text: The file.
        unsure: What could not be told from the repository, each as a sentence that says what to do.
    """

    text: str
    unsure: tuple[str, ...]


class _Draft:
    """The file as it comes to be."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.unsure: list[str] = []

    def guess(self, section: CommentedMap, key: str, value: object, why: str) -> None:
        """Put a value that nobody told, and say so."""
        section[key] = value
        section.yaml_add_eol_comment(_GUESSED, key)
        if why not in self.unsure:
            self.unsure.append(why)


def first(found: Found, project: str, remote: str, main: str) -> First:
    """Write a first ``symphony.yaml``.

    Args:
        found: What the repository has.
        project: What it is called.
        remote: URL of its Git remote; empty where it has none.
        main: Its branch.

    Returns:
        A file that loads.

    Raises:
        BadInputError: There is nothing in the repository that could be delivered.
    """
    if not (found.dockerfiles or found.charts):
        raise BadInputError("There is neither a Dockerfile nor a Helm chart here; Symphony delivers what has both.")
    draft = _Draft(found)
    data = CommentedMap({"version": 1, "project": name_of(project)})
    data["git"] = git = CommentedMap()
    kept = re.sub(r"^(https?://)[^/@]+@", r"\1", remote)
    if re.fullmatch(r"(https?://|ssh://|git@|file:///)\S+", kept):
        git["remote"] = kept
    else:
        draft.guess(git, "remote", _REMOTE, "git.remote: the repository has no remote that Argo CD could follow.")
    git["main"] = main
    if live := found.live:
        data["infrastructure"] = CommentedMap({"live": str(live)})
    else:
        draft.unsure.append("infrastructure: there is no Terragrunt tree; `provision` has nothing to do without one.")
    data["applications"] = _applications(draft)
    data["environments"] = _environments(draft)
    data.yaml_set_start_comment(_HEADER)
    out = io.StringIO()
    writer = YAML()
    writer.width = 120
    writer.dump(data, out)
    Configuration.model_validate(YAML(typ="safe", pure=True).load(out.getvalue()))
    return First(out.getvalue(), tuple(draft.unsure))


def name_of(text: str) -> str:
    """A name as ``symphony.yaml`` takes it, made of any text."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return (plain if plain[:1].isalpha() else f"a-{plain}".rstrip("-"))[:_NAME_LIMIT].rstrip("-")


def _applications(draft: _Draft) -> CommentedMap:
    """One application a Dockerfile; a chart whose image is built elsewhere is told."""
    found, made, left = draft.found, CommentedMap(), list(draft.found.charts)
    for dockerfile in found.dockerfiles:
        source, name = _source(dockerfile, made)
        made[name] = entry = CommentedMap({"source": str(source)})
        if dockerfile != source / "Dockerfile":
            entry["dockerfile"] = str(dockerfile.relative_to(source))
        chart = _chart_of(name, source, left, alone=len(found.dockerfiles) == len(found.charts) == 1)
        if chart:
            left.remove(chart)
            entry["chart"] = str(chart.path)
        else:
            missing = f"applications.{name}.chart: no chart is for {dockerfile}; write one, or name it."
            draft.guess(entry, "chart", f"charts/{name}", missing)
        _repository(draft, name, entry, chart.image if chart else "")
    for chart in left if made else ():
        draft.unsure.append(f"The chart {chart.path} has no Dockerfile here; nothing is delivered by it.")
    for chart in () if made else left:
        name = _free(name_of(chart.name), made)
        made[name] = entry = CommentedMap()
        why = f"applications.{name}.source: {chart.path} has no Dockerfile here; name another repository at git."
        draft.guess(entry, "source", ".", why)
        entry["chart"] = str(chart.path)
        _repository(draft, name, entry, chart.image)
    return made


def _source(dockerfile: PurePosixPath, taken: CommentedMap) -> tuple[PurePosixPath, str]:
    """Build context and name of a Dockerfile's application."""
    folder = dockerfile.parent
    if folder.name in {"docker", "build", "deploy"}:
        folder = folder.parent
    kind = dockerfile.name.replace("Dockerfile", "").strip(".")
    whole = "-".join(filter(None, [folder.name or "app", kind]))
    return folder, _free(name_of(whole), taken)


def _free(name: str, taken: CommentedMap) -> str:
    numbers = (f"{name[: _NAME_LIMIT - 4]}-{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(one for one in numbers if one not in taken)


def _chart_of(name: str, source: PurePosixPath, charts: list[Chart], *, alone: bool) -> Chart | None:
    """The chart of the same name, or the one within the source, or the only one for the only Dockerfile."""
    for one in charts:
        if name in {name_of(one.path.name), name_of(one.name)}:
            return one
    inside = [one for one in charts if one.path.is_relative_to(source) and source.parts]
    return inside[0] if inside else charts[0] if alone and charts else None


def _repository(draft: _Draft, name: str, entry: CommentedMap, image: str) -> None:
    path = image.partition(".amazonaws.com/")[2]
    if _REPOSITORY.fullmatch(path):
        entry["repository"] = path
    else:
        why = f"applications.{name}.repository: the name of its ECR repository is not told by its chart."
        draft.guess(entry, "repository", name, why)


def _environments(draft: _Draft) -> CommentedMap:
    found, made = draft.found, CommentedMap()
    names = found.environments()
    if not names:
        draft.unsure.append("environments: nothing tells which there are; `dev` stands for the first.")
    argocd = next((name_of(one.argocd) for one in found.rollouts if one.argocd), "argocd")
    for told in names or ("dev",):
        name = _free(name_of(told), made)
        made[name] = entry = CommentedMap({"kind": "aws"})
        if told.startswith("prod"):
            entry["protected"] = True
        entry["aws"] = aws = CommentedMap()
        for key, value, instead in (
            ("account", found.account(told), _ACCOUNT),
            ("region", found.region(told), _REGION),
        ):
            if value:
                aws[key] = value
            else:
                draft.guess(aws, key, instead, f"environments.{name}.aws.{key}: no HCL file tells it.")
        entry["kubernetes"] = kubernetes = CommentedMap()
        context = f"environments.{name}.kubernetes.context: which context of the kubeconfig it is, only you know."
        draft.guess(kubernetes, "context", name, context)
        spaces = sorted({one.namespace for one in found.rollouts if told in _words(f"{one.name} {one.namespace}")})
        if len(spaces) == 1 and name_of(spaces[0]) == spaces[0]:
            kubernetes["namespace"] = spaces[0]
        else:
            why = (
                f"environments.{name}.kubernetes.namespace: {len(spaces)} namespaces are named by Argo CD applications."
            )
            draft.guess(kubernetes, "namespace", name, why)
        entry["argocd"] = CommentedMap({"namespace": argocd} if argocd != "argocd" else {})
        draft.guess(entry["argocd"], "url", _URL, "environments.*.argocd.url: where people open Argo CD.")
    return made


def _words(text: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", text.lower()))
