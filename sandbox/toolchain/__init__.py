"""The toolchain: Go tools built once from pinned modules into a cache outside the clone.

What other parts need of it is here; everything heavy is imported only when something has to be built.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.toolchain.cache import Store
from sandbox.toolchain.pins import TOOLS, Tool

if TYPE_CHECKING:
    from sandbox.toolchain.building import Step

__all__ = ["Tool", "build", "crds", "external_secrets", "folders", "missing", "provider_mirror"]

_BY_NAME = {tool.name: tool for tool in TOOLS}


def folders(cache: Path) -> tuple[Path, ...]:
    """Folders with the tools' programs, for `sandbox.world.World.tools`; those of a missing tool do not exist yet."""
    with_programs = (tool for tool in TOOLS if any(place.startswith("bin/") for place in tool.programs.values()))
    return tuple(Store(cache).place(tool) / "bin" for tool in with_programs)


def provider_mirror(cache: Path) -> Path:
    """Folder for OpenTofu's ``filesystem_mirror``, with the AWS provider in it."""
    return Store(cache).place(_BY_NAME["aws-provider"]) / "share" / "mirror"


def crds(cache: Path) -> Path:
    """Folder with Argo CD's custom resource definitions, one YAML file each."""
    return Store(cache).place(_BY_NAME["argocd"]) / "share" / "crds"


def external_secrets(cache: Path) -> Path:
    """Folder with External Secrets Operator's custom resource definitions, one YAML file each."""
    return Store(cache).place(_BY_NAME["external-secrets"]) / "share" / "crds"


def missing(cache: Path) -> tuple[Tool, ...]:
    """Tools that are not in the cache yet; a few milliseconds."""
    return Store(cache).missing()


def build(cache: Path, report: Callable[[Step], None] | None = None) -> None:
    """Build or find what is missing; returns at once where nothing is.

    Args:
        cache: The cache folder.
        report: Called at each step (`sandbox.toolchain.building.Step`), from more than one thread.

    Raises:
        SymphonyError: A tool does not build, the disk is too full, or Go cannot be had.
    """
    if missing(cache):
        from sandbox.toolchain import building  # noqa: PLC0415 - a warm check must not pay for it

        building.build(Store(cache), *([report] if report else []))
