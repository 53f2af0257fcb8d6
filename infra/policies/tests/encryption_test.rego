package tests.encryption

import data.tests.given

found(type, after) := result if {
	result := data.rules.encryption.findings with input as given.plan([given.made(type, after)])
}

test_what_one_argument_decides if {
	every type, argument in data.rules.encryption.arguments {
		count(found(type, {})) == 1
		count(found(type, {argument: false})) == 1
		count(found(type, {argument: true})) == 0
	}
}

test_a_bucket_is_encrypted_in_its_block_or_beside_it if {
	count(found("aws_s3_bucket", {"bucket": "b"})) == 1
	count(found("aws_s3_bucket", {"bucket": "b", "server_side_encryption_configuration": [{"rule": []}]})) == 0
	beside := [given.made("aws_s3_bucket", {"bucket": "b"}), given.made("aws_s3_bucket_server_side_encryption_configuration", {"bucket": "b"})]
	passes := data.rules.encryption.findings with input as given.plan(beside)
	count(passes) == 0
}

test_volumes_of_instances if {
	count(found("aws_instance", {"root_block_device": [{"encrypted": true}]})) == 0
	count(found("aws_instance", {})) == 1
	count(found("aws_instance", {"root_block_device": [{"encrypted": false}]})) == 1
	count(found("aws_instance", {"root_block_device": [{"encrypted": true}], "ebs_block_device": [{}]})) == 1
}

test_volumes_of_launch_templates if {
	count(found("aws_launch_template", {"block_device_mappings": [{"device_name": "/dev/xvda", "ebs": [{"encrypted": "true"}]}]})) == 0
	count(found("aws_launch_template", {"block_device_mappings": [{"device_name": "/dev/xvda", "ebs": [{}]}]})) == 1
}

test_secrets_of_a_cluster if {
	count(found("aws_eks_cluster", {"encryption_config": [{"resources": ["secrets"]}]})) == 0
	count(found("aws_eks_cluster", {"encryption_config": []})) == 1
	count(found("aws_eks_cluster", {})) == 1
}

test_a_repository_is_encrypted_where_it_says_how if {
	count(found("aws_ecr_repository", {})) == 0
	count(found("aws_ecr_repository", {"encryption_configuration": [{"encryption_type": "KMS"}]})) == 0
	count(found("aws_ecr_repository", {"encryption_configuration": [{"encryption_type": "NONE"}]})) == 1
}

test_a_queue_keeps_its_encryption if {
	count(found("aws_sqs_queue", {})) == 0
	count(found("aws_sqs_queue", {"sqs_managed_sse_enabled": false})) == 1
	count(found("aws_sqs_queue", {"sqs_managed_sse_enabled": false, "kms_master_key_id": "alias/queue"})) == 0
}
