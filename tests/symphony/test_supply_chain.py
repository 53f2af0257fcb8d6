from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from symphony.config import load
from symphony.errors import BadInputError
from symphony.supply_chain import Scan, Signature, SupplyChain

CONFIGURATION = """\
version: 1
project: platform
git: {remote: "https://git.example/platform.git"}
applications:
  one: {source: apps/one, chart: charts/one, repository: one}
environments:
  prod:
    kind: aws
    aws: {account: "123456789012", region: eu-central-1}
    kubernetes: {context: prod, namespace: prod}
    argocd: {url: "https://argocd.example"}
    supply_chain:
"""


def prod(tmp_path: Path, text: str) -> SupplyChain:
    path = tmp_path / "symphony.yaml"
    path.write_text(CONFIGURATION + "".join(f"      {line}\n" for line in text.splitlines()))
    return load(path).environments["prod"].supply_chain


def test_nothing_is_asked_by_default() -> None:
    assert not SupplyChain().blocking
    assert SupplyChain().scan is None


@pytest.mark.parametrize(
    ("asked", "blocking"),
    [
        ({"sbom": "attached"}, False),
        ({"sbom": "required"}, True),
        ({"signature": {"key": "awskms:///alias/release"}}, True),
        ({"signature": {"key": "awskms:///alias/release", "required": False}}, False),
    ],
)
def test_only_what_is_required_holds_a_deploy_up(asked: dict[str, Any], blocking: bool) -> None:  # noqa: FBT001
    assert SupplyChain.model_validate(asked).blocking is blocking


@pytest.mark.parametrize(
    ("given", "checked_with"),
    [
        ({"key": "awskms:///alias/release"}, "awskms:///alias/release"),
        ({"key": "env://KEY", "public_key": "keys/cosign.pub"}, "keys/cosign.pub"),
        ({"public_key": "env://PUBLIC"}, "env://PUBLIC"),
        ({"identity": "ci@example.com", "issuer": "https://oidc.example"}, "ci@example.com of https://oidc.example"),
    ],
)
def test_a_signature_is_checked_in_one_way(given: dict[str, str], checked_with: str) -> None:
    assert Signature.model_validate(given).checked_with == checked_with


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "needs key and public_key"),
        ({"identity": "ci@example.com"}, "needs key and public_key"),
        ({"key": "env://KEY"}, "public_key is missing"),
        ({"key": "awskms:///a", "identity": "x", "issuer": "https://x"}, "has a key and an identity"),
        ({"key": "--key=other"}, "match pattern"),
    ],
)
def test_a_signature_that_cannot_be_checked_is_refused(given: dict[str, str], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Signature.model_validate(given)


@pytest.mark.parametrize("severity", ["critical", "high", "untriaged", ""])
def test_what_is_as_bad_counts_and_so_does_what_nobody_graded(severity: str) -> None:
    assert Scan(refuse="high").counts(severity)


@pytest.mark.parametrize("severity", ["medium", "low", "informational", "undefined"])
def test_what_is_less_bad_does_not_count(severity: str) -> None:
    assert not Scan(refuse="high").counts(severity)


def test_an_exception_is_read_with_its_last_day(tmp_path: Path) -> None:
    asked = prod(tmp_path, "scan:\n  exceptions:\n  - {finding: CVE-2026-1, reason: unused, expires: 2026-12-31}")
    assert asked.scan is not None
    assert str(asked.scan.exceptions[0].expires) == "2026-12-31"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "scan:\n  exceptions:\n  - {finding: CVE-2026-1, reason: unused}",
            r":15: .*exceptions\.0\.expires is missing",
        ),
        ("scan:\n  exceptions:\n  - {finding: CVE-2026-1, expires: 2026-12-31}", r"exceptions\.0\.reason is missing"),
        ("scan: {refuse: terrible}", "'critical', 'high'"),
        ("signature: {secret: x}", r"signature\.secret is not known; allowed here: key, public_key"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(BadInputError, match=told):
        prod(tmp_path, text)
