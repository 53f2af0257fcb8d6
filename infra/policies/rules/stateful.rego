# What holds data that nothing else can bring back is neither destroyed nor replaced.
package rules.stateful

id := "stateful-destroy"

types := {
	"aws_cognito_user_pool",
	"aws_db_instance",
	"aws_docdb_cluster",
	"aws_dynamodb_table",
	"aws_ebs_volume",
	"aws_ecr_repository",
	"aws_efs_file_system",
	"aws_elasticsearch_domain",
	"aws_kms_key",
	"aws_msk_cluster",
	"aws_neptune_cluster",
	"aws_opensearch_domain",
	"aws_rds_cluster",
	"aws_redshift_cluster",
	"aws_route53_zone",
	"aws_s3_bucket",
	"aws_secretsmanager_secret",
}

findings contains {"address": change.address, "message": message, "fix": fix} if {
	some change in input.resource_changes
	change.mode == "managed"
	"delete" in change.change.actions
	why := stateful(change)
	message := sprintf("The plan %s it, and %s.", [verb(change.change.actions), why])
	fix := "Change the code so that it stays (a `moved` block where it has only another name), or move its data first."
}

stateful(change) := "it is tagged stateful" if {
	some name in {"tags", "tags_all"}
	change.change.before[name].stateful == "true"
} else := sprintf("%s holds what cannot be made again", [change.type]) if {
	change.type in types
}

verb(actions) := "replaces" if "create" in actions

else := "destroys"
