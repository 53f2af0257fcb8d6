"""Putting the whole list onto a Prefect server: work pool, queues, limits, blocks, deployments. Safe to repeat."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deployments.client import PrefectApi
from deployments.fingerprint import fingerprint
from deployments.listing import Declared, queues, read
from symphony.config import Configuration, configured, load
from symphony.errors import BadInputError

ROOT = Path(__file__).resolve().parents[1]
"""Folder with this project's code, ``prefect.yaml`` and ``symphony.yaml``."""


@dataclass(frozen=True)
class Applied:
    """What a call did.

    Attributes:
        deployments: Whole names of all deployments asked for.
        changed: Those that were put onto the server; empty where it had them all as they should be.
        removed: Those that nothing declares any more, and that are gone.
        version: The fingerprint that they carry.
        seconds: Wall time.
    """

    deployments: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    version: str
    seconds: float


def deploy_flows(
    api: PrefectApi,
    file: Path | None = None,
    environments: Sequence[str] = (),
    *,
    force: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Applied:
    """Put everything that the flows need onto a Prefect server, and take away what is no longer declared.

    Args:
        api: The server.
        file: ``symphony.yaml``; by default what ``SYMPHONY_CONFIG`` names, or else this project's. The list is the
            ``prefect.yaml`` beside it, or else this project's.
        environments: Deploy for these alone; for all by default.
        force: Also where the server seems to have it all.
        report: Called with each deployment's whole name as it is put there.

    Raises:
        BadInputError: The list is wrong, an environment is unknown, or the server refuses the credentials.
        SymphonyError: The server does not answer, or refuses a deployment.
    """
    started = time.monotonic()
    file = file or configured(ROOT / "symphony.yaml")
    configuration = load(file)
    beside = file.with_name("prefect.yaml")
    listing = beside if beside.exists() else ROOT / "prefect.yaml"
    everything = read(listing)
    declared = chosen(everything, configuration, environments)
    version = fingerprint(ROOT, everything, (file, listing))
    before = {} if force else api.versions()
    changed = [one for one in declared if before.get(one.full_name) != version]
    removed: tuple[str, ...] = ()
    if changed or before.keys() - {one.full_name for one in everything}:
        from deployments.prefect_api import put  # noqa: PLC0415 - a warm check must not load Prefect

        removed = put(api, configuration, everything, changed, version, report)
    return Applied(
        deployments=tuple(one.full_name for one in declared),
        changed=tuple(one.full_name for one in changed),
        removed=removed,
        version=version,
        seconds=time.monotonic() - started,
    )


def chosen(
    declared: Sequence[Declared], configuration: Configuration, environments: Sequence[str]
) -> tuple[Declared, ...]:
    """The deployments of some environments, each checked against ``symphony.yaml``.

    Raises:
        BadInputError: An environment is unknown, here or in the list.
    """
    known = ", ".join(configuration.environments)
    for name in environments:
        if name not in configuration.environments:
            raise BadInputError(f"The environment {name!r} is not in symphony.yaml; there are: {known}.")
    for one in declared:
        if one.parameters.get("environment", one.name) not in configuration.environments:
            raise BadInputError(f"prefect.yaml deploys {one.full_name} for an unknown environment; there are: {known}.")
        own = queues([one.parameters.get("environment", one.name)])
        if one.work_pool.work_queue_name not in own:
            raise BadInputError(
                f"prefect.yaml puts {one.full_name} into the queue {one.work_pool.work_queue_name!r}, whose workers "
                f"serve another environment; its own are: {', '.join(own)}."
            )
    return tuple(one for one in declared if not environments or one.parameters.get("environment") in environments)


def flow_of(one: Declared) -> object:
    """Import the flow of an entrypoint.

    Raises:
        BadInputError: The module or the flow in it does not exist.
    """
    module, _, name = one.entrypoint.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise BadInputError(f"prefect.yaml names {one.entrypoint}, which cannot be imported: {error}.") from error
