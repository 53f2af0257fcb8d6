from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from symphony.change import Change
from symphony.errors import SymphonyError, TransientError
from symphony.models import UnitPlan, UnitResult
from tasks import saved_plan
from tasks.live import Live
from tasks.saved_plan import Progress, Shelf, fetch_plans, keep_results, read_progress, remove_plans, save_plans
from tasks.terragrunt import plan_files, restore, shown_plan
from tasks.units import Unit

UNIT = Unit(path="group/network")
PLAN = UnitPlan(unit=UNIT.path, hash="a" * 64)


class Bucket:
    """As much of S3 as the tasks ask for."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.encrypted: set[str] = set()
        self.versions: list[tuple[str, str]] = []
        self.written = datetime.now(UTC)
        self.fails = ""

    def put_object(self, **given: Any) -> None:
        if self.fails:
            raise ClientError({"Error": {"Code": self.fails, "Message": "no"}}, "PutObject")
        self.objects[given["Key"]] = given["Body"]
        self.versions.append((given["Key"], f"v{len(self.versions)}"))
        if given["ServerSideEncryption"] == "AES256":
            self.encrypted.add(given["Key"])

    def get_object(self, **given: Any) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.objects[given["Key"]])}

    def delete_object(self, **given: Any) -> None:
        self.versions.remove((given["Key"], given["VersionId"]))
        self.objects.pop(given["Key"], None)

    def get_paginator(self, name: str) -> Any:
        return SimpleNamespace(paginate=self.list if name == "list_objects_v2" else self.list_versions)

    def list(self, **given: Any) -> list[dict[str, Any]]:
        keys = sorted(key for key in self.objects if key.startswith(given["Prefix"]))
        return [{"Contents": [{"Key": key}]} for key in keys] or [{}]

    def list_versions(self, **given: Any) -> list[dict[str, Any]]:
        found = [
            {"Key": key, "VersionId": version, "LastModified": self.written}
            for key, version in self.versions
            if key.startswith(given["Prefix"])
        ]
        kinds = {kind: [one for one in found if (one["VersionId"] == "marker") == kind] for kind in (False, True)}
        return [{"Versions": kinds[False], "DeleteMarkers": kinds[True]}, {}]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    made = Bucket()
    monkeypatch.setattr(saved_plan.aws, "client", lambda *_: made)
    return made


def live(tree: Path) -> Live:
    (tree / "infra" / "live" / "prod" / UNIT.path).mkdir(parents=True, exist_ok=True)
    return Live(tree, "infra/live", "prod")


def shelf(commit: str = "c" * 40, run: str = "run-1") -> Shelf:
    configuration: Any = type("Configuration", (), {"environments": {"prod": None}})()
    return Shelf(Change(configuration, "prod", commit, None, Path(), Path(), run, None), "bucket")


def save(tree: Path, where: Shelf, content: bytes = b"the plan") -> dict[str, str]:
    here = live(tree)
    restore(here, UNIT, content, '["hidden"]', b'{"shown": true}')
    return save_plans.fn(where, here, [UNIT], {UNIT.path: PLAN}, [UnitResult(unit="before", state="applied")])


def test_a_plan_waits_encrypted_and_comes_back_as_it_was(bucket: Bucket, tmp_path: Path) -> None:
    files = save(tmp_path / "one", shelf())
    assert set(bucket.objects) == bucket.encrypted
    assert f"symphony-plans/prod/run-1/{UNIT.path}/{PLAN.hash}.tfplan" in bucket.objects
    other = live(tmp_path / "two")
    fetched = fetch_plans.fn(shelf(), other, [UNIT, Unit(path="another")])
    assert {path: (one.plan, one.file) for path, one in fetched.items()} == {UNIT.path: (PLAN, files[UNIT.path])}
    plan, masks = plan_files(other, UNIT)
    assert plan.read_bytes() == b"the plan"
    assert json.loads(masks.read_text()) == ["hidden"]
    assert shown_plan(other, UNIT).read_bytes() == b'{"shown": true}'


def test_a_plan_of_another_commit_or_run_is_not_taken(bucket: Bucket, tmp_path: Path) -> None:
    del bucket
    save(tmp_path / "one", shelf())
    other = live(tmp_path / "two")
    assert fetch_plans.fn(shelf(commit="d" * 40), other, [UNIT]) == {}
    assert fetch_plans.fn(shelf(run="run-2"), other, [UNIT]) == {}


@pytest.mark.parametrize("kind", ["tfplan", "json"])
def test_a_plan_that_somebody_changed_is_refused(bucket: Bucket, tmp_path: Path, kind: str) -> None:
    save(tmp_path / "one", shelf())
    bucket.objects[f"symphony-plans/prod/run-1/{UNIT.path}/{PLAN.hash}.{kind}"] = b"another plan"
    with pytest.raises(SymphonyError, match="is not the one that was saved; nothing is applied"):
        fetch_plans.fn(shelf(), live(tmp_path / "two"), [UNIT])


def test_what_was_done_before_the_wait_is_remembered(bucket: Bucket, tmp_path: Path) -> None:
    del bucket
    assert read_progress.fn(shelf()) == Progress(commit="c" * 40)
    save(tmp_path, shelf())
    found = read_progress.fn(shelf())
    assert [(result.unit, result.state) for result in found.results] == [("before", "applied")]
    assert not found.done


def test_what_became_of_all_units_is_kept_for_a_later_stage_and_their_plans_are_not(
    bucket: Bucket, tmp_path: Path
) -> None:
    save(tmp_path, shelf())
    keep_results.fn(shelf(), [UnitResult(unit="one", state="unchanged")])
    assert set(bucket.objects) == {"symphony-plans/prod/run-1/progress.json"}
    found = read_progress.fn(shelf())
    assert found.done
    assert [(result.unit, result.state) for result in found.results] == [("one", "unchanged")]


def test_nothing_is_left_of_a_run_that_ended(bucket: Bucket, tmp_path: Path) -> None:
    save(tmp_path, shelf())
    remove_plans.fn(shelf(), [UNIT])
    assert set(bucket.objects) == {"symphony-plans/prod/run-1/progress.json"}
    save(tmp_path, shelf())
    bucket.versions.insert(0, ("symphony-plans/prod/run-1/progress.json", "marker"))
    remove_plans.fn(shelf())
    # Neither in former versions, which a bucket of states keeps.
    assert (bucket.objects, bucket.versions) == ({}, [])


def test_plans_that_nobody_will_come_for_are_swept_away(bucket: Bucket, tmp_path: Path) -> None:
    bucket.objects["symphony-plans/prod/gone/x.tfplan"] = b""
    bucket.versions.append(("symphony-plans/prod/gone/x.tfplan", "v0"))
    bucket.written = datetime.now(UTC) - timedelta(days=41)
    save(tmp_path, shelf(run="run-2"))
    assert "symphony-plans/prod/gone/x.tfplan" not in bucket.objects


def test_a_busy_bucket_is_tried_again_and_a_closed_one_is_told(bucket: Bucket, tmp_path: Path) -> None:
    bucket.fails = "ServiceUnavailable"
    with pytest.raises(TransientError):
        save(tmp_path, shelf())
    bucket.fails = "AccessDenied"
    with pytest.raises(SymphonyError, match="AWS refused keeping the plans in s3://bucket/symphony-plans/prod/run-1/"):
        save(tmp_path, shelf())
