"""The SBOM of an image: what syft finds in it, attached to it in the registry."""

from __future__ import annotations

import tempfile
from pathlib import Path

from prefect import task

from symphony.change import Change
from symphony.errors import SymphonyError, ToolError, TransientError
from symphony.models import Digest, Image
from symphony.tool import run
from tasks.oci_registry import login_environment, oci_registry, plain
from tasks.retry import BROKEN_CONNECTION, TRANSIENT

SPDX = "application/spdx+json"
"""Media type of an SBOM, and artifact type of what carries it (SPDX 2.3, JSON)."""
_LIMIT_SECONDS = 600.0


@task(name="attach SBOM", task_run_name="attach SBOM to {image.application}", **TRANSIENT)
def attach_sbom(change: Change, image: Image) -> Digest:
    """Let syft list what is in an image and attach the list to it; an image that has one keeps it.

    Args:
        change: The commit being released.
        image: The image, pushed.

    Returns:
        Digest of the referrer that carries the SBOM.

    Raises:
        SymphonyError: syft cannot read the image, or the registry refuses the SBOM.
        TransientError: The registry was out of reach.
    """
    with oci_registry(change.target) as registry:
        if there := registry.referrers(image.path, image.digest, SPDX):
            return there[0].digest
        return registry.attach(image.path, image.digest, SPDX, _listed(change, image))


def _listed(change: Change, image: Image) -> bytes:
    settings = {
        "SYFT_CHECK_FOR_APP_UPDATE": "false",
        "NO_COLOR": "1",
        "SYFT_REGISTRY_INSECURE_USE_HTTP": str(plain(change.target)).lower(),
    }
    with tempfile.TemporaryDirectory(prefix="symphony-sbom-") as folder, login_environment(change.target) as login:
        made = Path(folder) / "sbom.spdx.json"
        source = f"registry:{image.reference}"
        # Made beside a deploy, it takes what the deploy leaves of the processors.
        beside = [] if change.target.supply_chain.sbom == "required" else ["nice", "-n", "15"]
        try:
            run(
                [*beside, "syft", "scan", source, "--output", f"spdx-json={made}"],
                env={**login, **settings},
                limit=_LIMIT_SECONDS,
            )
        except ToolError as error:
            passing = any(sign in error.output.lower() for sign in BROKEN_CONNECTION)
            raise (TransientError if passing else SymphonyError)(
                f"syft cannot list what is in the image of {image.application}, {image.reference}: "
                f"{error.output.strip() or error}"
            ) from error
        return made.read_bytes()
