# Somebody should know of an action that takes many replicas from their users at one time.
package firedrill

most := 2

warn contains message if {
	input.action.replicas > most
	message := sprintf("%s takes %d replicas at one time, more than %d", [input.action.text, input.action.replicas, most])
}
