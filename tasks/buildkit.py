"""BuildKit by buildx: images with caches in the registry, build secrets, and for several platforms."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from prefect import get_run_logger

from symphony.change import Change
from symphony.config import Application
from symphony.errors import BadInputError, SymphonyError, ToolError, TransientError
from symphony.models import Digest
from symphony.tool import Finished, run
from tasks.oci_registry import login_environment
from tasks.retry import BROKEN_CONNECTION, BROKEN_PUSH
from tasks.source import Source

_BUILDER = "symphony"
_LOG_TAIL = 15
_ASK_SECONDS = 60.0
_STEP_FAILED = "did not complete successfully"


def build(change: Change, name: str, source: Source, target: str) -> None:
    """Build an application's image into BuildKit's cache, its log streamed to the run's with secrets masked.

    Args:
        change: The commit being released.
        name: The application.
        source: Where it is built from.
        target: The image's name, ``host/repository:tag``.

    Raises:
        BadInputError: A build secret is missing, or BuildKit's address.
        SymphonyError: The Dockerfile does not build (the sentence has the failing step's last lines), or not in time.
        TransientError: BuildKit or the registry is out of reach, or broke off.
    """
    _solve(change, name, source, target, ["--output", "type=cacheonly"])


def push(change: Change, name: str, source: Source, target: str) -> Digest:
    """Push what `build` made, with a fresh ECR login, and keep the cache in the registry where there is one.

    The same content of the same commit has the same digest, wherever it is built: what files and image say of their
    time is the commit's.

    Args:
        change: The commit being released.
        name: The application.
        source: Where it was built from.
        target: The image's name, ``host/repository:tag``.

    Returns:
        Its digest, as BuildKit tells it.

    Raises:
        TransientError: The registry broke off, throttled, or was out of reach, or the login ended.
        SymphonyError: The registry refuses the push.
    """
    output = ["--output", f"type=image,name={target},push=true,oci-mediatypes=true,rewrite-timestamp=true"]
    if cache := _cache(change, name):
        # As a plain image manifest, which ECR takes; a cache that cannot be kept fails no push.
        output += ["--cache-to", f"{cache},mode=max,image-manifest=true,oci-mediatypes=true,ignore-error=true"]
    return str(_solve(change, name, source, target, output)["containerimage.digest"])


def base_digest(change: Change, base: str) -> Digest:
    """What the registry has under the name of a base image.

    Raises:
        SymphonyError: The registry does not have it.
        TransientError: The registry is out of reach.
    """
    with login_environment(change.target) as login:
        try:
            asked = ["buildx", "imagetools", "inspect", base, "--format", "{{.Manifest.Digest}}"]
            return run(asked, env=login, limit=_ASK_SECONDS).stdout.strip()
        except ToolError as error:
            said = _error_line(error)
            kind = TransientError if any(sign in said.lower() for sign in BROKEN_CONNECTION) else SymphonyError
            raise kind(
                f"The base image {base!r} is not in its registry, which is where BuildKit looks: {said}"
            ) from error


def _solve(change: Change, name: str, source: Source, target: str, output: Sequence[str]) -> Mapping[str, object]:
    """One run of buildx; returns what it tells of the result."""
    application, log = change.configuration.applications[name], get_run_logger()
    limit, secrets = change.configuration.build.timeout, _values(name, application)
    with _builder(change) as environment:
        told = Path(environment["DOCKER_CONFIG"]) / "result.json"
        arguments = [
            *("--file", source.folder / application.dockerfile),
            *("--metadata-file", told),
            *("--build-arg", f"SOURCE_DATE_EPOCH={source.epoch}"),
            *_each("--build-arg", application.build_args),
            *_each("--label", source.labels(target.rpartition(":")[2])),
            *_secrets(application),
        ]
        if application.platforms:
            arguments += ["--platform", ",".join(application.platforms)]
        if cache := _cache(change, name):
            arguments += ["--cache-from", cache]
        command = ["buildx", "build", "--builder", _BUILDER, "--progress", "plain", "--provenance=false"]
        try:
            _bound(
                [*command, *map(str, arguments), *output, str(source.folder)],
                environment,
                limit,
                secrets,
                lambda line: log.info("%s │ %s", name, line) if line.strip() else None,
            )
        except ToolError as error:
            raise _told(name, error) from error
        return dict(json.loads(told.read_text()))


def _bound(
    command: list[str], environment: Mapping[str, str], limit: float, secrets: Sequence[str], on_line: object
) -> Finished:
    """Run buildx so that it ends, and BuildKit's build with it, also where this process is killed."""
    # The kernel tells it (prctl(2), PR_SET_PDEATHSIG).
    tied = ["setpriv", "--pdeathsig", "TERM", *command] if shutil.which("setpriv") else command
    return run(tied, env=environment, limit=limit, secrets=secrets, on_line=on_line)  # type: ignore[arg-type]


@contextlib.contextmanager
def _builder(change: Change) -> Iterator[dict[str, str]]:
    """Variables by which buildx finds BuildKit and a fresh login, both in a private folder."""
    address = change.configuration.build.address or os.environ.get("BUILDKIT_HOST")
    if not address:
        raise BadInputError("BuildKit's address is missing; set build.address in symphony.yaml, or BUILDKIT_HOST.")
    with login_environment(change.target) as login:
        environment = {**login, "BUILDX_CONFIG": f"{login['DOCKER_CONFIG']}/buildx"}
        made = ["buildx", "create", "--name", _BUILDER, "--driver", "remote", address]
        try:
            run(made, env=environment, limit=_ASK_SECONDS)
        except ToolError as error:
            raise BadInputError(f"buildx does not take {address} for BuildKit: {_error_line(error)}") from error
        yield environment


def _cache(change: Change, name: str) -> str:
    """The cache of an application in the registry, as buildx names it; empty where none is kept."""
    repository = change.configuration.build.cache
    if not repository:
        return ""
    where = repository.replace("{environment}", change.environment)
    return f"type=registry,ref={change.target.aws.registry_host}/{where}:{name}"


def _each(option: str, values: Mapping[str, str]) -> Iterator[str]:
    for key, value in values.items():
        yield from (option, f"{key}={value}")


def _secrets(application: Application) -> Iterator[str]:
    """Where buildx finds each secret; the secret itself is in no argument."""
    for identity, reference in application.build_secrets.items():
        variable = reference.removeprefix("env://")
        yield from ("--secret", f"id={identity},{'src' if variable == reference else 'env'}={variable}")


def _values(name: str, application: Application) -> list[str]:
    """The secrets, line by line, which no log may show."""
    values = []
    for identity, reference in application.build_secrets.items():
        variable = reference.removeprefix("env://")
        try:
            values.append(os.environ[variable] if variable != reference else Path(reference).read_text())
        except (KeyError, OSError) as error:
            raise BadInputError(f"The build secret {identity!r} of {name} is not there: {reference}.") from error
    return [line.strip() for value in values for line in value.splitlines() if line.strip()]


def _told(name: str, error: ToolError) -> SymphonyError:
    if "its time limit" in str(error):
        return SymphonyError(f"The image of {name} was not built in time: {error}")
    said = _error_line(error)
    if _STEP_FAILED not in said and any(sign in said.lower() for sign in (*BROKEN_PUSH, "unavailable")):
        return TransientError(f"BuildKit or the registry broke off with the image of {name}: {said}")
    tail = "\n".join(error.output.splitlines()[-_LOG_TAIL:])
    return SymphonyError(f"The image of {name} does not build: {said} Last lines:\n{tail}")


def _error_line(error: ToolError) -> str:
    """What buildx says last of an error, without its own prefix."""
    lines = [line.strip() for line in error.output.splitlines() if line.strip()]
    found = [line for line in lines if line.startswith("ERROR:")] or lines or [str(error)]
    return found[-1].removeprefix("ERROR:").strip()
