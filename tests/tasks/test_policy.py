from __future__ import annotations

import json
import stat
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from symphony.errors import BadInputError, SymphonyError, TransientError
from tasks.live import Live
from tasks.policy import Denial, PolicyError, check_plan, read_exceptions
from tasks.retry import is_transient
from tasks.units import Unit

UNIT = Unit(path="network")
SECRET = "topsecretvalue"
PLAN = {
    "format_version": "1.2",
    "resource_changes": [
        {
            "address": "aws_x.this",
            "mode": "managed",
            "change": {"actions": ["create"], "after": {"cidr": SECRET}, "after_sensitive": {"cidr": True}},
        }
    ],
}
EXCEPTION = """\
exceptions:
  - rule: open-admin-port
    unit: dev/network
    address: aws_x.this
    reason: A test
    until: 2030-01-31
"""

# Writes down how it was called and what data it was given, then answers as `answer.json` says.
PROGRAM = """\
import json, sys
from pathlib import Path

here = Path(__file__).parent
data = json.loads(Path(sys.argv[sys.argv.index("--data") + 1]).read_text())
with (here / "calls").open("a") as calls:
    calls.write(json.dumps({"argv": sys.argv[1:], "data": data}) + "\\n")
answer = json.loads((here / "answer.json").read_text())
print(answer.get("out", ""), end="")
print(answer.get("err", ""), end="", file=sys.stderr)
sys.exit(answer.get("code", 0))
"""


