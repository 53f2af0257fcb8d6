from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from symphony.drift import Finding
from symphony.errors import SymphonyError
from tasks.findings import BRANCH, keep_findings, read_findings
from tasks.git import head
from tasks.publish import publish

if TYPE_CHECKING:
    from tests.conftest import Delivery

VPC = Finding(area="infrastructure", kind="drift", where="network", what="aws_vpc.this", told="tags.a: is 1")


def test_findings_stand_in_git_until_they_are_gone_and_the_same_makes_no_commit(delivery: Delivery) -> None:
    mirror = delivery.change().mirror
    assert read_findings(mirror, "dev") == ()
    first = keep_findings.fn(mirror, "dev", [VPC], (), "2026-01-01T00:00:00+00:00")
    assert [one.what for one in first.found] == ["aws_vpc.this"]
    at = head(mirror, BRANCH)
    again = keep_findings.fn(mirror, "dev", [VPC], (), "2026-01-02T00:00:00+00:00")
    assert again.found == ()
    assert [one.since for one in again.standing] == ["2026-01-01T00:00:00+00:00"]
    assert head(mirror, BRANCH) == at
    assert read_findings(mirror, "prod") == ()
    gone = keep_findings.fn(mirror, "dev", [], (), "2026-01-03T00:00:00+00:00")
    assert [one.what for one in gone.cleared] == ["aws_vpc.this"]
    assert read_findings(mirror, "dev") == ()


def test_what_somebody_else_wrote_is_told(delivery: Delivery) -> None:
    mirror = delivery.change().mirror
    publish(mirror, BRANCH, lambda index: index.put("dev.json", "[1]"), "wrong")
    with pytest.raises(SymphonyError, match="not what Symphony writes"):
        read_findings(mirror, "dev")
