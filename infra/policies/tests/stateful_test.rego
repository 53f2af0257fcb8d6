package tests.stateful

import data.tests.given

found(change) := result if {
	result := data.rules.stateful.findings with input as given.plan([change])
}

test_a_stateful_type_is_neither_destroyed_nor_replaced if {
	every type in ["aws_s3_bucket", "aws_db_instance", "aws_efs_file_system", "aws_ecr_repository", "aws_route53_zone"] {
		every actions in [["delete"], ["delete", "create"], ["create", "delete"]] {
			count(found(given.changed(type, actions, {"tags": null}, null))) == 1
		}
	}
}

test_what_is_tagged_stateful_stays if {
	some finding in found(given.changed("aws_instance", ["delete", "create"], {"tags": {"stateful": "true"}}, {"tags": {}}))
	finding.message == "The plan replaces it, and it is tagged stateful."
}

test_the_rest_may_go if {
	count(found(given.gone("aws_instance", {"tags": {"stateful": "false"}}))) == 0
	count(found(given.gone("aws_iam_role", {}))) == 0
}

test_a_change_in_place_passes if count(found(given.changed("aws_s3_bucket", ["update"], {}, {}))) == 0
