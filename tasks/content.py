"""The content tag: a hash of everything that goes into an image."""

from __future__ import annotations

import hashlib
import json
import re
import stat
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import APIError, ImageNotFound
from docker.utils.build import exclude_paths
from prefect import task

from symphony.change import Change
from symphony.errors import SymphonyError
from tasks.buildkit import base_digest
from tasks.docker_engine import docker_client
from tasks.retry import TRANSIENT

_HASH_LENGTH = 32
_FROM = re.compile(r"^\s*FROM\s+(?:--platform=\S+\s+)?(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_COPIED = re.compile(
    r"^\s*(?:(?:COPY|ADD)\s+(?:--\S+\s+)*?--from=|RUN\s+(?:--\S+\s+)*?--mount=(?:\S+,)?from=)([^\s,]+)", re.IGNORECASE
)
_ARG = re.compile(r"^\s*ARG\s+(\w+)(?:=(\S+))?", re.IGNORECASE)
_TAG = re.compile(r"(:[^/:@]+)?(@.*)?$")
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)")


@task(name="hash", task_run_name="hash {name}", **TRANSIENT)
def content_tag(change: Change, name: str, context: Path) -> str:
    """The tag that stands for everything that goes into an image.

    It covers each file of the build context that ``.dockerignore`` lets through (path, executable bit, content), the
    Dockerfile, the build arguments, and the digest of each base image.

    Args:
        change: The commit being released.
        name: The application.
        context: Its build context.

    Returns:
        32 hexadecimal digits.

    Raises:
        SymphonyError: A base image is nowhere.
        TransientError: The engine is out of reach.
    """
    application, by_buildkit = change.configuration.applications[name], change.configuration.build.builder == "buildkit"
    text = (context / application.dockerfile).read_text(encoding="utf-8")
    total = hashlib.sha256()
    bases = bases_of(text, application.build_args)
    if by_buildkit:
        identities = {base: _pinned(base) or base_digest(change, base) for base in bases}
    else:
        with docker_client() as engine:
            identities = {base: _pinned(base) or _identity(engine, base) for base in bases}
    parts: dict[str, Any] = {"dockerfile": text, "arguments": application.build_args, "bases": identities}
    if by_buildkit:
        # A secret's value may be rotated; the image is the same.
        parts |= {"platforms": application.platforms, "secrets": sorted(application.build_secrets)}
    total.update(json.dumps(parts, sort_keys=True).encode())
    own = f"{application.dockerfile}.dockerignore"
    ignore = own if by_buildkit and (context / own).exists() else ".dockerignore"
    for path in _context_files(context, application.dockerfile, ignore):
        file = context / path
        mode = file.lstat().st_mode
        body = str(file.readlink()).encode() if stat.S_ISLNK(mode) else file.read_bytes()
        total.update(f"\0{path}\0{bool(mode & stat.S_IXUSR)}\0".encode() + hashlib.sha256(body).digest())
    return total.hexdigest()[:_HASH_LENGTH]


def bases_of(dockerfile: str, arguments: dict[str, str]) -> list[str]:
    """Images that the Dockerfile begins from or copies from, arguments filled in; stages of its own are none."""
    known, stages, found = dict[str, str](), {"scratch"}, list[str]()

    def filled(name: str) -> str:
        return _VARIABLE.sub(lambda match: known.get(match[1] or match[3], "") or match[2] or "", name)

    for line in dockerfile.splitlines():
        if argument := _ARG.match(line):
            known.setdefault(argument[1], arguments.get(argument[1], (argument[2] or "").strip("\"'")))
            continue
        named = _FROM.match(line) or _COPIED.match(line)
        if not named:
            continue
        base = filled(named[1])
        # A stage may be called by its number too.
        if base.lower() not in stages and not base.isdigit() and base not in found:
            found.append(base)
        if named.re is _FROM and named[2]:
            stages.add(named[2].lower())
    return found


def _context_files(context: Path, dockerfile: str, ignore: str) -> list[str]:
    patterns = []
    if (context / ignore).exists():
        lines = (line.strip() for line in (context / ignore).read_text(encoding="utf-8").splitlines())
        patterns = [line for line in lines if line and not line.startswith("#")]
    paths = exclude_paths(str(context), patterns, dockerfile=dockerfile)
    return sorted(path for path in paths if not (context / path).is_dir() or (context / path).is_symlink())


def _pinned(base: str) -> str:
    """The digest that a base image is named by; empty where it is named by a tag."""
    return base.partition("@")[2]


def _identity(engine: DockerClient, base: str) -> str:
    """The digest of a base image: the registry's; where the engine made the image itself, its id."""
    try:
        image = engine.images.get(base)
    except ImageNotFound:
        pass
    else:
        # As the registry names it, so that it stays the same when a build has pulled it.
        repository = _TAG.sub("", base.removeprefix("docker.io/").removeprefix("library/"))
        pulled = [name.partition("@") for name in image.attrs.get("RepoDigests") or []]
        return next((digest for name, _, digest in pulled if name == repository), str(image.id))
    try:
        data: Any = engine.images.get_registry_data(base)
    except APIError as error:
        raise SymphonyError(
            f"The base image {base!r} is neither in the engine nor in its registry: {error.explanation}"
        ) from error
    return str(data.id)
