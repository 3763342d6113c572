# Nothing is done to what somebody has frozen: an alert that carries the label `freeze` says so.
package firedrill

deny contains message if {
	reason := input.alert.labels.freeze
	not reason in {"", "false"}
	message := sprintf("%s/%s is frozen: %s", [input.target.kind, input.target.name, reason])
}
