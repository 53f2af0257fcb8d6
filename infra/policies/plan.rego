# What OpenTofu's plan JSON says, in the words that the rules use.
package plan

# Resources as they will be once the plan is applied; those it leaves alone are among them.
resources contains resource if {
	some change in input.resource_changes
	change.mode == "managed"
	is_object(change.change.after)
	resource := {
		"address": change.address,
		"module": object.get(change, "module_address", ""),
		"type": change.type,
		"name": change.name,
		"index": object.get(change, "index", null),
		"after": change.change.after,
		"unknown": objects(object.get(change.change, "after_unknown", {})),
	}
}

of(types) := {resource | some resource in resources; resource.type in types}

# The list under a name: nested blocks, or values; empty where there is none or it is not known yet.
blocks(value, name) := value[name] if is_array(value[name])

else := []

# A value, or a default where it is absent, null or not known yet.
known(value, name, otherwise) := value[name] if value[name] != null

else := otherwise

objects(value) := value if is_object(value)

else := {}

list(value) := value if is_array(value)

else := [value]

# Whether a resource that belongs to a bucket belongs to this one.
belongs(part, bucket) if part.after.bucket == bucket.after.bucket

belongs(part, bucket) if part.after.bucket == bucket.after.id

# Neither has an id before the first apply, so what counts is what the code refers to.
belongs(part, bucket) if {
	known(part.after, "bucket", null) == null
	part.module == bucket.module
	part.index in {bucket.index, null}
	some module in modules
	some written in module.resources
	written.type == part.type
	written.name == part.name
	some reference in referred(written)
	name := concat(".", [bucket.type, bucket.name])
	some suffix in {"", ".", "["}
	startswith(concat("", [reference, "."]), concat("", [name, "."]))
}

referred(written) := {reference |
	some expression in [object.get(written, "expressions", {}).bucket, object.get(written, "for_each_expression", {})]
	some reference in expression.references
}

# The code's modules, however deep.
modules contains module if {
	walk(input.configuration, [_, module])
	is_object(module)
	is_array(module.resources)
}
