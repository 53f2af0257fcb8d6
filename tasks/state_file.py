"""Where a unit's state is, and the lock file that tofu keeps beside it."""

from __future__ import annotations

import contextlib
import getpass
import json
import socket
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from symphony.config import Environment
from symphony.errors import SymphonyError, ToolError, TransientError
from symphony.models import Fact
from symphony.outside import read_json
from tasks import aws
from tasks.diagnosis import complaint
from tasks.live import Live

_LOCK = ".tflock"
_MISSING = {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


class StateFile(Fact):
    """A unit's state in S3."""

    bucket: str
    key: str


class StateLock(Fact):
    """What tofu wrote into a lock file: who holds the state, since when, and for what."""

    identity: str
    who: str
    created: str
    operation: str

    def __str__(self) -> str:
        """The lock as a part of a sentence."""
        return f"{self.who} since {self.created} for {self.operation} (lock {self.identity})"


def state_file(live: Live, unit: str) -> StateFile:
    """Ask Terragrunt where a unit's state is; nobody's outputs are needed for it.

    Args:
        live: The environment's live folder.
        unit: The unit's path.

    Raises:
        SymphonyError: Terragrunt cannot read the unit, or its state is not in S3.
    """
    said: list[str] = []
    try:
        shown = live.terragrunt("render", "--format=json", unit=unit, limit=120, on_line=said.append).stdout
        config = read_json(shown)["remote_state"]["config"]
        return StateFile(bucket=config["bucket"], key=config["key"])
    except ToolError as error:
        raise SymphonyError(f"Terragrunt cannot read unit {unit}: {complaint(said)}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise SymphonyError(f"Unit {unit} keeps its state not in S3 (no {error}); Symphony needs it there.") from error


def read_lock(target: Environment, state: StateFile) -> StateLock | None:
    """The lock file beside a state; None where nobody holds it.

    Args:
        target: The environment.
        state: The unit's state.

    Raises:
        TransientError: S3 was throttling or out of reach.
        SymphonyError: S3 refused.
    """
    try:
        answer = aws.client(target, "s3").get_object(Bucket=state.bucket, Key=f"{state.key}{_LOCK}")
        found: dict[str, Any] = dict(read_json(answer["Body"].read()))
    except (BotoCoreError, ClientError) as error:
        if is_missing(error):
            return None
        raise aws.told(error, f"reading the lock of s3://{state.bucket}/{state.key}") from error
    except (TypeError, ValueError) as error:
        raise SymphonyError(f"The lock of s3://{state.bucket}/{state.key} is none of tofu's ({error}).") from error
    return StateLock(
        identity=str(found.get("ID", "")),
        who=str(found.get("Who", "somebody")),
        created=str(found.get("Created", "an unknown time")),
        operation=str(found.get("Operation", "an unknown operation")),
    )


def locked_states(target: Environment, bucket: str, prefix: str) -> list[StateFile]:
    """The states below a prefix that have a lock file beside them.

    Args:
        target: The environment.
        bucket: The bucket of the states.
        prefix: What their keys begin with.

    Raises:
        TransientError: S3 was throttling or out of reach.
        SymphonyError: S3 refused.
    """
    try:
        pages = aws.client(target, "s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
    except (BotoCoreError, ClientError) as error:
        if is_missing(error):
            return []
        raise aws.told(error, f"listing s3://{bucket}/{prefix}") from error
    return [StateFile(bucket=bucket, key=key.removesuffix(_LOCK)) for key in keys if key.endswith(_LOCK)]


def is_missing(error: Exception) -> bool:
    """Whether S3 says that an object or its bucket is not there."""
    return aws.code_of(error) in _MISSING


@contextlib.contextmanager
def held_state(target: Environment, state: StateFile, doing: str) -> Iterator[None]:
    """Hold a state's lock file as tofu would.

    Args:
        target: The environment.
        state: The unit's state.
        doing: What for, as the lock file tells it.

    Raises:
        TransientError: Somebody else holds it, or S3 was throttling or out of reach.
        SymphonyError: S3 refused.
    """
    s3, key = aws.client(target, "s3"), f"{state.key}{_LOCK}"
    mine = {
        "ID": str(uuid.uuid4()),
        "Operation": doing,
        "Who": f"{getpass.getuser()}@{socket.gethostname()}",
        "Created": datetime.now(UTC).isoformat(),
        "Path": f"{state.bucket}/{state.key}",
    }
    try:
        s3.put_object(
            Bucket=state.bucket, Key=key, Body=json.dumps(mine).encode(), IfNoneMatch="*", ServerSideEncryption="AES256"
        )
    except (BotoCoreError, ClientError) as error:
        if aws.code_of(error) not in _TAKEN:
            raise aws.told(error, f"locking s3://{state.bucket}/{state.key}") from error
        raise TransientError(
            f"The state s3://{state.bucket}/{state.key} is held by {read_lock(target, state) or 'somebody'}. Start the "
            f"run again when that has ended; if its process is dead, `symphony unlock` shows the lock and frees it."
        ) from error
    try:
        yield
    finally:
        s3.delete_object(Bucket=state.bucket, Key=key)


def remove_lock(target: Environment, state: StateFile, lock: StateLock) -> None:
    """Remove the lock file that was shown, and no other.

    Args:
        target: The environment.
        state: The unit's state.
        lock: What `read_lock` found.

    Raises:
        SymphonyError: Somebody else holds the state by now, or S3 refused.
        TransientError: S3 was throttling or out of reach.
    """
    now = read_lock(target, state)
    if now != lock:
        raise SymphonyError(f"The lock has changed meanwhile: {now or 'nobody holds it'}. Look again.")
    try:
        aws.client(target, "s3").delete_object(Bucket=state.bucket, Key=f"{state.key}{_LOCK}")
    except (BotoCoreError, ClientError) as error:
        raise aws.told(error, f"removing the lock of s3://{state.bucket}/{state.key}") from error
