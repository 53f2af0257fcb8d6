from __future__ import annotations

from pathlib import Path

import pytest

from symphony.change import Change
from symphony.config import load
from symphony.models import Deployed, Image, Probe, ResourceChange, UnitPlan, UnitResult
from symphony.record import ReleaseRecord
from tasks.approval import Consent
from tasks.story import Story, page, rows

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "d" * 64


def story() -> Story:
    return Story(Change(load(ROOT / "symphony.yaml"), "dev", "a" * 40, "b" * 40, ROOT, ROOT, "run", ()), Consent("Ada"))


def told() -> Story:
    told = story()
    plan = UnitPlan(unit="network", changes=(ResourceChange(address="aws_vpc.main", action="add"),))
    told.units = (
        UnitResult(unit="network", state="applied", plan=plan),
        UnitResult(unit="registry", state="unchanged"),
    )
    told.images = (
        Image(application="hello", repository="r/dev/hello", tag="t" * 32, digest=DIGEST, built=True, commit="a" * 40),
    )
    told.deployed = Deployed(environment="dev", commit="c" * 40, revision="c" * 40, applications=("hello",), seconds=2)
    told.probes = (Probe(application="hello", url="http://hello.dev.localhost/", status=200, milliseconds=3.4),)
    return told


def test_a_story_reads_from_unit_to_url() -> None:
    assert [step for step, _, _ in rows(told().record())] == [
        "unit",
        "unit",
        "image",
        "desired state",
        "Argo CD",
        "URL",
    ]
    assert ("unit", "network", "applied (1 added)") in rows(told().record())


def test_what_was_tried_again_is_in_the_story() -> None:
    again = told()
    again.units = tuple(unit.model_copy(update={"retries": 2}) for unit in again.units)
    assert ("unit", "network", "applied (1 added), tried again 2 times") in rows(again.record())


def test_each_stage_is_timed_also_the_one_that_fails() -> None:
    failing = told()
    with failing.stage("provision"):
        pass
    with pytest.raises(ValueError, match="no"), failing.stage("build"):
        raise ValueError("no")
    failing.failed(ValueError("the image does not build"))
    record = failing.record()
    assert list(record.stages) == ["provision", "build"]
    assert (record.state, record.reason, record.approved_by) == ("failed", "the image does not build", "Ada")
    assert record.seconds >= sum(record.stages.values()) - 0.01


def test_a_failure_without_words_is_a_failure_all_the_same() -> None:
    failing = story()
    failing.failed(KeyboardInterrupt())
    assert failing.record().state == "failed"


def test_a_record_survives_being_written_and_read() -> None:
    record = told().record()
    assert ReleaseRecord.model_validate_json(record.model_dump_json()) == record


def test_a_page_cannot_be_broken_by_what_it_shows() -> None:
    failing = told()
    failing.units = (UnitResult(unit="<script>|x", state="failed"),)
    failing.failed(ValueError("```\n# not a heading"))
    text = page(failing.record(), "http://argo")
    assert "<script>" not in text
    assert "````\n```\n# not a heading\n````" in text
