"""The flow ``build``: every affected application's image, in ECR."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from prefect import allow_failure, flow, get_run_logger
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from flows.names import run_name
from flows.supply_chain import attached
from symphony.change import Change
from symphony.config import Name
from symphony.ending import ended_together
from symphony.errors import BadInputError
from symphony.models import Image
from tasks.affected import affected_applications
from tasks.artifacts import key_of, table
from tasks.change import open_change
from tasks.content import content_tag
from tasks.failure import show_failure
from tasks.images import build_image, check_repositories, find, push_image
from tasks.source import source


@flow(
    name="build",
    flow_run_name=run_name("build"),
    task_runner=ThreadPoolTaskRunner(max_workers=4),  # type: ignore[arg-type]
    on_failure=[show_failure],
)
def build(environment: Name, commit: str = "main", applications: list[Name] | None = None) -> tuple[Image, ...]:
    """Build the images that ECR does not have yet and push them; attach the SBOM and signature that any of them lacks.

    Args:
        environment: Environment of symphony.yaml whose registry takes the images.
        commit: Branch, tag or commit id to build.
        applications: Applications to build; by default those that changed since the environment's last release.
    """
    with open_change(environment, commit) as change:
        images = build_images(change, applications or affected_applications(change))
        with attached(change, images):
            return images


def build_images(change: Change, applications: Sequence[str]) -> tuple[Image, ...]:
    """Build and push side by side; what ECR has already under its content tag is not built again.

    Args:
        change: The commit being released.
        applications: Names in ``symphony.yaml``.

    Returns:
        One image an application, in the order given.

    Raises:
        BadInputError: An application is unknown.
        SymphonyError: An image does not build, or the registry refuses it.
    """
    for name in applications:
        if name not in change.configuration.applications:
            known = ", ".join(change.configuration.applications)
            raise BadInputError(f"The application {name!r} is not in symphony.yaml; there are: {known}.")
    limit = change.configuration.build.parallel
    with contextlib.ExitStack() as stack:
        sources = {name: stack.enter_context(source(change, name)) for name in applications}
        tags = {name: content_tag.submit(change, name, source.folder) for name, source in sources.items()}
        looked = {name: find.submit(change, name, sources[name], tags[name]) for name in applications}  # type: ignore[call-overload]  # Prefect hands on what the future holds
        for made in tags.values():
            # Where it failed, this raises why; what waits for it would only say that it never began.
            made.result()
        found: dict[str, Image | None] = {name: future.result() for name, future in looked.items()}
        missing = [name for name, image in found.items() if image is None]
        if missing:
            checked = check_repositories.submit(change, missing)
        stack.enter_context(ended_together())
        built = dict[str, PrefectFuture[str]]()
        for place, name in enumerate(missing):
            # So many at once: each waits for the one that many places before it, whatever comes of that.
            before = [allow_failure(built[missing[place - limit]])] if place >= limit else []
            tag = tags[name].result()
            built[name] = build_image.submit(change, name, sources[name], tag, wait_for=before)  # type: ignore[call-overload]
        pushed = {name: push_image.submit(change, name, sources[name], built[name]) for name in missing}  # type: ignore[call-overload]
        for name in missing:
            built[name].result()
            found[name] = pushed[name].result()
        if missing:
            checked.wait()
    images = tuple(image for name in applications if (image := found[name]) is not None)
    _report(change, images)
    return images


def _report(change: Change, images: Sequence[Image]) -> None:
    if images and not any(image.built for image in images):
        get_run_logger().info("Nothing built: ECR has the images of %s.", ", ".join(one.application for one in images))
    rows: list[dict[str, object]] = [
        {
            "application": image.application,
            "image": f"{image.repository}:{image.tag}",
            "digest": image.digest,
            "built": "built and pushed" if image.built else "found in ECR",
        }
        for image in images
    ]
    table(key_of("images", change.environment), f"Images of {change.commit[:12]} for {change.environment}", rows)
