# No bucket is open to the public: not by ACL, not by policy, and its public access block says so.
package rules.buckets

import data.plan

id := "public-bucket"

open_acls := {"public-read", "public-read-write", "authenticated-read"}

everybody := {
	"http://acs.amazonaws.com/groups/global/AllUsers",
	"http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
}

guards := {"block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"}

findings contains {"address": resource.address, "message": message, "fix": fix} if {
	some resource in plan.of({"aws_s3_bucket", "aws_s3_bucket_acl", "aws_s3_bucket_object", "aws_s3_object"})
	resource.after.acl in open_acls
	message := sprintf("The ACL %s lets anybody read it.", [resource.after.acl])
	fix := "Take the ACL out, and grant access by a policy that names who has it."
}

findings contains {"address": resource.address, "message": message, "fix": fix} if {
	some resource in plan.of({"aws_s3_bucket", "aws_s3_bucket_acl"})
	walk(resource.after, [_, value])
	value.uri in everybody
	message := sprintf("A grant is for everybody (%s).", [value.uri])
	fix := "Take the grant out, and grant access by a policy that names who has it."
}

findings contains {"address": resource.address, "message": message, "fix": fix} if {
	some resource in plan.of({"aws_s3_bucket", "aws_s3_bucket_policy"})
	is_string(resource.after.policy)
	json.is_valid(resource.after.policy)
	some statement in plan.list(json.unmarshal(resource.after.policy).Statement)
	statement.Effect == "Allow"
	anybody(statement)
	not bounded(statement)
	message := "Its policy allows access to any principal."
	fix := "Name the principals, or add a condition on an account, organisation, VPC or address range."
}

findings contains {"address": bucket.address, "message": message, "fix": fix} if {
	some bucket in plan.of({"aws_s3_bucket"})
	not guarded(bucket)
	message := "The bucket has no aws_s3_bucket_public_access_block."
	fix := "Add one with all four of its arguments true."
}

findings contains {"address": resource.address, "message": message, "fix": fix} if {
	some resource in plan.of({"aws_s3_bucket_public_access_block", "aws_s3_account_public_access_block"})
	off := [guard | some guard in guards; not resource.after[guard] == true]
	count(off) > 0
	message := sprintf("It does not set %s.", [concat(", ", sort(off))])
	fix := "Set all four of its arguments to true."
}

guarded(bucket) if {
	some part in plan.of({"aws_s3_bucket_public_access_block"})
	plan.belongs(part, bucket)
}

anybody(statement) if statement.NotPrincipal

anybody(statement) if statement.Principal == "*"

anybody(statement) if {
	some kind
	"*" in plan.list(statement.Principal[kind])
}

# What S3 itself takes for a limit ("The meaning of public" in its documentation).
limits := {
	"aws:sourcearn",
	"aws:sourcevpc",
	"aws:sourcevpce",
	"aws:sourceaccount",
	"aws:sourceowner",
	"aws:sourceip",
	"aws:vpcsourceip",
	"aws:sourceorgid",
	"aws:sourceorgpaths",
	"aws:principalorgid",
	"aws:principalorgpaths",
	"aws:principalaccount",
	"aws:principalarn",
	"aws:userid",
	"s3:dataaccesspointarn",
	"s3:dataaccesspointaccount",
}

operators := {"stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike", "ipaddress"}

bounded(statement) if {
	some operator, keys in statement.Condition
	lower(operator) in operators
	some key, value in keys
	lower(key) in limits
	count(plan.list(value)) > 0
	every item in plan.list(value) {
		fixed(item)
	}
}

fixed(value) if {
	not contains(value, "*")
	not regex.match(`/[0-7]$`, value)
}

fixed(value) if regex.match(`^arn:[^:*]+:[^:*]+:[^:]*:\d{12}:`, value)
