"""What leads to the applications, and will not for long: certificates that are not good, or are about to end."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from prefect import task

from symphony.change import Change
from symphony.drift import Finding
from symphony.models import Image
from tasks.answer import Answer, Target, ask, open_client
from tasks.certificate import trust
from tasks.ingress import read_targets
from tasks.retry import TRANSIENT

_SIDE_BY_SIDE = 16


@task(name="look at access", task_run_name="look at the access to {change.environment}", **TRANSIENT)
def look_at_access(change: Change, images: Sequence[Image]) -> tuple[Finding, ...]:
    """Certificates of the applications' hosts, each asked for once.

    Args:
        change: The environment.
        images: Its applications.

    Raises:
        TransientError: The cluster could not be reached.
        SmokeError: An Ingress cannot be read, or the file of the environment's own authority is none.
        SymphonyError: The cluster refused.
    """
    entrance = read_targets.fn(change, images)
    secured = {one.host: one for one in entrance.targets if one.served and urlsplit(one.base).scheme == "https"}
    with open_client(trust(change)) as http, ThreadPoolExecutor(max_workers=_SIDE_BY_SIDE) as pool:
        answers = list(pool.map(lambda one: ask(http, one, entrance.bases), secured.values()))
    found = zip(secured.values(), answers, strict=True)
    return tuple(_finding(one, told) for one, answer in found if (told := _told(change, answer)))


def _finding(target: Target, told: str) -> Finding:
    what = f"certificate of {target.host}"
    return Finding(area="access", kind="drift", where=target.application, what=what, told=told)


def _told(change: Change, answer: Answer) -> str:
    if answer.certificate is None:
        return answer.failure if "certificate" in answer.failure else ""
    ending = answer.certificate.days < change.target.ingress.certificate_days
    return f"the certificate {answer.certificate}" if ending else ""
