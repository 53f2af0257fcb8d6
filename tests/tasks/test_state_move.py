from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from symphony.errors import SymphonyError
from tasks import aws, state_move
from tasks.live import Live
from tasks.state_file import StateFile, read_lock
from tasks.state_move import StateMove, find_moves, move_state
from tasks.unit_removal import UnitRemoval
from tasks.units import Unit

TARGET: Any = None
OLD, NEW = "dev/service/terraform.tfstate", "dev/front/terraform.tfstate"
MOVE = StateMove(
    old="service", new="front", source=StateFile(bucket="b", key=OLD), target=StateFile(bucket="b", key=NEW)
)
STATE = {"lineage": "1", "serial": 3, "resources": [{"type": "aws_vpc"}]}
BEFORE, AFTER = Live(Path("/before"), "infra/live", "dev"), Live(Path("/after"), "infra/live", "dev")


class Bucket:
    """As much of S3 as moving asks for."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.encryption: dict[str, str] = {}

    def put(self, key: str, state: dict[str, Any]) -> None:
        self.objects[key] = json.dumps(state).encode()

    def put_object(self, **given: Any) -> None:
        assert given["IfNoneMatch"] == "*"
        if given["Key"] in self.objects:
            raise ClientError({"Error": {"Code": "PreconditionFailed", "Message": "no"}}, "PutObject")
        self.objects[given["Key"]] = given["Body"]

    def get_object(self, **given: Any) -> dict[str, Any]:
        if given["Key"] not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "no"}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[given["Key"]])}

    def head_object(self, **given: Any) -> dict[str, Any]:
        assert given["Key"] in self.objects
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key"}

    def copy_object(self, **given: Any) -> None:
        # Both places are locked for as long as it takes.
        assert {f"{OLD}.tflock", f"{NEW}.tflock"} <= self.objects.keys()
        self.objects[given["Key"]] = self.objects[given["CopySource"]["Key"]]
        self.encryption[given["Key"]] = f"{given['ServerSideEncryption']} {given['SSEKMSKeyId']}"

    def delete_object(self, **given: Any) -> None:
        del self.objects[given["Key"]]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    made = Bucket()
    monkeypatch.setattr(aws, "client", lambda *_: made)
    return made


def find(monkeypatch: pytest.MonkeyPatch, *, key: str = "") -> tuple[UnitRemoval, tuple[StateMove, ...]]:
    """What became of `service`, which is at `front` now; with `key`, both have their state there."""
    places = {"service": OLD, "front": NEW}
    monkeypatch.setattr(state_move, "state_file", lambda _, unit: StateFile(bucket="b", key=key or places[unit]))
    network, service = Unit(path="network"), Unit(path="service")
    gone = UnitRemoval(BEFORE, (service,), {"service": "front"}, (network, service))
    return find_moves(TARGET, AFTER, (network, Unit(path="front")), gone)


def test_a_moved_units_state_waits_and_nothing_of_it_counts_as_removed(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put(OLD, STATE)
    gone, moves = find(monkeypatch)
    assert gone.units == ()
    assert moves == (MOVE,)


def test_a_state_that_both_places_name_has_followed_already(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put("dev/fixed/terraform.tfstate", STATE)
    gone, moves = find(monkeypatch, key="dev/fixed/terraform.tfstate")
    assert (gone.units, moves) == ((), ())


def test_an_empty_old_place_has_nothing_to_follow(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put(OLD, {**STATE, "resources": []})
    bucket.put(NEW, STATE)
    gone, moves = find(monkeypatch)
    assert (gone.units, moves) == ((), ())


def test_a_unit_that_was_made_anew_leaves_the_old_one_behind(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put(OLD, STATE)
    bucket.put(NEW, {**STATE, "lineage": "2"})
    gone, moves = find(monkeypatch)
    assert [unit.path for unit in gone.units] == ["service"]
    assert moves == ()


def test_a_state_is_moved_whole_encrypted_as_it_was_and_unlocked_again(bucket: Bucket) -> None:
    bucket.put(OLD, STATE)
    move_state.fn(TARGET, MOVE)
    assert bucket.objects == {NEW: json.dumps(STATE).encode()}
    assert bucket.encryption == {NEW: "aws:kms key"}


def test_a_move_that_ended_between_copy_and_removal_is_finished(bucket: Bucket) -> None:
    bucket.put(OLD, STATE)
    bucket.put(NEW, STATE)
    move_state.fn(TARGET, MOVE)
    assert set(bucket.objects) == {NEW}


def test_another_state_at_the_new_place_is_never_overwritten(bucket: Bucket) -> None:
    other = {**STATE, "lineage": "2"}
    bucket.put(OLD, STATE)
    bucket.put(NEW, other)
    with pytest.raises(SymphonyError, match="front has a state of its own by now; nothing was moved"):
        move_state.fn(TARGET, MOVE)
    assert {key: json.loads(body) for key, body in bucket.objects.items()} == {OLD: STATE, NEW: other}


@pytest.mark.parametrize("key", [OLD, NEW])
def test_a_state_that_somebody_holds_stays_where_it_is(bucket: Bucket, key: str) -> None:
    bucket.put(OLD, STATE)
    bucket.put(f"{key}.tflock", {"ID": "1", "Who": "root@here", "Created": "today", "Operation": "apply"})
    with pytest.raises(SymphonyError, match="is held by root@here since today for apply"):
        move_state.fn(TARGET, MOVE)
    assert set(bucket.objects) == {OLD, f"{key}.tflock"}
    assert read_lock(TARGET, StateFile(bucket="b", key=key)) is not None


def test_a_state_that_cannot_be_read_is_told(bucket: Bucket) -> None:
    bucket.objects[OLD] = b"encrypted"
    with pytest.raises(SymphonyError, match="encrypted by tofu or broken"):
        move_state.fn(TARGET, MOVE)
    assert set(bucket.objects) == {OLD}
