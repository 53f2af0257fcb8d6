# What the tests are given: plans cut to what rules look at.
package tests.given

run := {
	"account": "123456789012",
	"environment": "dev",
	"environments": ["dev", "prod"],
	"unit": "dev/network",
	"units": ["dev/network"],
	"today": "2026-11-25",
	"exceptions": [],
}

provider := {"aws": {"name": "aws", "expressions": {"allowed_account_ids": {"constant_value": ["123456789012"]}}}}

# A resource of a type called `this`, as it will be.
made(type, after) := changed(type, ["create"], null, after)

gone(type, before) := changed(type, ["delete"], before, null)

changed(type, actions, before, after) := {
	"address": concat(".", [type, "this"]),
	"mode": "managed",
	"type": type,
	"name": "this",
	"change": {"actions": actions, "before": before, "after": after, "after_unknown": {}},
}

plan(changes) := {"resource_changes": changes, "configuration": {"provider_config": provider, "root_module": {}}}

# As `plan`, with the code that the resources come from.
written(changes, resources) := {
	"resource_changes": changes,
	"configuration": {"provider_config": provider, "root_module": {"resources": resources}},
}

rules(denials) := {denial.rule | some denial in denials}

closed := {
	"bucket": "b",
	"block_public_acls": true,
	"block_public_policy": true,
	"ignore_public_acls": true,
	"restrict_public_buckets": true,
}
