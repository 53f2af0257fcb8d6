from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest
from botocore.exceptions import ClientError

from symphony.errors import SymphonyError, TransientError
from symphony.supply_chain import Scan, ScanException
from tasks import scan as module
from tasks.scan import Finding, judge, scan_findings

TODAY = date(2026, 11, 25)
DIGEST = f"sha256:{'1' * 64}"
BAD, FAIR = Finding(name="CVE-1", severity="critical"), Finding(name="CVE-2", severity="low")


def gate(expires: date = TODAY, applications: tuple[str, ...] = ()) -> Scan:
    return Scan(
        exceptions=(ScanException(finding="CVE-1", reason="unused", expires=expires, applications=applications),)
    )


def test_what_is_bad_enough_keeps_an_image_out() -> None:
    assert judge([BAD, FAIR], Scan(), "one", TODAY).refused == (BAD,)


def test_an_exception_holds_on_its_last_day() -> None:
    verdict = judge([BAD], gate(), "one", TODAY)
    assert (verdict.refused, verdict.excepted, verdict.expired) == ((), (BAD,), {})


def test_an_exception_that_has_ended_counts_no_more_and_is_told() -> None:
    ended = date(2026, 11, 24)
    verdict = judge([BAD], gate(ended), "one", TODAY)
    assert (verdict.refused, verdict.expired) == ((BAD,), {"CVE-1": ended})


def test_an_exception_for_another_application_is_none() -> None:
    verdict = judge([BAD], gate(applications=("two",)), "one", TODAY)
    assert (verdict.refused, verdict.expired) == ((BAD,), {})


@dataclass
class Ecr:
    """ECR's scans: what it answers, one answer after the other, the last for ever."""

    answers: list[dict[str, Any] | str]
    began: int = 0
    asked: list[str] = field(default_factory=list)

    def describe_image_scan_findings(self, nextToken: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's own
        self.asked.append(nextToken)
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, str):
            raise ClientError({"Error": {"Code": answer}}, "DescribeImageScanFindings")
        return answer

    def start_image_scan(self, **_: Any) -> None:
        self.began += 1
        raise ClientError({"Error": {"Code": "LimitExceededException"}}, "StartImageScan")


def page(status: str, *findings: tuple[str, str], token: str = "") -> dict[str, Any]:
    found = [{"name": name, "severity": severity} for name, severity in findings]
    more = {"nextToken": token} if token else {}
    return {"imageScanStatus": {"status": status}, "imageScanFindings": {"findings": found}, **more}


def found(monkeypatch: pytest.MonkeyPatch, ecr: Ecr, limit: float = 5) -> tuple[Finding, ...]:
    monkeypatch.setattr(module, "client", lambda *_: ecr)
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.001)
    return scan_findings(None, "one", DIGEST, limit)  # type: ignore[arg-type]


def test_a_scan_that_nobody_began_is_begun_once_and_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    ecr = Ecr(
        ["ScanNotFoundException", "ScanNotFoundException", page("IN_PROGRESS"), page("COMPLETE", ("CVE-1", "HIGH"))]
    )
    assert found(monkeypatch, ecr) == (Finding(name="CVE-1", severity="high"),)
    assert ecr.began == 1


def test_every_page_of_findings_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    ecr = Ecr([page("COMPLETE", ("CVE-1", "HIGH"), token="next"), page("COMPLETE", ("CVE-2", "LOW"))])
    assert [one.name for one in found(monkeypatch, ecr)] == ["CVE-1", "CVE-2"]
    assert ecr.asked == ["", "next"]


def test_enhanced_findings_are_read_by_their_vulnerability(monkeypatch: pytest.MonkeyPatch) -> None:
    one = {"severity": "CRITICAL", "packageVulnerabilityDetails": {"vulnerabilityId": "CVE-3"}}
    ecr = Ecr([{"imageScanStatus": {"status": "ACTIVE"}, "imageScanFindings": {"enhancedFindings": [one]}}])
    assert found(monkeypatch, ecr) == (Finding(name="CVE-3", severity="critical"),)


def test_a_scan_that_is_not_done_in_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SymphonyError, match="is not done after 0 s"):
        found(monkeypatch, Ecr([page("IN_PROGRESS")]), limit=0.01)


def test_a_scan_that_failed_lets_nothing_in(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SymphonyError, match="ended as UNSUPPORTED_IMAGE"):
        found(monkeypatch, Ecr([page("UNSUPPORTED_IMAGE")]))


def test_throttling_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TransientError):
        found(monkeypatch, Ecr(["ThrottlingException"]))
