from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from symphony.change import Change
from symphony.errors import BadInputError, SymphonyError, TransientError
from symphony.models import ResourceChange, UnitPlan, UnitResult
from tasks import plan_text, saved_plan
from tasks.plan_text import keep_texts, read_text
from tasks.saved_plan import Shelf
from tasks.state_file import StateFile
from tasks.units import Unit

CONFIGURATION: Any = SimpleNamespace(environments={"prod": None})
CHANGE = Change(CONFIGURATION, "prod", "c" * 40, None, Path(), Path(), "run-1", None)
PLAN = UnitPlan(unit="a/b", changes=(ResourceChange(address="x.y", action="add"),), text="+ whole", hash="h" * 64)
NAME = "run-1/a/b/hhhhhhhhhhhh.txt"


class Bucket:
    """As much of S3 as the texts ask for."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.fails = ""

    def put_object(self, **given: Any) -> None:
        if self.fails:
            raise ClientError({"Error": {"Code": self.fails, "Message": "no"}}, "PutObject")
        assert given["ServerSideEncryption"] == "AES256"
        self.objects[given["Key"]] = given["Body"]

    def get_object(self, **given: Any) -> dict[str, Any]:
        if self.fails or given["Key"] not in self.objects:
            raise ClientError({"Error": {"Code": self.fails or "NoSuchKey", "Message": "no"}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[given["Key"]])}

    def get_paginator(self, name: str) -> Any:
        assert name == "list_object_versions"
        return SimpleNamespace(paginate=lambda **_: [{}])


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    made = Bucket()
    monkeypatch.setattr(saved_plan.aws, "client", lambda *_: made)
    monkeypatch.setattr(plan_text, "live_of", lambda _: None)
    monkeypatch.setattr(plan_text, "find_units", lambda _: (Unit(path="a/b"),))
    monkeypatch.setattr(plan_text, "state_file", lambda *_: StateFile(bucket="bucket", key="k"))
    return made


def keep() -> dict[str, str]:
    results = [UnitResult(unit="a/b", state="planned", plan=PLAN), UnitResult(unit="none", state="failed")]
    return keep_texts.fn(Shelf(CHANGE, "bucket"), results)


def test_a_text_is_kept_and_the_sentence_says_where_and_how_to_read_it(bucket: Bucket) -> None:
    told = keep()
    assert list(told) == ["a/b"]
    assert f"s3://bucket/symphony-plans/prod/texts/{NAME};" in told["a/b"]
    assert told["a/b"].endswith(f"symphony plan-text {NAME} --env prod")
    assert list(bucket.objects) == [f"symphony-plans/prod/texts/{NAME}"]
    assert read_text(CHANGE, NAME) == "add x.y\n\n+ whole"


@pytest.mark.parametrize(
    "name", ["", "nowhere.txt", "run-1/a/other.txt", "../run-1/plan.txt", "run-1/a/../b.txt", "/x.txt"]
)
def test_a_name_that_is_no_texts_is_told(bucket: Bucket, name: str) -> None:
    bucket.objects["symphony-plans/prod/run-1/plan.txt"] = b"secret"
    with pytest.raises(BadInputError, match=r"There is no plan .* of prod; its name is on the page"):
        read_text(CHANGE, name)


def test_a_busy_bucket_is_tried_again_and_a_closed_one_is_told(bucket: Bucket) -> None:
    bucket.fails = "ServiceUnavailable"
    with pytest.raises(TransientError):
        keep()
    bucket.fails = "AccessDenied"
    with pytest.raises(SymphonyError, match="AWS refused reading the plan run-1/a"):
        read_text(CHANGE, NAME)
