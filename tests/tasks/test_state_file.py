from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from symphony.errors import SymphonyError, TransientError
from tasks import state_file
from tasks.state_file import StateFile, locked_states, read_lock, remove_lock

FILE = StateFile(bucket="b", key="dev/network/terraform.tfstate")
TARGET: Any = None


class Bucket:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.fails = ""

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        assert Bucket == "b"
        if self.fails or Key not in self.objects:
            raise ClientError({"Error": {"Code": self.fails or "NoSuchKey", "Message": "no"}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[Key])}

    def delete_object(self, *, Bucket: str, Key: str) -> None:  # noqa: N803 - boto3's names
        assert Bucket == "b"
        del self.objects[Key]

    def get_paginator(self, name: str) -> Bucket:
        assert name == "list_objects_v2"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803 - boto3's names
        if self.fails or Bucket != "b":
            raise ClientError({"Error": {"Code": self.fails or "NoSuchBucket", "Message": "no"}}, "ListObjectsV2")
        return [{}, {"Contents": [{"Key": key} for key in sorted(self.objects) if key.startswith(Prefix)]}]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    made = Bucket()
    monkeypatch.setattr(state_file.aws, "client", lambda *_: made)
    return made


def locked(bucket: Bucket, identity: str) -> None:
    said = {"ID": identity, "Who": "root@here", "Created": "2026-11-25", "Operation": "OperationTypeApply"}
    bucket.objects[f"{FILE.key}.tflock"] = json.dumps(said).encode()


def test_a_state_that_nobody_holds_has_no_lock(bucket: Bucket) -> None:
    assert bucket.objects == {}
    assert read_lock(TARGET, FILE) is None


def test_a_lock_says_who_holds_it(bucket: Bucket) -> None:
    locked(bucket, "1")
    assert str(read_lock(TARGET, FILE)) == "root@here since 2026-11-25 for OperationTypeApply (lock 1)"


def test_the_lock_that_was_shown_is_removed_and_no_other(bucket: Bucket) -> None:
    locked(bucket, "1")
    shown = read_lock(TARGET, FILE)
    assert shown is not None
    locked(bucket, "2")
    with pytest.raises(SymphonyError, match="lock has changed meanwhile: root@here"):
        remove_lock(TARGET, FILE, shown)
    locked(bucket, "1")
    remove_lock(TARGET, FILE, shown)
    assert bucket.objects == {}


def test_a_bucket_that_cannot_be_read_is_no_lock_that_is_free(bucket: Bucket) -> None:
    bucket.fails = "AccessDenied"
    with pytest.raises(SymphonyError, match="AWS refused reading the lock"):
        read_lock(TARGET, FILE)
    bucket.fails = "Throttling"
    with pytest.raises(TransientError):
        read_lock(TARGET, FILE)


def test_states_that_are_locked_are_listed_also_in_a_bucket_that_is_not_there(bucket: Bucket) -> None:
    locked(bucket, "1")
    bucket.objects |= {FILE.key: b"", "prod/network/terraform.tfstate.tflock": b""}
    assert locked_states(TARGET, "b", "dev/") == [FILE]
    assert locked_states(TARGET, "nowhere", "dev/") == []
    bucket.fails = "AccessDenied"
    with pytest.raises(SymphonyError, match="AWS refused listing s3://b/dev/"):
        locked_states(TARGET, "b", "dev/")
