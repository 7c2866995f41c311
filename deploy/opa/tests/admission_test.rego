package system_test

uid := "7d4f"

tool := sprintf("registry.example/mlgov@sha256:%064d", [0])

router := sprintf("registry.example/router@sha256:%064d", [3])

rules := {
	"serving": {"environment": "prod", "target": "production", "sorts": ["workload"], "tools": [tool], "helpers": [router], "verify": false},
	"tagged": {"environment": "prod", "target": "production", "sorts": ["workload"], "tools": ["mlgov:latest"]},
	"watched": {
		"environment": "prod",
		"target": "production",
		"mode": "warn",
		"sorts": ["workload"],
		"tools": [tool],
	},
	"pipelines": {
		"environment": "prod",
		"target": "production",
		"sorts": ["pipeline"],
		"tools": [tool],
		"require": ["performance"],
	},
	"half": {"environment": "prod", "sorts": ["workload"]},
	"broken": {"environment": "prod", "target": "production", "mode": "off", "sorts": ["workload"], "tools": []},
}

review(group, kind, operation) := {
	"version": "admission.k8s.io/v1",
	"uid": uid,
	"group": group,
	"kind": kind,
	"operation": operation,
	"namespace": "serving",
	"subresource": "",
	"user": "alice",
}

empty_workload := {"served": [], "verified": [], "images": [], "volumes": [], "programs": [], "problems": []}

served := {
	"where": "spec",
	"said": "models:/m/1",
	"kind": "registry",
	"means": ["models:/m/1"],
	"standings": [{"environment": "prod", "target": "production", "stands": true, "reasons": []}],
}

asked(change) := object.union(
	{
		"mlgov": "mlgov/admission/1",
		"review": review("apps", "Deployment", "CREATE"),
		"workload": object.union(empty_workload, {"served": [served]}),
	},
	change,
)

answer(document) := found if {
	found := data.system.main.response with input as document with data.mlgov.namespaces as rules
}

refused(document, code) if {
	found := answer(document)
	found.allowed == false
	contains(found.status.message, sprintf("[%s]", [code]))
}

test_what_stands_is_let_in if {
	found := answer(asked({}))
	found.allowed == true
	found.uid == uid
}

test_garbage_is_refused if {
	every document in [{}, [], null, "x", 7, {"mlgov": "mlgov/admission/1"}, {"kind": "AdmissionReview", "request": {}}] {
		found := answer(document)
		found.allowed == false
	}
}

test_without_input_it_is_refused if {
	data.system.main.response.allowed == false with data.mlgov.namespaces as rules
}

test_the_version_is_the_one_that_was_asked_in if {
	document := asked({"review": {"version": "admission.k8s.io/v1beta1"}})
	data.system.main.apiVersion == "admission.k8s.io/v1beta1" with input as document with data.mlgov.namespaces as rules
}

test_a_review_that_nobody_has_read if {
	every kind in [["argoproj.io", "Workflow"], ["tekton.dev", "PipelineRun"], ["argoproj.io", "CronWorkflow"]] {
		raw := {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
			"uid": uid,
			"kind": {"group": kind[0], "version": "v1", "kind": kind[1]},
			"operation": "CREATE",
			"namespace": "serving",
		}}
		refused(raw, "review.raw")
	}
}

test_an_unknown_kind if refused(asked({"review": review("", "ConfigMap", "CREATE")}), "kind.unknown")

test_an_update_is_judged_alike if {
	document := asked({"review": review("apps", "Deployment", "UPDATE"), "workload": empty_workload})
	refused(document, "served.nothing")
}

test_an_update_that_changes_nothing_of_what_runs if {
	unchanged := object.union(review("apps", "ReplicaSet", "UPDATE"), {"unchanged": true})
	answer({"mlgov": "mlgov/admission/1", "review": unchanged}).allowed == true
	refused({"mlgov": "mlgov/admission/1", "review": object.union(unchanged, {"operation": "CREATE"})}, "input.facts")
	refused({"mlgov": "mlgov/admission/1", "review": object.union(unchanged, {"kind": "Secret"})}, "kind.unknown")
}

test_what_serves_nothing_itself if {
	image := {"where": "spec", "image": router, "digest": "", "signed": false}
	answer(asked({"workload": {"served": [], "images": [image]}})).allowed == true
	refused(asked({"workload": {"served": [], "images": [image, object.union(image, {"image": tool})]}}), "served.nothing")
	runtime := {"review": review("serving.kserve.io", "ServingRuntime", "CREATE"), "workload": {"served": []}}
	answer(asked(runtime)).allowed == true
}

