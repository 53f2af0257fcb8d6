from __future__ import annotations

import json
from typing import Any

import pytest

from symphony.errors import SymphonyError
from tasks.unit_drift import findings


def resource(address: str, actions: list[str], before: Any = None, after: Any = None, **more: Any) -> dict[str, Any]:
    change = {"actions": actions, "before": before, "after": after, "after_unknown": {}, **more}
    return {"address": address, "mode": more.pop("mode", "managed"), "change": change}


def told(*resources: dict[str, Any], **more: Any) -> dict[str, str]:
    shown = json.dumps({"format_version": "1.2", "resource_changes": resources, **more})
    return {one.what: one.told for one in findings("network", shown)}


def test_each_attribute_that_differs_is_a_line_with_what_is_and_what_was_committed() -> None:
    before = {"tags": {"a": "1", "b": "2"}, "size": 3, "name": "same", "rules": [1]}
    after = {"tags": {"a": "1", "c": "4"}, "size": None, "name": "same", "rules": [1, 2]}
    assert told(resource("aws_vpc.this", ["update"], before, after)) == {
        "aws_vpc.this": "rules: is [1], the commit has [1, 2]\n"
        "size: is 3, the commit has not set\n"
        'tags.b: is "2", the commit has not set\n'
        'tags.c: is not set, the commit has "4"'
    }


def test_what_is_gone_too_much_or_to_be_replaced_is_said() -> None:
    assert told(
        resource("a.gone", ["create"], None, {"x": 1}),
        resource("a.extra", ["delete"], {"x": 1}, None),
        resource("a.other", ["delete", "create"], {"x": 1, "id": "i"}, {"x": 2}, after_unknown={"id": True}),
        resource("a.same", ["no-op"], {"x": 1}, {"x": 1}),
        resource("data.a.read", ["read"], None, {"x": 1}),
    ) == {
        "a.gone": "it is gone",
        "a.extra": "the commit has it no more",
        "a.other": "x: is 1, the commit has 2\nit would have to be replaced",
    }


@pytest.mark.parametrize(
    "marks",
    [
        {"before_sensitive": {"password": True}, "after_sensitive": {}},
        {"before_sensitive": {}, "after_sensitive": {"password": True}},
        {"before_sensitive": True, "after_sensitive": False},
    ],
)
def test_a_sensitive_attribute_is_told_as_different_and_its_value_never(marks: dict[str, Any]) -> None:
    said = told(resource("a.b", ["update"], {"password": "old-secret"}, {"password": "new-secret"}, **marks))
    assert "secret" not in said["a.b"].replace("sensitive value", "")
    assert "differs (sensitive value)" in said["a.b"]


def test_a_sensitive_value_that_another_attribute_repeats_is_masked_there_too() -> None:
    said = told(
        resource(
            "a.b",
            ["update"],
            {"tags": {"t": "hidden-text"}, "tags_all": {"t": "hidden-text"}},
            {"tags": {"t": "x"}, "tags_all": {"t": "x"}},
            before_sensitive={"tags": True},
        )
    )
    assert "hidden-text" not in said["a.b"]
    assert "tags_all.t: is" in said["a.b"]


def test_a_tag_that_the_provider_repeats_is_told_once() -> None:
    before, after = {"Name": "mine"}, {"Name": "ours"}
    said = told(resource("a.b", ["update"], {"tags": before, "tags_all": before}, {"tags": after, "tags_all": after}))
    assert said["a.b"] == 'tags.Name: is "mine", the commit has "ours"'


def test_within_a_list_a_sensitive_part_hides_all_of_it() -> None:
    said = told(
        resource(
            "a.b", ["update"], {"env": [{"v": "one-secret"}]}, {"env": []}, before_sensitive={"env": [{"v": True}]}
        )
    )
    assert said == {"a.b": "env: differs (sensitive value)"}


def test_outputs_count_where_no_resource_moved() -> None:
    outputs = {"id": {"actions": ["update"]}, "name": {"actions": ["no-op"]}}
    assert told(output_changes=outputs) == {"outputs": "id would change"}
    assert "outputs" not in told(resource("a.b", ["create"]), output_changes=outputs)


def test_a_long_value_is_cut() -> None:
    said = told(resource("a.b", ["update"], {"policy": "x" * 5000}, {"policy": ""}))
    assert len(said["a.b"]) < 300


def test_what_is_no_plan_is_told() -> None:
    with pytest.raises(SymphonyError, match="network"):
        findings("network", "{}")
