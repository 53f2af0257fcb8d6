# The exceptions themselves: one that has expired, or that names what does not exist, is denied by its name.
package exceptions

rules contains data.rules[_].id

problems contains problem(exception, message, fix) if {
	some exception in data.run.exceptions
	exception.unit == data.run.unit
	exception.until < data.run.today
	message := sprintf("The exception from %s expired on %s.", [exception.rule, exception.until])
	fix := "Take it out of infra/policies/exceptions.yaml, or decide anew and give it a later day."
}

problems contains problem(exception, message, fix) if {
	some exception in data.run.exceptions
	not exception.rule in rules
	message := sprintf("The exception of %s names the rule %s, which does not exist.", [exception.unit, exception.rule])
	fix := sprintf("Rules are: %s.", [concat(", ", sort(rules))])
}

problems contains problem(exception, message, fix) if {
	some exception in data.run.exceptions
	not known(exception)
	message := sprintf("The exception from %s names the unit %s, which does not exist.", [exception.rule, exception.unit])
	fix := "Write the unit as <environment>/<path>, or take the exception out of infra/policies/exceptions.yaml."
}

known(exception) if exception.unit in data.run.units

# What is destroyed may be a unit that is no longer in the tree.
known(exception) if {
	exception.rule == data.rules.stateful.id
	split(exception.unit, "/")[0] in data.run.environments
}

problem(exception, message, fix) := {
	"rule": "exception",
	"address": exception.address,
	"message": message,
	"fix": fix,
}