test_programs_that_may_serve_anything if {
	shell := {"workload": {"programs": [{"where": "spec", "why": "sh -c"}]}}
	refused(asked(shell), "served.program")
	trusting := {"serving": object.union(rules.serving, {"shells": true})}
	let_in := data.system.main.response with input as asked(shell) with data.mlgov.namespaces as trusting
	let_in.allowed == true
}

test_a_deletion_is_let_in if answer(asked({"review": review("apps", "Deployment", "DELETE")})).allowed == true

test_an_operation_that_is_not_known if {
	refused(asked({"review": review("apps", "Deployment", "CONNECT")}), "operation.unknown")
}

test_a_dry_run_is_the_same if {
	document := asked({"review": {"dry_run": true}, "workload": {"served": []}})
	refused(document, "served.nothing")
}

test_facts_that_are_missing if {
	every key in ["served", "verified", "images", "volumes", "programs", "problems"] {
		document := json.remove(asked({}), [sprintf("workload/%s", [key])])
		refused(document, "input.facts")
	}
	refused(json.remove(asked({}), ["workload"]), "input.facts")
}

test_namespaces_without_whole_rules if {
	refused(asked({"review": {"namespace": "elsewhere"}}), "namespace.unknown")
	refused(asked({"review": {"namespace": "half"}}), "namespace.rules")
	refused(asked({"review": {"namespace": "broken"}}), "namespace.rules")
	refused(asked({"review": {"namespace": "tagged"}}), "namespace.rules")
}

test_a_warning_lets_in_what_was_judged if {
	found := answer(asked({"review": {"namespace": "watched"}}))
	found.allowed == true
	contains(found.warnings[0], "[bytes.unverified]")
	refused(asked({"review": {"namespace": "watched", "operation": "CONNECT"}}), "operation.unknown")
}

pipeline(change) := {
	"mlgov": "mlgov/admission/1",
	"review": object.union(review("argoproj.io", "Workflow", "CREATE"), {"namespace": "pipelines"}),
	"pipeline": object.union(
		{
			"template": {"kind": "Workflow", "name": "w", "sha256": "1"},
			"references": [],
			"complete": true,
			"unknown": [],
			"steps": [],
		},
		change,
	),
}

reference := {"references": [{"kind": "WorkflowTemplate", "name": "credit", "where": "spec"}]}

template(digest) := {"template": {"kind": "WorkflowTemplate", "name": "credit", "sha256": digest}}

test_a_reference_to_a_template_that_is_pinned if {
	refused(pipeline(reference), "pipeline.reference")
	pinned := {"pipelines": {
		"environment": "prod",
		"target": "production",
		"sorts": ["pipeline"],
		"tools": [tool],
		"templates": {"WorkflowTemplate/credit": "abc"},
	}}
	let_in := data.system.main.response with input as pipeline(reference) with data.mlgov.namespaces as pinned
	let_in.allowed == true
	same := data.system.main.response with input as pipeline(template("abc")) with data.mlgov.namespaces as pinned
	same.allowed == true
	other := data.system.main.response with input as pipeline(template("abd")) with data.mlgov.namespaces as pinned
	other.allowed == false
	contains(other.status.message, "[template.differs]")
}

test_a_step_needs_the_gates_that_are_required if {
	guards := [{"gate": "fairness", "step": "g", "image": tool}]
	step := {"id": "p", "role": "promote", "guards": guards, "weak": [], "approvals": []}
	refused(pipeline({"steps": [object.union(step, {"guards": []})]}), "step.unguarded")
	refused(pipeline({"steps": [step]}), "step.gate_missing")
	answer(pipeline({"steps": [object.union(step, {"role": "register"})]})).allowed == true
	both := array.concat(guards, [{"gate": "performance", "step": "h", "image": tool}])
	answer(pipeline({"steps": [object.union(step, {"guards": both})]})).allowed == true
	elsewhere := array.concat(guards, [{"gate": "performance", "step": "h", "image": "mine:latest"}])
	refused(pipeline({"steps": [object.union(step, {"guards": elsewhere})]}), "step.gate_missing")
}

test_what_does_not_stand if {
	fallen := object.union(served, {"standings": [{
		"environment": "prod",
		"target": "production",
		"stands": false,
		"reasons": [{"code": "promotion.superseded", "message": "replaced"}],
	}]})
	refused(asked({"workload": {"served": [fallen]}}), "served.does_not_stand")
	elsewhere := object.union(served, {"standings": [{"environment": "dev", "target": "production", "stands": true}]})
	refused(asked({"workload": {"served": [elsewhere]}}), "served.not_promoted")
	refused(asked({"workload": {"served": [object.union(served, {"means": []})]}}), "served.unknown")
}
