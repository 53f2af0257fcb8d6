"""The policy by the real conftest: its own tests, and recorded plans (`tofu show -json`, cut) of this repository."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from symphony.errors import SymphonyError, ToolError
from symphony.tool import run
from tasks.live import Live
from tasks.policy import PolicyError, check_plan
from tasks.units import Unit

POLICIES = Path(__file__).parents[2] / "infra" / "policies"
SAMPLES = Path(__file__).parent / "samples"
RULES = sorted(POLICIES.glob("rules/*.rego"))
OPEN = "aws_security_group_rule.ssh"

Check = Callable[..., Any]


@pytest.fixture(autouse=True)
def conftest(tools: None) -> None:
    del tools
    if shutil.which("conftest") is None:
        pytest.fail("conftest is neither on PATH nor in the toolchain's cache; `make setup` builds it")


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Checks a recorded plan as the unit `unit` of an environment."""
    shutil.copytree(POLICIES, tmp_path / "infra" / "policies")

    def of(sample: str, exceptions: str = "", **facts: str) -> Any:
        live = Live(
            tree=tmp_path,
            root="infra/live",
            environment=facts.get("environment", "dev"),
            environments=("dev", "prod"),
            account=facts.get("account", "123456789012"),
            policies=tmp_path / "infra" / "policies",
        )
        folder = live.folder / "unit"
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("terragrunt.hcl", "symphony.tfplan"):
            (folder / name).touch()
        shutil.copy(SAMPLES / f"{sample}.json", folder / "symphony.plan.json")
        (tmp_path / "infra" / "policies" / "exceptions.yaml").write_text(exceptions)
        return check_plan.fn(live, Unit(path="unit"))

    return of


def excepting(rule: str = "open-admin-port", unit: str = "dev/unit", until: str = "2999-12-31") -> str:
    fields = {"rule": rule, "unit": unit, "address": OPEN, "reason": "A test", "until": until}
    return json.dumps({"exceptions": [fields]})


def verify(policies: Path) -> None:
    run(["conftest", "verify", "--no-color", "--policy", policies], limit=60)


def test_the_policy_s_own_tests_pass() -> None:
    verify(POLICIES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.stem)
def test_a_rule_that_finds_nothing_fails_them(rule: Path, tmp_path: Path) -> None:
    """Each rule's tests fail on purpose where the rule is broken."""
    shutil.copytree(POLICIES, tmp_path / "policies")
    file = tmp_path / "policies" / "rules" / rule.name
    text = file.read_text().replace("findings contains", "never contains")
    file.write_text(f"{text}\nfindings := set()\n")
    with pytest.raises(ToolError, match=f"{rule.stem}_test.rego"):
        verify(tmp_path / "policies")


def test_every_rule_has_an_id_of_its_own_and_tests() -> None:
    ids = [line for rule in RULES for line in rule.read_text().splitlines() if line.startswith("id := ")]
    assert len(set(ids)) == len(RULES)
    assert {rule.stem for rule in RULES} <= {path.stem.removesuffix("_test") for path in POLICIES.glob("tests/*")}


@pytest.mark.parametrize("sample", ["network", "registry"])
def test_this_repository_s_units_pass(check: Check, sample: str) -> None:
    assert check(sample) == ()


def test_ssh_for_the_world_is_denied_by_name(check: Check) -> None:
    with pytest.raises(PolicyError) as raised:
        check("open-to-the-world")
    (denial,) = raised.value.denials
    assert (denial.rule, denial.unit, denial.address) == ("open-admin-port", "unit", OPEN)
    told = str(raised.value)
    assert "The policy denies the plan of unit unit" in told
    assert f"{OPEN} (open-admin-port): It lets 0.0.0.0/0 reach port 22." in told
    assert f"`rule: open-admin-port`, `unit: dev/unit`, `address: {OPEN}`" in told


def test_a_named_exception_lets_it_through_and_says_so(check: Check) -> None:
    (excepted,) = check("open-to-the-world", excepting())
    assert (excepted.rule, excepted.address) == ("open-admin-port", OPEN)


@pytest.mark.parametrize(
    ("exceptions", "told"),
    [
        (excepting(until="2020-01-01"), "The exception from open-admin-port expired on 2020-01-01."),
        (excepting(rule="nothing"), "names the rule nothing, which does not exist."),
        (excepting(unit="dev/nowhere"), "names the unit dev/nowhere, which does not exist."),
    ],
)
def test_an_expired_or_unknown_exception_is_denied_by_name(check: Check, exceptions: str, told: str) -> None:
    with pytest.raises(PolicyError) as raised:
        check("open-to-the-world", exceptions)
    assert told in str(raised.value)
    assert {denial.rule for denial in raised.value.denials} == {"exception", "open-admin-port"}


def test_another_account_s_plan_is_denied(check: Check) -> None:
    with pytest.raises(PolicyError, match=r"not held to the environment's account 999999999999"):
        check("registry", account="999999999999")


def test_another_environment_s_plan_is_denied(check: Check) -> None:
    with pytest.raises(PolicyError, match="environment is dev in a plan for prod"):
        check("registry", environment="prod")


def test_a_broken_rule_says_where(check: Check, tmp_path: Path) -> None:
    (tmp_path / "infra" / "policies" / "own.rego").write_text("package main\n\ndeny contains")
    with pytest.raises(SymphonyError, match=r"could not be asked.*own\.rego"):
        check("registry")
