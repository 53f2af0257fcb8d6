"""The flow ``smoke``: every host and path of the Ingresses, asked through the real ingress."""

from __future__ import annotations

import time
from collections.abc import Sequence

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from flows.names import run_name
from symphony.change import Change
from symphony.config import Name
from symphony.ending import ended_together
from symphony.errors import SmokeError
from symphony.models import Image, Probe
from tasks.behind import look_behind
from tasks.change import open_change
from tasks.chart_tests import ChartTest, ChartTestsError, run_chart_tests, with_tests
from tasks.desired import live_images
from tasks.failure import show_failure
from tasks.ingress import read_targets
from tasks.probe import ProbeError, probe
from tasks.smoke_report import Failure, report


@flow(
    name="smoke",
    flow_run_name=run_name("smoke"),
    task_runner=ThreadPoolTaskRunner(max_workers=16),  # type: ignore[arg-type]
    on_failure=[show_failure],
)
def smoke(environment: Name, applications: list[Name] | None = None) -> tuple[Probe, ...]:
    """Ask every URL of the environment, and check that the version which is deployed is the one that answers.

    Args:
        environment: Environment of symphony.yaml to ask.
        applications: Applications to ask; all that are deployed by default.
    """
    with open_change(environment) as change:
        probes = smoke_applications(change, live_images(change, applications or ()))
        if warnings := dict.fromkeys(one.warning for one in probes if one.warning):
            raise SmokeError(f"Every URL of {environment} answers as it should, but {'; '.join(warnings)}.")
        return probes


@ended_together()
def smoke_applications(change: Change, images: Sequence[Image]) -> tuple[Probe, ...]:
    """Ask every URL of these applications, and run the test pods of their charts, side by side.

    Args:
        change: The commit being released.
        images: The applications, and the image that each must tell.

    Returns:
        One probe a URL.

    Raises:
        SmokeError: A URL did not answer as it should, or a test pod of a chart failed.
    """
    entrance = read_targets(change, images)
    until = time.monotonic() + change.target.ingress.timeout
    asked = [(target, probe.submit(change, target, entrance.bases, until)) for target in entrance.targets]
    names = with_tests(change, [image.application for image in images])
    testing = [run_chart_tests.submit(change, name) for name in names]
    answered = [(target, _answer(one)) for target, one in asked]
    failed = [(look_behind.submit(change, target), one) for target, one in answered if isinstance(one, ProbeError)]
    failures = [Failure(one.probe, one.answer, tuple(seen.result())) for seen, one in failed]
    probes = tuple(one.probe if isinstance(one, ProbeError) else one for _, one in answered)
    tests = [test for one in testing for test in _tested(one)]
    report(change, probes, tests, failures)
    _judge(change, probes, failures, [one for one in tests if one.problem])
    return probes


def _judge(change: Change, probes: Sequence[Probe], failures: Sequence[Failure], tests: Sequence[ChartTest]) -> None:
    """Raise where a URL or a test pod failed."""
    told = "; ".join([*(one.sentence for one in failures), *(one.sentence for one in tests)])
    if failures:
        raise SmokeError(
            f"{len(failures)} of {len(probes)} URLs of {change.environment} did not answer as they should: {told}."
        )
    if tests:
        raise SmokeError(f"Every URL of {change.environment} answers as it should, but not so {told}.")


def _answer(asked: PrefectFuture[Probe]) -> Probe | ProbeError:
    """The probe's result, also where it is a bad one: the table shows them all."""
    try:
        return asked.result()
    except ProbeError as error:
        return error


def _tested(testing: PrefectFuture[tuple[ChartTest, ...]]) -> tuple[ChartTest, ...]:
    """What came of an application's test pods, also where they failed."""
    try:
        return testing.result()
    except ChartTestsError as error:
        return error.tests
