package tests.tags

import data.tests.given

found(change) := result if {
	result := data.rules.tags.findings with input as given.plan([change]) with data.run as given.run
}

tags := {"environment": "dev", "managed-by": "symphony", "unit": "dev/network"}

test_all_tags_pass if count(found(given.made("aws_vpc", {"tags_all": tags}))) == 0

test_what_has_no_tags_by_nature_passes if count(found(given.made("aws_route", {"id": "r"}))) == 0

test_missing_and_empty_tags_are_named if {
	some finding in found(given.made("aws_vpc", {"tags_all": {"environment": "dev", "unit": ""}}))
	finding.message == "It lacks the tags managed-by, unit."
	count(found(given.made("aws_vpc", {"tags_all": null}))) == 1
}

test_another_environment_s_tag_is_denied if {
	some finding in found(given.made("aws_vpc", {"tags_all": object.union(tags, {"environment": "prod"})}))
	finding.message == "Its tag environment is prod in a plan for dev."
}

test_tags_known_only_after_the_apply_count if {
	change := object.union(given.made("aws_vpc", {"tags_all": object.remove(tags, ["unit"])}), {"change": {"after_unknown": {"tags_all": {"unit": true}}}})
	count(found(change)) == 0
}

test_where_all_are_unknown_the_provider_s_count if {
	change := object.union(given.made("aws_vpc", {}), {"change": {"after_unknown": {"tags": {"Name": true}, "tags_all": true}}})
	count(found(change)) == 1
	defaults := {"default_tags": [{"tags": {"constant_value": tags}}]}
	provider := {"aws": {"name": "aws", "expressions": defaults}}
	passes := data.rules.tags.findings with input as {"resource_changes": [change], "configuration": {"provider_config": provider}}
		with data.run as given.run
	count(passes) == 0
}

test_a_scaling_group_s_own_tags_count if {
	count(found(given.made("aws_autoscaling_group", {"tag": [{"key": key} | some key in ["environment", "managed-by", "unit"]]}))) == 0
	count(found(given.made("aws_autoscaling_group", {"tag": [{"key": "unit"}]}))) == 1
}
