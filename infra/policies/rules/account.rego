# A plan touches the environment's own AWS account alone.
package rules.account

import data.plan

id := "foreign-account"

findings contains {"address": name, "message": message, "fix": fix} if {
	some name, provider in aws
	allowed := object.get(provider, ["expressions", "allowed_account_ids", "constant_value"], [])
	allowed != [data.run.account]
	message := sprintf("The provider is not held to the environment's account %s.", [data.run.account])
	fix := "Include root.hcl, whose provider has allowed_account_ids, and configure no provider in a module."
}

findings contains {"address": name, "message": message, "fix": fix} if {
	some name, provider in aws
	walk(object.get(provider, "expressions", {}), [path, value])
	path[count(path) - 1] == "constant_value"
	foreign(value)
	message := sprintf("The provider names %s, which is in another account than %s.", [value, data.run.account])
	fix := "Take a role of the environment's own account."
}

findings contains {"address": change.address, "message": message, "fix": fix} if {
	some change in input.resource_changes
	change.mode == "managed"
	some moment in {"before", "after"}
	some attribute, value in plan.objects(change.change[moment])
	not attribute in {"tags", "tags_all"}
	walk({attribute: value}, [path, arn])
	foreign(arn)
	last := [part | some part in path; is_string(part)]
	key := last[count(last) - 1]
	names_arn(key)
	message := sprintf("Its %s is %s, which is in another account than %s.", [key, arn, data.run.account])
	fix := "Use what the environment's own account has, and run with that account's credentials."
}

aws[name] := provider if {
	some name, provider in input.configuration.provider_config
	provider.name == "aws"
}

# AWS's own policies have the account "aws"; buckets and the like have none.
foreign(arn) if {
	is_string(arn)
	startswith(arn, "arn:")
	account := split(arn, ":")[4]
	not account in {"", "aws", data.run.account}
}

names_arn(key) if regex.match(`(^|_)arns?$`, key)

names_arn(key) if key in {"kms_key_id", "kms_master_key_id"}

