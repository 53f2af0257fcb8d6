from __future__ import annotations

import json
from pathlib import Path

import pytest

from symphony.errors import SymphonyError
from symphony.models import ResourceChange, UnitPlan, UnitResult
from tasks.plan import mask, read_plan, sensitive_values
from tasks.plan_report import cut, page, rows, summary

SAMPLES = Path(__file__).parent / "samples"
SECRET = "topsecretvalue"


@pytest.fixture
def shown() -> str:
    """`tofu show -json` of a plan by AWS provider 3.40, cut to four resources."""
    return (SAMPLES / "plan.json").read_text()


@pytest.fixture
def printed() -> str:
    """What `tofu plan` printed for it."""
    return (SAMPLES / "plan.txt").read_text()


def test_a_plan_is_read_by_resource_and_output(shown: str, printed: str) -> None:
    plan = read_plan("network", shown, printed, 1.23456)
    assert plan.changes == (
        ResourceChange(address="aws_iam_user.u", action="add"),
        ResourceChange(address="aws_internet_gateway.this", action="change"),
        ResourceChange(address="aws_route.internet", action="replace"),
        ResourceChange(address="aws_vpc.this", action="replace"),
    )
    assert plan.outputs == ("private_subnet_ids", "public_subnet_ids", "secret", "vpc_cidr", "vpc_id")
    assert plan.seconds == 1.235


def test_the_text_is_the_plan_alone(shown: str, printed: str) -> None:
    text = read_plan("network", shown, printed, 1).text
    assert text.startswith("OpenTofu will perform the following actions:")
    assert "Initializing" not in text
    assert text.splitlines()[-1].strip().startswith("~ vpc_id")


def test_a_sensitive_value_that_the_provider_prints_again_in_plain_is_masked(shown: str, printed: str) -> None:
    assert SECRET in printed
    text = read_plan("network", shown, printed, 1).text
    assert SECRET not in text
    assert '+ "secret"      = "(sensitive value)"' in text


def test_sensitive_values_come_from_resources_outputs_and_variables() -> None:
    plan = {
        "format_version": "1.2",
        "variables": {"token": {"value": "from-variable"}, "name": {"value": "plain"}},
        "configuration": {"root_module": {"variables": {"token": {"sensitive": True}, "name": {}}}},
        "resource_changes": [
            {
                "change": {
                    "before": {"password": "old-password", "ports": [{"key": "in-a-list"}], "name": "plain"},
                    "after": {"pem": "first line\nsecond line", "pin": 123456, "short": "x"},
                    "before_sensitive": {"password": True, "ports": [{"key": True}]},
                    "after_sensitive": {"pem": True, "pin": True, "short": True},
                }
            }
        ],
        "output_changes": {"url": {"after": {"user": "from-output"}, "after_sensitive": True}},
    }
    found = sensitive_values("a", json.dumps(plan))
    assert found == {
        "from-variable",
        "old-password",
        "in-a-list",
        "first line\nsecond line",
        "first line",
        "second line",
        "123456",
        "from-output",
    }


def test_masking_leaves_no_part_of_a_longer_value() -> None:
    assert (
        mask("a=secret-and-more b=secret", ["secret", "secret-and-more"]) == "a=(sensitive value) b=(sensitive value)"
    )
    assert "quo" not in mask(r'x = "quo\"ted"', ['quo"ted'])


@pytest.mark.parametrize("shown", ["", "[]", "{}", '{"format_version": "2.0"}'])
def test_what_is_no_plan_is_refused(shown: str) -> None:
    with pytest.raises(SymphonyError, match="The plan of unit network"):
        read_plan("network", shown, "", 1)


@pytest.fixture
def results() -> tuple[UnitResult, ...]:
    changes = (ResourceChange(address='aws_subnet.this["a"]', action="add"),)
    plan = UnitPlan(unit="network", changes=changes, outputs=("vpc_id",), text="+ resource\n```\nx", seconds=2)
    return (
        UnitResult(unit="network", state="applied", plan=plan, seconds=4.04),
        UnitResult(unit="registry", state="failed", reason="It says <no>."),
        UnitResult(unit="access", state="held back", reason="It depends on registry, which failed."),
    )


def test_the_table_has_a_row_a_unit(results: tuple[UnitResult, ...]) -> None:
    first, second, _ = rows(results)
    assert (first["unit"], first["add"], first["destroy"], first["seconds"]) == ("network", 1, 0, 4.0)
    assert (second["state"], second["add"], second["reason"]) == ("failed", "", "It says <no>.")


def test_the_summary_counts_states_and_names_removed_units(results: tuple[UnitResult, ...]) -> None:
    told = summary(results, 2, []).split("\n\n")
    assert told[0] == "1 applied, 1 failed, 1 held back; 2 not affected."
    assert told[1] == "Applied: network. Not applied: registry, access."
    assert "not destroyed: old" in summary(results, 0, ["old"])
    assert summary([], 3, []) == "No unit is affected; 3 not affected."


def test_the_page_folds_each_unit_into_one_line_that_nothing_in_a_plan_ends(results: tuple[UnitResult, ...]) -> None:
    text = page("Infrastructure of dev", results, 0, [])
    assert text.index("1 applied") < text.index("<details><summary>network: applied, 1 to add</summary>")
    (fold,) = [line for line in text.splitlines() if "network: applied" in line]
    assert fold.endswith("<pre>+ resource&#10;```&#10;x</pre></details>")
    assert '<li>add aws_subnet.this["a"]</li>' in fold
    assert "It says &lt;no&gt;." in text


def test_a_page_stays_readable_however_long_the_plans_are() -> None:
    long = [
        UnitResult(
            unit=f"u{number}",
            state="applied",
            plan=UnitPlan(unit="u", changes=(ResourceChange(address="a", action="add"),), text="x" * 100_000),
        )
        for number in range(20)
    ]
    text = page("Many", long, 0, [])
    assert len(text) < 200_000
    assert "cut here: the plan has 100,000 characters" in text
    assert "u19: applied, 1 to add; its plan is left out" in text
    whole = {result.unit: f"The whole plan of {result.unit} is elsewhere." for result in long}
    text = page("Many", long, 0, [], whole=whole)
    assert [name for name, note in whole.items() if note in text] == [result.unit for result in cut(long)]
    assert len(cut(long)) == 20
    assert len(text) < 200_000


def test_a_plan_of_many_resources_is_cut_and_a_short_one_is_not() -> None:
    many = tuple(ResourceChange(address=f"a.b[{number}]", action="add") for number in range(201))
    results = [
        UnitResult(unit="many", state="planned", plan=UnitPlan(unit="many", changes=many)),
        UnitResult(unit="few", state="planned", plan=UnitPlan(unit="few", changes=many[:200], text="x" * 40_000)),
        UnitResult(unit="none", state="failed"),
    ]
    assert [result.unit for result in cut(results)] == ["many"]
    assert "elsewhere" not in page("t", results, 0, [], whole={"few": "elsewhere"})


def test_what_was_tried_again_is_told(results: tuple[UnitResult, ...]) -> None:
    again = [results[0].model_copy(update={"retries": 1}), results[1].model_copy(update={"retries": 3}), results[2]]
    assert "the network, a 5xx): network once, registry 3 times." in summary(again, 0, [])
    text = page("t", again, 0, [])
    assert "<summary>network: applied, 1 to add, tried again once</summary>" in text
    assert [row["retries"] for row in rows(again)] == [1, 3, ""]
