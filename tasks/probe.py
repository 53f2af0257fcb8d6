"""Asking one URL until it is settled: good answers in a row, or the time is over."""

from __future__ import annotations

import functools
import math
import threading
import time
from collections.abc import Mapping, Sequence

from prefect import task

from symphony.change import Change
from symphony.ending import under_way
from symphony.errors import SmokeError, SymphonyError
from symphony.models import Image, Probe
from tasks.answer import Answer, Target, ask, judge, open_client
from tasks.certificate import trust
from tasks.oci_registry import oci_registry
from tasks.retry import ONCE

_PAUSE = 0.1


class ProbeError(SmokeError):
    """A URL did not answer as it should.

    Attributes:
        probe: What came of it.
        answer: The last answer.
    """

    def __init__(self, probe: Probe, answer: Answer) -> None:
        """Tell URL and problem."""
        self.probe = probe
        self.answer = answer
        super().__init__(f"{probe.url}: {probe.problem}")


@task(name="probe", task_run_name="probe {target.url}", **ONCE)
def probe(change: Change, target: Target, bases: Mapping[str, str], until: float) -> Probe:
    """Ask one URL until it answered well several times in a row, the time is over, or the run is cancelled.

    Args:
        change: The commit being released.
        target: What to ask, and what is expected.
        bases: Where redirects may lead.
        until: When it must have settled, on `time.monotonic`'s clock; it is asked at least once.

    Returns:
        What came of it.

    Raises:
        ProbeError: The last answer was not a good one.
        SmokeError: The file of the environment's own authority is none.
    """
    # Seldom needed, since an image's digest is told by most; then it is looked up once.
    recorded = functools.cache(lambda: recorded_commit(change, target.image))
    times: list[float] = []
    good, last = 0, None
    cancelled = threading.Event()
    with open_client(trust(change)) as http, under_way(cancelled.set):
        while True:
            answer = ask(http, target, bases)
            try:
                version, problem = judge(answer, target, recorded)
            except SymphonyError as error:  # the registry, which may answer the next time
                version, problem = "", str(error)
            if answer.milliseconds is not None:
                times.append(answer.milliseconds)
            good = 0 if problem else good + 1
            if good >= target.good:
                found = _told(target, answer, times[-good:], version)
                return found.model_copy(update=_lasting(target, answer, change.target.ingress.certificate_days))
            if problem:
                last = (answer, version, problem)
            if cancelled.is_set() or time.monotonic() > until:
                # One that answers well by turns is told by the answer that was not good.
                told = last or (answer, version, f"it answered well only {good} times, and not {target.good}")
                raise ProbeError(_told(target, told[0], times, *told[1:]), told[0])
            if problem:
                time.sleep(_PAUSE)


def recorded_commit(change: Change, image: Image | None) -> str:
    """The commit that an image's label says it was built from; empty where it has none.

    Raises:
        TransientError: The registry could not be reached.
        SymphonyError: It refuses.
    """
    if image is None:
        return ""
    with oci_registry(change.target) as registry:
        return registry.labels(image.path, image.digest).get("org.opencontainers.image.revision", "")


def percentile(times: Sequence[float], share: float) -> float | None:
    """The time that this share of all kept to; None where there are none."""
    return sorted(times)[math.ceil(share * len(times)) - 1] if times else None


def _told(target: Target, answer: Answer, times: Sequence[float], version: str, problem: str = "") -> Probe:
    return Probe(
        application=target.application,
        url=target.url,
        status=answer.status,
        milliseconds=percentile(times, 0.5),
        p95=percentile(times, 0.95),
        version=version,
        note="" if target.served else "no Ingress names this host, and nobody may answer",
        problem=problem,
    )


def _lasting(target: Target, answer: Answer, days: float) -> dict[str, str]:
    """What is to be said of a certificate, by field of the probe."""
    if answer.certificate is None or not target.served:
        return {}
    said = f"the certificate of {target.host} {answer.certificate}"
    return {"note" if answer.certificate.days >= days else "warning": said}
