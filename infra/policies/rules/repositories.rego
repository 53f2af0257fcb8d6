# What was tested under a tag is what runs under it.
package rules.repositories

import data.plan

id := "mutable-tags"

findings contains {"address": repository.address, "message": message, "fix": fix} if {
	some repository in plan.of({"aws_ecr_repository", "aws_ecr_repository_creation_template"})
	mutability := plan.known(repository.after, "image_tag_mutability", "MUTABLE")
	mutability != "IMMUTABLE"
	message := sprintf("Its image tags can be moved (%s).", [mutability])
	fix := "Set image_tag_mutability to IMMUTABLE."
}
