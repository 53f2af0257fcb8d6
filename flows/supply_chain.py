"""What comes along with an image, and what is checked before it is deployed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from prefect import get_run_logger
from prefect.exceptions import UnfinishedRun
from prefect.futures import PrefectFuture

from symphony.change import Change
from symphony.ending import ended_together
from symphony.errors import BadInputError, SymphonyError
from symphony.models import Image
from tasks.admission import RefusedImageError, check_findings, check_origin
from tasks.images import tag_commit
from tasks.sbom import attach_sbom
from tasks.signature import sign


@contextlib.contextmanager
def attached(change: Change, images: Sequence[Image]) -> Iterator[None]:
    """What Symphony's own images bring along: there before the body where required, else made beside it.

    That is SBOM, signature, and the commit as an alias tag, which nothing waits for. Images that were built before get
    them too. What fails beside the body is told, and fails nothing.

    Args:
        change: The commit being released.
        images: Images that were built, or found by what goes into them.

    Raises:
        SymphonyError: SBOM or signature is required and could not be made.
    """
    making: list[PrefectFuture[Any]] = []
    try:
        with ended_together():  # a run that is cancelled waits for no SBOM
            making += [future for image in images for future in _begin(change, image)]
            if change.target.supply_chain.blocking:
                for future in making:
                    future.result()
            making += [tag_commit.submit(change, image) for image in images]
            yield
    finally:
        for future in making:
            try:
                future.result()
            except SymphonyError as error:
                get_run_logger().warning("%s", error)
            except UnfinishedRun:
                # It never began, since what it waits for failed and is told; whatever ends the body is the reason.
                continue


def admit(change: Change, images: Sequence[Image]) -> None:
    """Let images into an environment, each checked beside the others, or say of each what keeps it out.

    Args:
        change: The commit being released.
        images: Images about to be deployed, wherever they come from.

    Raises:
        BadInputError: An image lacks what the environment requires; nothing has been changed.
        SymphonyError: A check could not be made.
    """
    if kept := kept_out(change, images):
        raise BadInputError("\n".join(kept.values()))


def kept_out(change: Change, images: Sequence[Image]) -> dict[str, str]:
    """What keeps images out of an environment, by application; those that are let in are not among them.

    Args:
        change: The commit being released.
        images: Images about to be deployed, wherever they come from.

    Raises:
        SymphonyError: A check could not be made.
    """
    asked = change.target.supply_chain
    checks: list[tuple[str, PrefectFuture[Any]]] = []
    if asked.blocking:
        checks += [(image.application, check_origin.submit(change, image)) for image in images]
    if asked.scan:
        checks += [(image.application, check_findings.submit(change, image)) for image in images]
    refused: dict[str, str] = {}
    for name, check in checks:
        try:
            check.result()
        except RefusedImageError as error:
            refused[name] = "\n".join([refused[name], str(error)] if name in refused else [str(error)])
    return refused


def _begin(change: Change, image: Image) -> list[PrefectFuture[Any]]:
    asked, begun = change.target.supply_chain, list[PrefectFuture[Any]]()
    if asked.signature:
        begun.append(sign.submit(change, image))
    if asked.sbom != "none":
        sbom = attach_sbom.submit(change, image)
        begun.append(sbom)
        if asked.signature:
            begun.append(sign.submit(change, image, sbom))  # type: ignore[call-overload]  # Prefect hands on what the future holds
    return begun