class Conftest:
    """Stands for the program: answers as told."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        program = folder / "conftest"
        program.write_text(f"#!{sys.executable}\n{PROGRAM}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def say(self, *, code: int = 0, err: str = "", **found: list[dict[str, Any]]) -> None:
        out = json.dumps([{"filename": "symphony.plan.json", "namespace": "main", "successes": 0, **found}])
        self.answer({"out": out, "err": err, "code": code})

    def answer(self, answer: dict[str, Any]) -> None:
        (self._folder / "answer.json").write_text(json.dumps(answer))

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self._folder / "calls").read_text().splitlines()]


@pytest.fixture
def conftest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Conftest:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return Conftest(folder)


@pytest.fixture
def live(tmp_path: Path) -> Live:
    """A checkout with a policy, a planned unit and an account."""
    tree = tmp_path / "tree"
    (tree / "infra" / "policies").mkdir(parents=True)
    folder = tree / "infra" / "live" / "dev" / "network"
    folder.mkdir(parents=True)
    (folder / "terragrunt.hcl").touch()
    (folder / "symphony.tfplan").touch()
    (folder / "symphony.plan.json").write_text(json.dumps(PLAN))
    return Live(
        tree=tree,
        root="infra/live",
        environment="dev",
        environments=("dev", "prod"),
        account="123456789012",
        policies=tree / "infra" / "policies",
    )


def found(message: str = "It is open.", address: str = "aws_x.this") -> dict[str, Any]:
    more = {"rule": "open-admin-port", "address": address, "message": message, "fix": "Close it.", "query": "q"}
    return {"msg": message, "metadata": more}


def test_a_tree_without_a_policy_has_nothing_to_check(conftest: Conftest, live: Live) -> None:
    (live.tree / "infra" / "policies").rmdir()
    conftest.say(code=1, failures=[found()])
    assert check_plan.fn(live, UNIT) == ()


def test_conftest_is_asked_about_the_saved_plan_and_told_the_run(conftest: Conftest, live: Live) -> None:
    conftest.say()
    (live.tree / "infra" / "policies" / "exceptions.yaml").write_text(EXCEPTION)
    assert check_plan.fn(live, UNIT) == ()
    (call,) = conftest.calls
    assert call["argv"][-1] == str(live.folder / "network" / "symphony.plan.json")
    assert "--all-namespaces" in call["argv"]
    assert str(live.tree / "infra" / "policies") in call["argv"]
    run = call["data"]["run"]
    assert (run["account"], run["environment"], run["unit"]) == ("123456789012", "dev", "dev/network")
    assert run["exceptions"][0]["until"] == "2030-01-31"
    assert run["units"] == ["dev/network"]
    assert date.fromisoformat(run["today"])


def test_a_unit_that_only_an_exception_names_is_not_known(conftest: Conftest, live: Live) -> None:
    conftest.say()
    text = EXCEPTION.replace("dev/network", "dev/nowhere")
    (live.tree / "infra" / "policies" / "exceptions.yaml").write_text(text)
    check_plan.fn(live, UNIT)
    assert conftest.calls[0]["data"]["run"]["units"] == ["dev/network"]


def test_a_removed_unit_is_judged_by_the_released_commit(conftest: Conftest, live: Live, tmp_path: Path) -> None:
    """Its plan is made in the tree of an older commit; policy, exceptions and units are those of the released one."""
    conftest.say()
    released = tmp_path / "released" / "infra"
    (released / "policies").mkdir(parents=True)
    (released / "policies" / "exceptions.yaml").write_text(EXCEPTION.replace("dev/network", "dev/new"))
    (released / "live" / "dev" / "new").mkdir(parents=True)
    (released / "live" / "dev" / "new" / "terragrunt.hcl").touch()
    check_plan.fn(replace(live, policies=released / "policies"), UNIT)
    (call,) = conftest.calls
    assert str(released / "policies") in call["argv"]
    assert call["data"]["run"]["units"] == ["dev/network", "dev/new"]


def test_a_denial_names_unit_resource_rule_and_fix(conftest: Conftest, live: Live) -> None:
    conftest.say(code=1, failures=[found(address="aws_y.b"), found(address="aws_x.a")])
    with pytest.raises(PolicyError) as raised:
        check_plan.fn(live, UNIT)
    assert str(raised.value) == (
        "The policy denies the plan of unit network, so nothing of it is applied. "
        "aws_x.a (open-admin-port): It is open. Close it. aws_y.b (open-admin-port): It is open. Close it."
    )
    first, _ = raised.value.denials
    assert first == Denial(
        rule="open-admin-port", unit="network", address="aws_x.a", message="It is open.", fix="Close it."
    )


def test_what_an_exception_lets_through_is_told(conftest: Conftest, live: Live) -> None:
    conftest.say(warnings=[found()])
    (excepted,) = check_plan.fn(live, UNIT)
    assert excepted.address == "aws_x.this"


def test_a_rule_of_a_team_s_own_needs_no_more_than_a_sentence(conftest: Conftest, live: Live) -> None:
    conftest.say(code=1, failures=[{"msg": "No."}])
    with pytest.raises(PolicyError, match=r"network \(policy\): No\.$"):
        check_plan.fn(live, UNIT)


def test_a_sensitive_value_is_not_told(conftest: Conftest, live: Live) -> None:
    conftest.say(code=1, failures=[found(message=f"It lets {SECRET} in.")])
    with pytest.raises(PolicyError) as raised:
        check_plan.fn(live, UNIT)
    assert SECRET not in str(raised.value)
    assert "It lets (sensitive value) in." in str(raised.value)


@pytest.mark.parametrize("answer", [{"code": 1, "err": f"rego_parse_error at {SECRET}"}, {"code": 2, "err": "panic"}])
def test_a_broken_policy_lets_nothing_through(conftest: Conftest, live: Live, answer: dict[str, Any]) -> None:
    conftest.answer(answer)
    with pytest.raises(SymphonyError, match="The policy could not be asked about the plan of unit network") as raised:
        check_plan.fn(live, UNIT)
    assert SECRET not in str(raised.value)
    assert ("rego_parse_error" in str(raised.value)) == (answer["code"] == 1)


def test_without_conftest_nothing_passes(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BadInputError, match="conftest"):
        check_plan.fn(live, UNIT)


def test_a_denial_is_never_tried_again() -> None:
    assert not issubclass(PolicyError, TransientError)
    assert check_plan.retries == 0
    assert check_plan.retry_condition_fn is not is_transient


def test_no_file_means_no_exceptions(tmp_path: Path) -> None:
    assert read_exceptions(tmp_path / "exceptions.yaml") == ()


@pytest.mark.parametrize("text", ["", "exceptions: []", "# nothing\n"])
def test_an_empty_file_means_no_exceptions(tmp_path: Path, text: str) -> None:
    (tmp_path / "exceptions.yaml").write_text(text)
    assert read_exceptions(tmp_path / "exceptions.yaml") == ()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("    reason: A test\n", "", "exceptions.0.reason"),
        ("2030-01-31", "next week", "exceptions.0.until"),
        ("dev/network", "network", "exceptions.0.unit"),
        ("reason: A test", "reason: A test\n    who: me", "exceptions.0.who"),
        ("exceptions:", "exceptions: [", "is no YAML"),
    ],
)
def test_a_wrong_exception_is_told_with_its_place(tmp_path: Path, before: str, after: str, told: str) -> None:
    assert before in EXCEPTION
    (tmp_path / "exceptions.yaml").write_text(EXCEPTION.replace(before, after))
    with pytest.raises(BadInputError) as raised:
        read_exceptions(tmp_path / "exceptions.yaml")
    assert told in str(raised.value)
