package tests.account

import data.tests.given

found(changes) := result if {
	result := data.rules.account.findings with input as given.plan(changes) with data.run as given.run
}

configured(expressions) := result if {
	result := data.rules.account.findings with input as {"resource_changes": [], "configuration": {"provider_config": {"aws": {"name": "aws", "expressions": expressions}}}}
		with data.run as given.run
}

foreign := "arn:aws:iam::999999999999:role/other"

test_the_own_account_passes if {
	count(found([given.made("aws_iam_role", {"arn": "arn:aws:iam::123456789012:role/own"})])) == 0
}

test_arns_of_another_account_are_denied if {
	count(found([given.made("aws_eks_cluster", {"role_arn": foreign})])) == 1
	count(found([given.made("aws_ecs_service", {"load_balancer": [{"target_group_arn": foreign}]})])) == 1
	count(found([given.made("aws_x", {"subject_arns": ["arn:aws:s3:::own", foreign]})])) == 1
	count(found([given.gone("aws_iam_role", {"arn": foreign})])) == 1
}

test_aws_s_own_policies_buckets_tags_and_documents_pass if {
	count(found([given.made("aws_x", {"policy_arn": "arn:aws:iam::aws:policy/ReadOnlyAccess", "arn": "arn:aws:s3:::b"})])) == 0
	count(found([given.made("aws_x", {"tags": {"made_by_arn": foreign}, "policy": foreign})])) == 0
}

test_a_provider_is_held_to_the_account if {
	count(configured({"allowed_account_ids": {"constant_value": ["123456789012"]}})) == 0
	count(configured({})) == 1
	count(configured({"allowed_account_ids": {"references": ["var.account"]}})) == 1
	count(configured({"allowed_account_ids": {"constant_value": ["123456789012", "999999999999"]}})) == 1
}

test_a_provider_takes_no_role_of_another_account if {
	own := {"constant_value": ["123456789012"]}
	count(configured({"allowed_account_ids": own, "assume_role": [{"role_arn": {"constant_value": foreign}}]})) == 1
}
