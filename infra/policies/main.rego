# What conftest reports: each finding of each rule is a denial, or a warning where a named exception lets it through.
package main

deny contains denial(finding) if {
	some finding in findings
	not excepted(finding)
}

deny contains object.union(problem, {"msg": problem.message}) if some problem in data.exceptions.problems

warn contains denial(finding) if {
	some finding in findings
	excepted(finding)
}

# Without these facts nothing could be judged, and nothing is let through unjudged.
deny contains {"msg": "The facts of the run are missing (data.run).", "rule": "facts", "fix": "Pass them by --data."} if {
	not complete
}

findings contains object.union(finding, {"rule": data.rules[name].id}) if {
	some name
	some finding in data.rules[name].findings
}

complete if {
	every fact in {"account", "environment", "environments", "exceptions", "today", "unit", "units"} {
		object.get(data.run, fact, null) != null
	}
}

denial(finding) := object.union(finding, {
	"msg": finding.message,
	"fix": sprintf("%s To except it, name it in infra/policies/exceptions.yaml with `rule: %s`, `unit: %s`, `address: %s`, a reason and a last day.", [finding.fix, finding.rule, data.run.unit, finding.address]),
})

excepted(finding) if {
	some exception in data.run.exceptions
	exception.rule == finding.rule
	exception.unit == data.run.unit
	exception.address == finding.address
	exception.until >= data.run.today
}
