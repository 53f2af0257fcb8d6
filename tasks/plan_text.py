"""The whole text of plans that are too long for their page, beside the saved plans, masked as the page is."""

from __future__ import annotations

import re
from collections.abc import Iterable

from botocore.exceptions import BotoCoreError, ClientError
from prefect import task

from symphony.change import Change
from symphony.errors import BadInputError
from symphony.models import UnitResult
from tasks import aws
from tasks.live import live_of
from tasks.retry import TRANSIENT
from tasks.saved_plan import DAYS, PREFIX, Shelf
from tasks.state_file import is_missing, state_file
from tasks.units import find_units

_NAME = re.compile(r"^[\w.-]+(/[\w.-]+)+\.txt$")


@task(name="keep plan texts", task_run_name="keep plan texts of {shelf.change.environment}", **TRANSIENT)
def keep_texts(shelf: Shelf, results: Iterable[UnitResult]) -> dict[str, str]:
    """Keep the whole text of plans, encrypted; harmless where it is kept already.

    Args:
        shelf: The run's bucket.
        results: Units whose plans are too long for the page.

    Returns:
        By unit, where its text is and how to read it, as a sentence.

    Raises:
        TransientError: S3 was throttling or out of reach.
        SymphonyError: S3 refused.
    """
    environment, found = shelf.change.environment, dict[str, str]()
    try:
        for result in results:
            if result.plan is None:
                continue
            name = f"{shelf.change.run}/{result.unit}/{result.plan.hash[:12]}.txt"
            key = _key(environment, name)
            lines = [*(f"{change.action} {change.address}" for change in result.plan.changes), "", result.plan.text]
            text = "\n".join(lines).encode()
            shelf.s3.put_object(Bucket=shelf.bucket, Key=key, Body=text, ServerSideEncryption="AES256")
            found[result.unit] = (
                f"The whole plan is kept for {DAYS} days in s3://{shelf.bucket}/{key}; to read it: "
                f"symphony plan-text {name} --env {environment}"
            )
        shelf.sweep()
    except (BotoCoreError, ClientError) as error:
        raise aws.told(error, f"keeping the texts of plans in s3://{shelf.bucket}") from error
    return found


def read_text(change: Change, name: str) -> str:
    """The whole text of a plan.

    Args:
        change: Any commit with units of the environment.
        name: As the page with the plan tells it.

    Raises:
        BadInputError: There is no such text.
        TransientError: S3 was throttling or out of reach.
        SymphonyError: S3 refused.
    """
    unknown = BadInputError(
        f"There is no plan {name!r} of {change.environment}; its name is on the page of the run that made it, and it "
        f"is kept for some weeks."
    )
    if not _NAME.match(name) or ".." in name.split("/"):
        raise unknown
    live = live_of(change)
    units = find_units(live)
    if not units:
        raise unknown
    bucket = state_file(live, units[0].path).bucket
    try:
        answer = aws.client(change.target, "s3").get_object(Bucket=bucket, Key=_key(change.environment, name))
        return str(answer["Body"].read(), "utf-8")
    except (BotoCoreError, ClientError) as error:
        if is_missing(error):
            raise unknown from error
        raise aws.told(error, f"reading the plan {name} in s3://{bucket}") from error


def _key(environment: str, name: str) -> str:
    return f"{PREFIX}/{environment}/texts/{name}"
