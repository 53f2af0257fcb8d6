package tests.buckets

import data.tests.given

found(changes) := result if {
	result := data.rules.buckets.findings with input as given.plan(changes)
}

guard := given.made("aws_s3_bucket_public_access_block", given.closed)

policy(statement) := [guard, given.made("aws_s3_bucket_policy", {"bucket": "b", "policy": json.marshal({"Statement": [statement]})})]

test_a_closed_bucket_passes if count(found([given.made("aws_s3_bucket", {"bucket": "b", "acl": "private"}), guard])) == 0

test_a_public_acl_is_denied if {
	every acl in ["public-read", "public-read-write", "authenticated-read"] {
		count(found([given.made("aws_s3_bucket", {"bucket": "b", "acl": acl}), guard])) == 1
	}
}

test_an_acl_of_its_own_is_denied if count(found([given.made("aws_s3_bucket_acl", {"acl": "public-read"})])) == 1

test_a_public_object_is_denied if count(found([given.made("aws_s3_bucket_object", {"acl": "public-read"})])) == 1

test_a_grant_to_everybody_is_denied if {
	grant := {"type": "Group", "permissions": ["READ"], "uri": "http://acs.amazonaws.com/groups/global/AllUsers"}
	count(found([given.made("aws_s3_bucket", {"bucket": "b", "grant": [grant]}), guard])) == 1
}

test_a_bucket_without_its_block_is_denied if {
	count(found([given.made("aws_s3_bucket", {"bucket": "b"})])) == 1
	count(found([given.made("aws_s3_bucket", {"bucket": "other"}), guard])) == 1
}

test_a_block_that_leaves_something_open_is_denied if {
	some finding in found([given.made("aws_s3_bucket_public_access_block", object.union(given.closed, {"block_public_policy": false}))])
	finding.message == "It does not set block_public_policy."
}

test_a_block_that_goes_leaves_its_bucket_denied if {
	changes := [given.made("aws_s3_bucket", {"bucket": "b"}), given.gone("aws_s3_bucket_public_access_block", given.closed)]
	count(found(changes)) == 1
}

test_before_the_first_apply_the_code_tells_what_belongs_together if {
	block := given.made("aws_s3_bucket_public_access_block", object.remove(given.closed, ["bucket"]))
	changes := [given.made("aws_s3_bucket", {"bucket": "b"}), block]
	code := {
		"type": "aws_s3_bucket_public_access_block",
		"name": "this",
		"expressions": {"bucket": {"references": ["aws_s3_bucket.this.id", "aws_s3_bucket.this"]}},
	}
	other := object.union(code, {"expressions": {"bucket": {"references": ["aws_s3_bucket.this_other.id"]}}})
	passes := data.rules.buckets.findings with input as given.written(changes, [code])
	denied := data.rules.buckets.findings with input as given.written(changes, [other])
	count(passes) == 0
	count(denied) == 1
}

test_a_policy_for_anybody_is_denied if {
	every principal in ["*", {"AWS": "*"}, {"AWS": ["arn:aws:iam::123456789012:root", "*"]}] {
		count(found(policy({"Effect": "Allow", "Principal": principal, "Action": "s3:GetObject"}))) == 1
	}
	count(found(policy({"Effect": "Allow", "NotPrincipal": {"AWS": "x"}, "Action": "s3:GetObject"}))) == 1
}

test_a_policy_with_one_statement_is_read_like_a_list if {
	text := json.marshal({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:*"}})
	count(found([guard, given.made("aws_s3_bucket", {"bucket": "b", "policy": text})])) == 1
}

test_a_policy_that_denies_or_names_its_principals_passes if {
	count(found(policy({"Effect": "Deny", "Principal": "*", "Action": "s3:*"}))) == 0
	count(found(policy({"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "s3:*"}))) == 0
}

test_a_condition_counts_only_where_it_limits if {
	allow := {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
	limited := object.union(allow, {"Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}})
	count(found(policy(limited))) == 0
	every condition in [
		{"StringLike": {"aws:PrincipalOrgID": "*"}},
		{"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/0"]}},
		{"StringNotEquals": {"aws:SourceVpce": "vpce-1"}},
		{"Bool": {"aws:SecureTransport": "true"}},
	] {
		count(found(policy(object.union(allow, {"Condition": condition})))) == 1
	}
}
