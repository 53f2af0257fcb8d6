# Whatever can be tagged says what it belongs to; root.hcl's default_tags give these to every unit.
package rules.tags

import data.plan

id := "required-tags"

required := {"environment", "managed-by", "unit"}

findings contains {"address": resource.address, "message": message, "fix": fix} if {
	some resource in plan.resources
	missing := required - tags(resource)
	count(missing) > 0
	message := sprintf("It lacks the tags %s.", [concat(", ", sort(missing))])
	fix := "Include root.hcl, whose default_tags give them, and set no tag of these names to nothing."
}

findings contains {"address": resource.address, "message": message, "fix": fix} if {
	some resource in plan.resources
	environment := resource.after.tags_all.environment
	environment != data.run.environment
	message := sprintf("Its tag environment is %s in a plan for %s.", [environment, data.run.environment])
	fix := "Let root.hcl's default_tags set the tag environment, and no module."
}

# Keys of its tags; undefined for what has none by nature.
tags(resource) := keys if {
	resource.unknown.tags_all == true
	keys := (given(object.get(resource.after, "tags", {})) | unknown(resource, "tags")) | defaults
} else := keys if {
	object.get(resource.after, "tags_all", "absent") != "absent"
	keys := given(resource.after.tags_all) | unknown(resource, "tags_all")
} else := keys if {
	resource.type == "aws_autoscaling_group"
	keys := {tag.key | some tag in plan.blocks(resource.after, "tag")}
}

unknown(resource, name) := object.keys(plan.objects(object.get(resource.unknown, name, {})))

given(map) := {key | some key, value in plan.objects(map); value != ""}

# Where the provider cannot know all tags before the apply, its configuration tells those it adds.
defaults contains key if {
	some provider in input.configuration.provider_config
	provider.name == "aws"
	some block in plan.list(provider.expressions.default_tags)
	some key, value in block.tags.constant_value
	value != ""
}
