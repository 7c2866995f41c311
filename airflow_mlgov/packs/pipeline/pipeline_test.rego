package mlgov.pipeline_test

import data.mlgov.pipeline
import rego.v1

digest := "registry.example/train@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

safe := {
	"name": "release",
	"source": {"file": "w.yaml"},
	"triggers": ["push"],
	"steps": [{"id": "gate", "role": "gate", "commands": [{"text": "mlgov gate fairness", "role": "gate"}]}],
	"images": [{"image": digest, "where": "w.yaml:3"}],
	"actions": [{"name": "actions/checkout@0123456789abcdef0123456789abcdef01234567", "where": "w.yaml:4", "why": ""}],
	"secrets": [],
	"weak_gates": [],
	"sensitive": [{"step": "deploy", "role": "deploy", "where": "w.yaml:9", "guards": ["fairness"], "starts_anyway": []}],
}

with_change(change) := {"pipelines": [object.union(safe, change)]}

codes(found) := {item.code | some item in found}

test_what_is_guarded_and_pinned_is_not_denied if {
	found := pipeline.deny with input as {"pipelines": [safe]}
	count(found) == 0
}

test_a_step_that_no_gate_guards if {
	change := {"sensitive": [{"step": "deploy", "role": "deploy", "where": "w.yaml:9", "guards": [], "starts_anyway": []}]}
	found := pipeline.deny with input as with_change(change)
	codes(found) == {"step.unguarded"}
	some item in found
	item.where == "w.yaml:9"
}

test_a_gate_that_stops_nothing if {
	change := {"weak_gates": [{"gate": "fairness", "step": "gate", "code": "gate.exit_code_lost", "why": "|| true", "where": "w.yaml:7"}]}
	found := pipeline.deny with input as with_change(change)
	codes(found) == {"gate.weak"}
}

test_a_step_that_starts_after_a_failure_too if {
	change := {"sensitive": [{
		"step": "deploy", "role": "deploy", "where": "w.yaml:9", "guards": ["fairness"],
		"starts_anyway": [{"after": "train", "why": "if: always()", "where": "w.yaml:8"}],
	}]}
	found := pipeline.deny with input as with_change(change)
	codes(found) == {"condition.ignores_failure"}
}

test_a_gate_that_the_caller_may_leave_out if {
	change := {"steps": [{"id": "gate", "role": "gate", "decided_by": "caller", "condition": "inputs.skip != true"}]}
	found := pipeline.deny with input as with_change(change)
	codes(found) == {"condition.of_the_caller"}
}

test_a_gate_in_a_command_that_the_caller_may_leave_out if {
	change := {"steps": [{"id": "job", "decided_by": "caller", "commands": [{"text": "mlgov gate fairness", "role": "gate"}]}]}
	found := pipeline.deny with input as with_change(change)
	codes(found) == {"condition.of_the_caller"}
}

test_another_step_that_the_caller_may_leave_out_is_no_gate if {
	change := {"steps": [{"id": "docs", "decided_by": "caller"}]}
	found := pipeline.deny with input as with_change(change)
	count(found) == 0
}

test_code_of_strangers if {
	found := pipeline.deny with input as with_change({"triggers": ["pull_request_target"]})
	codes(found) == {"trigger.of_strangers"}
}

test_code_of_strangers_in_a_pipeline_that_deploys_nothing if {
	found := pipeline.deny with input as with_change({"triggers": ["pull_request_target"], "sensitive": []})
	count(found) == 0
}

test_a_secret_in_plain_text if {
	found := pipeline.deny with input as with_change({"secrets": [{"name": "TOKEN", "why": "a GitHub token", "where": "w.yaml:5"}]})
	codes(found) == {"secret.plain_text"}
}

test_an_image_by_tag if {
	found := pipeline.deny with input as with_change({"images": [{"image": "python:3.11", "where": "w.yaml:3"}]})
	codes(found) == {"image.unpinned"}
}

test_an_image_whose_digest_is_none if {
	found := pipeline.deny with input as with_change({"images": [{"image": "python@sha256:abc", "where": "w.yaml:3"}]})
	codes(found) == {"image.unpinned"}
}

test_an_action_by_branch if {
	found := pipeline.deny with input as with_change({"actions": [{"name": "a/b@main", "why": "it is named by a branch or a tag", "where": "w.yaml:4"}]})
	codes(found) == {"action.unpinned"}
}
