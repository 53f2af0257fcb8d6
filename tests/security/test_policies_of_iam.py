"""How far the IAM policies of infra/ reach: no wildcard of actions, bounded resources, bounded trust."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import hcl2
import pytest

INFRA = Path(__file__).parents[2] / "infra"
FILES = sorted(
    path
    for pattern in ("modules/*/*.tf", "units/*.hcl", "live/**/*.hcl")
    for path in INFRA.glob(pattern)
    if ".terragrunt-cache" not in path.parts and '"2012-10-17"' in path.read_text()
)
# What AWS knows no narrower resource for (service authorization reference).
NO_RESOURCE = {"ecr:GetAuthorizationToken", "route53:ListHostedZonesByName"}
STATEMENT = re.compile(r"\{\s*(?:#[^\n]*\n\s*)*(?:Sid\s*=[^\n]*\n\s*)?Effect\s*=")


def statements(text: str) -> Iterator[str]:
    """Each statement of a policy as it is written, from its opening bracket to the one that closes it."""
    for found in STATEMENT.finditer(text):
        depth = 0
        for at in range(found.start(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            if depth == 0:
                yield text[found.start() : at + 1]
                break


def value(statement: str, key: str) -> str:
    """An attribute of a statement, as it is written; empty where it has none."""
    found = re.search(rf"\b{key}\s*=\s*(\[[^\]]*\]|\{{[^}}]*\}}|[^\n,}}]+)", statement)
    return found[1].strip() if found else ""


STATEMENTS = [
    pytest.param(one, id=f"{file.relative_to(INFRA)}:{number}")
    for file in FILES
    for number, one in enumerate(statements(file.read_text()))
]


def test_every_policy_is_looked_at() -> None:
    written = sum(len(re.findall(r"\bEffect\s*=", file.read_text())) for file in FILES)
    assert written == len(STATEMENTS) > 15
    assert all(hcl2.loads(file.read_text()) for file in FILES)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_no_statement_allows_a_wildcard_of_actions(statement: str) -> None:
    assert "NotAction" not in statement
    if '"Deny"' not in statement:
        actions = value(statement, "Action")
        assert actions
        assert "*" not in actions, "each action by its name"


@pytest.mark.parametrize("statement", STATEMENTS)
def test_every_statement_has_bounded_resources_or_a_principal(statement: str) -> None:
    assert "NotResource" not in statement
    if '"Deny"' in statement:
        return
    principal = value(statement, "Principal")
    assert '"*"' not in principal, "nobody is everybody"
    if not principal:
        resources = value(statement, "Resource")
        assert resources
        if re.search(r'"(arn:aws:)?\*"', resources):
            assert set(re.findall(r'"([\w:]+)"', value(statement, "Action"))) <= NO_RESOURCE


@pytest.mark.parametrize("statement", [one for one in STATEMENTS if "WebIdentity" in str(one.values[0])])
def test_who_comes_from_outside_is_bound_to_audience_and_subject(statement: str) -> None:
    assert "StringEquals" in statement
    assert ':aud" = "sts.amazonaws.com"' in statement
    assert ':sub" = local.subjects' in statement
