package mlgov.monitoring_test

import data.mlgov.monitoring
import rego.v1

asked(monitors, by) := {
	"parameters": {"mlgov.monitoring": {"by": by}},
	"pipelines": [{"name": "release", "sensitive": [
		{"step": "register", "role": "register", "where": "w.yaml:5", "monitors": []},
		{"step": "deploy", "role": "deploy", "where": "w.yaml:9", "monitors": monitors},
	]}],
}

codes(found) := {item.code | some item in found}

test_a_command_that_monitors if {
	found := monitoring.deny with input as asked([{"step": "watch", "by": "command"}], "proof")
	count(found) == 0
}

test_an_operator_that_monitors if {
	found := monitoring.deny with input as asked([{"step": "watch", "by": "operator"}], "proof")
	count(found) == 0
}

test_a_step_of_the_policys_list if {
	found := monitoring.deny with input as asked([{"step": "watch", "by": "list"}, {"step": "x", "by": "name"}], "proof")
	count(found) == 0
}

test_nothing_comes_after_the_deploy if {
	found := monitoring.deny with input as asked([], "proof")
	codes(found) == {"monitoring.missing"}
	some item in found
	item.where == "w.yaml:9"
}

test_a_promotion_wants_a_monitor_too if {
	found := monitoring.deny with input as {"parameters": {}, "pipelines": [{
		"name": "release",
		"sensitive": [{"step": "promote", "role": "promote", "where": "w.yaml:9", "monitors": []}],
	}]}
	codes(found) == {"monitoring.missing"}
}

test_a_name_is_no_monitor if {
	found := monitoring.deny with input as asked([{"step": "monitor", "by": "name"}], "label")
	codes(found) == {"monitoring.only_named"}
}

test_a_label_is_none_unless_the_policy_takes_it if {
	found := monitoring.deny with input as asked([{"step": "watch", "by": "label"}], "proof")
	codes(found) == {"monitoring.only_named"}
}

test_a_label_that_the_policy_takes_is_said_to_be_a_claim if {
	found := monitoring.deny with input as asked([{"step": "watch", "by": "label"}], "label")
	codes(found) == {"monitoring.claimed"}
}

test_without_parameters_no_label_is_taken if {
	found := monitoring.deny with input as object.union(asked([{"step": "watch", "by": "label"}], ""), {"parameters": {}})
	codes(found) == {"monitoring.only_named"}
}

test_nothing_is_deployed if {
	found := monitoring.deny with input as {"parameters": {}, "pipelines": [{"name": "train", "sensitive": []}]}
	codes(found) == {"monitoring.nothing_deployed"}
	some item in found
	item.outcome == "INCONCLUSIVE"
}
