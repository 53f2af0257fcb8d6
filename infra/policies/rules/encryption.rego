# What is kept is encrypted at rest, and the code says so.
package rules.encryption

import data.plan

id := "unencrypted"

# Resource types whose one argument decides it.
arguments := {
	"aws_db_instance": "storage_encrypted",
	"aws_docdb_cluster": "storage_encrypted",
	"aws_ebs_encryption_by_default": "enabled",
	"aws_ebs_volume": "encrypted",
	"aws_efs_file_system": "encrypted",
	"aws_elasticache_replication_group": "at_rest_encryption_enabled",
	"aws_neptune_cluster": "storage_encrypted",
	"aws_rds_cluster": "storage_encrypted",
	"aws_redshift_cluster": "encrypted",
}

findings contains {"address": resource.address, "message": message, "fix": fix} if {
	some resource in plan.resources
	argument := arguments[resource.type]
	not yes(object.get(resource.after, argument, false))
	message := sprintf("It is not encrypted at rest: %s is not true.", [argument])
	fix := sprintf("Set %s to true; what exists unencrypted has to be restored from an encrypted snapshot.", [argument])
}

findings contains {"address": bucket.address, "message": message, "fix": fix} if {
	some bucket in plan.of({"aws_s3_bucket"})
	count(plan.blocks(bucket.after, "server_side_encryption_configuration")) == 0
	not configured(bucket)
	message := "The bucket's encryption is not configured."
	fix := "Add server_side_encryption_configuration, as infra/modules/state does."
}

findings contains {"address": resource.address, "message": message, "fix": fix} if {
	some resource in plan.of({"aws_instance"})
	some name in {"root_block_device", "ebs_block_device"}
	some device in plan.blocks(resource.after, name)
	not yes(object.get(device, "encrypted", false))
	message := sprintf("A volume of its %s is not encrypted at rest.", [name])
	fix := "Set encrypted to true in each of its volumes."
}

# Without the block, a setting of the account decides that no plan shows.
findings contains {"address": resource.address, "message": message, "fix": fix} if {
	some resource in plan.of({"aws_instance"})
	count(plan.blocks(resource.after, "root_block_device")) == 0
	message := "Nothing says that its root volume is encrypted at rest."
	fix := "Add root_block_device with encrypted set to true."
}

findings contains {"address": resource.address, "message": message, "fix": fix} if {
	some resource in plan.of({"aws_launch_template"})
	some mapping in plan.blocks(resource.after, "block_device_mappings")
	some volume in plan.blocks(mapping, "ebs")
	not yes(object.get(volume, "encrypted", false))
	message := sprintf("The volume %s of its instances is not encrypted at rest.", [plan.known(mapping, "device_name", "")])
	fix := "Set encrypted to true in each block_device_mappings.ebs."
}

findings contains {"address": cluster.address, "message": message, "fix": fix} if {
	some cluster in plan.of({"aws_eks_cluster"})
	not keeps_secrets(cluster)
	message := "The cluster's secrets are not encrypted by a key of its own."
	fix := "Add encryption_config with a KMS key for the resources \"secrets\", as infra/modules/eks does."
}

findings contains {"address": repository.address, "message": message, "fix": fix} if {
	some repository in plan.of({"aws_ecr_repository"})
	some encryption in plan.blocks(repository.after, "encryption_configuration")
	not plan.known(encryption, "encryption_type", "AES256") in {"AES256", "KMS", "KMS_DSSE"}
	message := "Its encryption type encrypts nothing."
	fix := "Set encryption_type to AES256 or KMS."
}

findings contains {"address": queue.address, "message": message, "fix": fix} if {
	some queue in plan.of({"aws_sqs_queue"})
	queue.after.sqs_managed_sse_enabled == false
	plan.known(queue.after, "kms_master_key_id", "") == ""
	not object.get(queue.unknown, "kms_master_key_id", false) == true
	message := "The queue's encryption is turned off."
	fix := "Set sqs_managed_sse_enabled to true, or give it a KMS key."
}

yes(value) if value in {true, "true"}

configured(bucket) if {
	some part in plan.of({"aws_s3_bucket_server_side_encryption_configuration"})
	plan.belongs(part, bucket)
}

keeps_secrets(cluster) if {
	some encryption in plan.blocks(cluster.after, "encryption_config")
	"secrets" in plan.blocks(encryption, "resources")
}
