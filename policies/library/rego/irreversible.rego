# What cannot be undone is done to what is critical only if a person allows it.
package firedrill

require_approval contains message if {
	input.target.tier == "critical"
	not input.action.is_reversible
	message := sprintf("%s cannot be undone, and %s/%s is critical", [input.action.word, input.target.kind, input.target.name])
}
