"""The flow ``smoke``: every host and path of the Ingresses, asked through the real ingress."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from flows.names import run_name
from symphony.change import Change
from symphony.config import Name
from symphony.errors import SmokeError
from symphony.models import Image, Probe
from tasks.artifacts import key_of, table
from tasks.change import open_change
from tasks.desired import live_images
from tasks.ingress import ProbeError, probe, read_targets


@flow(name="smoke", flow_run_name=run_name("smoke"), task_runner=ThreadPoolTaskRunner(max_workers=16))  # type: ignore[arg-type]
def smoke(environment: Name, applications: list[Name] | None = None) -> tuple[Probe, ...]:
    """Ask every URL of the environment, and check that the version which is deployed is the one that answers.

    Args:
        environment: Environment of symphony.yaml to ask.
        applications: Applications to ask; all that are deployed by default.
    """
    with open_change(environment) as change:
        return smoke_applications(change, live_images(change, applications or ()))


def smoke_applications(change: Change, images: Sequence[Image]) -> tuple[Probe, ...]:
    """Ask every URL of these applications, side by side.

    Args:
        change: The commit being released.
        images: The applications, and the digest that each must tell at ``/version``.

    Returns:
        One probe a URL.

    Raises:
        SmokeError: A URL did not answer as it should.
    """
    targets = read_targets(change, images)
    asked = [probe.submit(target, change.target.ingress.timeout) for target in targets]
    probes = tuple(_answer(one) for one in asked)
    _report(change, probes)
    failed = [one for one in probes if not one.passed]
    if failed:
        told = "; ".join(f"{one.url}: {one.problem}" for one in failed)
        raise SmokeError(
            f"{len(failed)} of {len(probes)} URLs of {change.environment} did not answer as they should: {told}."
        )
    return probes


def _answer(asked: PrefectFuture[Probe]) -> Probe:
    """The probe's result, also where it is a bad one: the table shows them all."""
    try:
        return asked.result()
    except ProbeError as error:
        return error.probe


def _report(change: Change, probes: Sequence[Probe]) -> None:
    rows: list[dict[str, object]] = [
        {
            "application": one.application,
            "URL": f"[{one.url}]({one.url})",
            "status": one.status if one.status is not None else "none",
            "ms": one.milliseconds if one.milliseconds is not None else "",
            "version": one.version,
            "result": one.problem or "good",
        }
        for one in probes
    ]
    table(key_of("smoke", change.environment), f"URLs of {change.environment}", rows)
