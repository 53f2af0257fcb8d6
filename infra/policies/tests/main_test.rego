package tests.main

import data.tests.given

open := given.made("aws_security_group_rule", {
	"type": "ingress",
	"from_port": 22,
	"to_port": 22,
	"protocol": "tcp",
	"cidr_blocks": ["0.0.0.0/0"],
})

exception := {
	"rule": "open-admin-port",
	"unit": "dev/network",
	"address": "aws_security_group_rule.this",
	"reason": "A test",
	"until": "2026-11-25",
}

excepting(changes) := object.union(given.run, {"exceptions": [object.union(exception, changes)]})

denials(run) := result if {
	result := data.main.deny with input as given.plan([open]) with data.run as run
}

warnings(run) := result if {
	result := data.main.warn with input as given.plan([open]) with data.run as run
}

test_a_denial_names_rule_resource_and_how_to_fix_or_except_it if {
	some denial in denials(given.run)
	denial.rule == "open-admin-port"
	denial.address == "aws_security_group_rule.this"
	denial.msg == "It lets 0.0.0.0/0 reach port 22."
	contains(denial.fix, "Name the address blocks")
	contains(denial.fix, "`rule: open-admin-port`, `unit: dev/network`, `address: aws_security_group_rule.this`")
}

test_a_plan_that_keeps_every_rule_passes if {
	passes := data.main.deny with input as given.plan([]) with data.run as given.run
	count(passes) == 0
}

test_a_named_exception_lets_through_until_its_last_day if {
	count(denials(excepting({}))) == 0
	given.rules(warnings(excepting({}))) == {"open-admin-port"}
}

test_an_exception_lets_through_nothing_else if {
	every other in [{"address": "aws_security_group_rule.other"}, {"rule": "unencrypted"}] {
		given.rules(denials(excepting(other))) == {"open-admin-port"}
	}
}

test_an_expired_exception_is_named if {
	found := denials(excepting({"until": "2026-11-24"}))
	given.rules(found) == {"exception", "open-admin-port"}
	some denial in found
	denial.msg == "The exception from open-admin-port expired on 2026-11-24."
}

test_another_unit_s_expired_exception_waits_for_that_unit if {
	run := object.union(excepting({"until": "2026-11-24", "unit": "dev/other"}), {"units": ["dev/network", "dev/other"]})
	given.rules(denials(run)) == {"open-admin-port"}
}

test_an_unknown_rule_is_named if {
	some denial in denials(excepting({"rule": "no-such-rule"}))
	denial.msg == "The exception of dev/network names the rule no-such-rule, which does not exist."
	contains(denial.fix, "foreign-account, mutable-tags, open-admin-port, public-bucket, required-tags")
}

test_an_unknown_unit_is_named if {
	some denial in denials(excepting({"unit": "dev/nowhere"}))
	denial.msg == "The exception from open-admin-port names the unit dev/nowhere, which does not exist."
}

test_what_is_destroyed_may_be_a_unit_that_is_gone if {
	gone := object.union(exception, {"rule": "stateful-destroy", "unit": "dev/gone"})
	found := data.exceptions.problems with data.run as object.union(given.run, {"exceptions": [gone]})
	count(found) == 0
}

test_nothing_passes_without_the_facts_of_the_run if {
	found := data.main.deny with input as given.plan([]) with data.run as {}
	given.rules(found) == {"facts"}
}
