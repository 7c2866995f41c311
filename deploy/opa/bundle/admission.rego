# METADATA
# title: What may enter
# description: |
#   Rules can only deny. What a namespace asks for is data: data.mlgov.namespaces, see docs/admission.md.
package mlgov.admission

workloads := {
	"apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet", "/Pod", "/ReplicationController",
	"argoproj.io/Rollout", "serving.knative.dev/Service", "serving.knative.dev/Configuration",
	"serving.knative.dev/Revision", "serving.kserve.io/InferenceService", "serving.kserve.io/TrainedModel",
	"serving.kserve.io/LLMInferenceService", "serving.kserve.io/ServingRuntime", "serving.kserve.io/InferenceGraph",
	"machinelearning.seldon.io/SeldonDeployment",
}

# What serves nothing by itself: which image runs for what others serve, and how requests are passed on to them.
serves_nothing := {"serving.kserve.io/ServingRuntime", "serving.kserve.io/InferenceGraph"}

pipelines := {
	"argoproj.io/Workflow", "argoproj.io/CronWorkflow", "argoproj.io/WorkflowTemplate",
	"argoproj.io/ClusterWorkflowTemplate", "tekton.dev/Pipeline", "tekton.dev/PipelineRun", "tekton.dev/Task",
	"tekton.dev/TaskRun", "batch/Job", "batch/CronJob",
}

review := data.system.asked

kind := sprintf("%s/%s", [review.group, review.kind])

sort_of := "workload" if {
	kind in workloads
} else := "pipeline" if {
	kind in pipelines
} else := "unknown"

# A cluster's own objects lie in no namespace: their rules stand under "".
rules := data.mlgov.namespaces[review.namespace]

ready if input.mlgov == "ready"

removed if review.operation == "DELETE"

# A controller's report, or how many of it run: nothing of what it serves changes.
harmless if {
	review.operation in {"CREATE", "UPDATE"}
	review.subresource == "status"
	sort_of != "unknown"
}

harmless if {
	review.operation in {"CREATE", "UPDATE"}
	review.subresource == "scale"
	kind in {
		"autoscaling/Scale", "apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController",
		"argoproj.io/Rollout",
	}
}

# An update of its metadata alone, or to fewer of the same: what was replaced must be able to go.
harmless if {
	review.operation == "UPDATE"
	review.subresource == ""
	review.unchanged == true
	sort_of != "unknown"
}

harmless if ready

harmless if removed

# A pod of a pipeline, made by the controller that was admitted to run it; the API server says who asks.
of_a_controller if {
	kind == "/Pod"
	review.subresource == ""
	not "workload" in rules.sorts
	review.user in rules.controllers
}

judged if {
	not harmless
	not of_a_controller
}

# METADATA
# title: a review has not come through mlgov admission
denied contains reason("review.raw", msg) if {
	judged
	object.get(review, "raw", false)
	msg := sprintf("a %s cannot be judged by rules alone: point the webhook at mlgov admission, not at OPA", [review.kind])
}

# METADATA
# title: a kind of object that is not known
denied contains reason("kind.unknown", msg) if {
	judged
	sort_of == "unknown"
	msg := sprintf(
		concat("", [
			"objects of the kind %s cannot be judged: serve by a Deployment or an InferenceService, ",
			"or take the kind out of the webhook's rules: the pods that it makes are judged in any case",
		]),
		[kind],
	)
}

# METADATA
# title: an operation or a subresource that is not known
denied contains reason("operation.unknown", msg) if {
	judged
	not known_operation
	msg := sprintf("the operation %s of %q is not known here", [review.operation, review.subresource])
}

known_operation if {
	review.operation in {"CREATE", "UPDATE"}
	review.subresource == ""
}

known_operation if {
	review.operation in {"CREATE", "UPDATE"}
	kind == "/Pod"
	review.subresource in {"ephemeralcontainers", "resize"}
}

# METADATA
# title: a namespace without rules
denied contains reason("namespace.unknown", msg) if {
	judged
	not rules
	msg := sprintf("the namespace %q has no rules: write them into the bundle's data.json", [review.namespace])
}

# METADATA
# title: a namespace whose rules are not whole
denied contains reason("namespace.rules", msg) if {
	judged
	some key in ["environment", "target", "sorts", "tools"]
	rules
	not rules[key]
	msg := sprintf("the rules of the namespace %q lack %s", [review.namespace, key])
}

denied contains reason("namespace.rules", msg) if {
	judged
	rules
	not object.get(rules, "mode", "enforce") in {"enforce", "warn"}
	msg := sprintf("the mode of the namespace %q is neither enforce nor warn", [review.namespace])
}

denied contains reason("namespace.rules", msg) if {
	judged
	some key in ["tools", "runtimes", "helpers"]
	some image in object.get(rules, key, [])
	not regex.match(`^[^@\s]+@sha256:[0-9a-f]{64}$`, image)
	msg := sprintf("%s of the namespace %q must be named by a digest: %s", [key, review.namespace, image])
}

# METADATA
# title: a sort of object that has no place in the namespace
denied contains reason("namespace.sort", msg) if {
	judged
	sort_of in {"workload", "pipeline"}
	rules
	not sort_of in rules.sorts
	msg := sprintf("the namespace %q takes no %s (%s)", [review.namespace, sort_of, kind])
}

# METADATA
# title: facts that do not fit the kind
denied contains reason("input.facts", msg) if {
	judged
	not object.get(review, "raw", false)
	known_operation
	sort_of in {"workload", "pipeline"}
	not is_object(object.get(input, sort_of, null))
	msg := "what was read of the object is missing"
}

denied contains reason("input.facts", msg) if {
	some key in ["served", "verified", "images", "volumes", "programs", "problems"]
	not is_array(object.get(workload, key, null))
	msg := sprintf("what was read of the object lacks %s", [key])
}

denied contains reason("input.facts", msg) if {
	some key in ["references", "unknown", "steps"]
	not is_array(object.get(pipeline, key, null))
	msg := sprintf("what was read of the object lacks %s", [key])
}

# -- workloads -----------------------------------------------------------------------------------------------------

workload := input.workload if {
	judged
	sort_of == "workload"
}

# METADATA
# title: what would be served cannot be told
denied contains reason(problem.code, msg) if {
	some problem in workload.problems
	msg := sprintf("%s: %s", [problem.where, problem.why])
}

# METADATA
# title: nothing that is served is named
denied contains reason("served.nothing", msg) if {
	count(workload.served) == 0
	not kind in serves_nothing
	not helps
	msg := "it does not say which model it serves: name it by models:/name/version, or fill a volume by mlgov verify --into"
}

# A pod of routers and proxies alone, which serve no model themselves.
helps if {
	count(workload.images) > 0
	every one in workload.images {
		one.image in object.get(rules, "helpers", [])
	}
}

# METADATA
# title: a program that may fetch and serve anything
denied contains reason("served.program", msg) if {
	object.get(rules, "shells", false) != true
	some one in workload.programs
	msg := sprintf("%s: %s: start the server itself, or keep the script in its image", [one.where, one.why])
}

# METADATA
# title: what is served was never registered
denied contains reason("served.unknown", msg) if {
	some one in workload.served
	count(one.means) == 0
	msg := sprintf("%s: no registration has signed %s: serve it by models:/name/version", [one.where, one.said])
}

here(one) := [item |
	some item in one.standings
	item.environment == rules.environment
	item.target == rules.target
]

# METADATA
# title: what is served was not promoted to where the namespace serves
denied contains reason("served.not_promoted", msg) if {
	some one in workload.served
	count(one.means) > 0
	count(here(one)) == 0
	msg := sprintf(
		"%s: %s has no verified promotion to %s in the environment %s",
		[one.where, one.said, rules.target, rules.environment],
	)
}

# METADATA
# title: what is served does not stand any more
denied contains reason("served.does_not_stand", msg) if {
	some one in workload.served
	found := here(one)
	count(found) > 0
	not any_stands(found)
	why := concat("; ", [sprintf("%s (%s)", [item.message, item.code]) | some item in found[0].reasons])
	msg := sprintf("%s: %s may not serve: %s", [one.where, one.said, why])
}

any_stands(found) if {
	some item in found
	item.stands == true
}

# METADATA
# title: an image that is neither a model nor on the namespace's list
denied contains reason("image.unlisted", msg) if {
	some one in workload.images
	one.signed != true
	not one.image in object.get(rules, "runtimes", [])
	not one.image in rules.tools
	not one.image in object.get(rules, "helpers", [])
	msg := sprintf("%s: the image %s is on no list of the namespace: name one that is, by its digest", [one.where, one.image])
}

listed_volumes := object.get(rules, "volumes", ["emptyDir", "secret", "projected", "downwardAPI"])

# METADATA
# title: a volume that may hold any model
denied contains reason("volume.unlisted", msg) if {
	some one in workload.volumes
	not volume_listed(one)
	one.kind != "configMap"
	msg := sprintf("%s: a volume of the kind %s may hold any model: fill an emptyDir by mlgov verify --into", [one.where, one.kind])
}

denied contains reason("volume.unlisted", msg) if {
	some one in workload.volumes
	one.kind == "configMap"
	not volume_listed(one)
	msg := sprintf("%s: the ConfigMap %s may name or hold any model: list it in the namespace's config_maps", [one.where, one.ref])
}

volume_listed(one) if one.kind in listed_volumes

volume_listed(one) if one.kind == "image" # judged by its digest

volume_listed(one) if {
	one.kind == "configMap"
	one.ref in object.get(rules, "config_maps", [])
}

# The cluster's own, which are mounted into every pod and put right if anybody changes them.
volume_listed(one) if {
	one.kind == "configMap"
	one.ref in {"kube-root-ca.crt", "openshift-service-ca.crt"}
}

demands_bytes if object.get(rules, "verify", {}) != false

# METADATA
# title: the bytes are not checked before they are served
denied contains reason("bytes.unverified", msg) if {
	demands_bytes
	some one in workload.served
	one.kind in {"registry", "place"}
	count(one.means) > 0
	not verified(one)
	whys := concat("; ", [sprintf("%s: %s", [item.where, why]) |
		some item in workload.verified
		some why in problems_of(item)
	])
	msg := sprintf(
		"%s: no init container runs mlgov verify %s --target %s --environment %s before it%s",
		[one.where, one.means[0], rules.target, rules.environment, because(whys)],
	)
}

because("") := ""

because(whys) := sprintf(" (%s)", [whys]) if whys != ""

verified(one) if {
	some item in workload.verified
	count(problems_of(item)) == 0
	some meant in one.means
	meant in item.verifies
}

problems_of(item) := {why | some why in item.problems} | {why | some why in wrong(item)}

wrong(item) := ((({why |
	not item.image in rules.tools
	why := sprintf("the image %s is not one of the namespace's tools", [item.image])
} | {why |
	some key, value in {"environment": rules.environment, "target": rules.target}
	object.get(item.options, key, "") != value
	why := sprintf("it needs --%s %s", [key, value])
}) | {why |
	some key in ["ledger", "trust", "registry", "policy"]
	object.get(item.options, key, "") != object.get(object.get(rules, "verify", {}), key, "")
	why := sprintf("its --%s is not the one of the namespace's rules", [key])
}) | {why |
	some name in item.env
	not name in object.get(object.get(rules, "verify", {}), "env", [])
	why := sprintf("its variable %s is not one of the namespace's rules", [trim_suffix(name, "=")])
}) | {why |
	some mounted in item.mounts
	mounted != "emptyDir"
	why := sprintf("it mounts a volume of the kind %s, which may hide its files", [mounted])
}

# -- pipelines -----------------------------------------------------------------------------------------------------

pipeline := input.pipeline if {
	judged
	sort_of == "pipeline"
}

# METADATA
# title: part of a pipeline is not here, or cannot be read
denied contains reason("pipeline.incomplete", msg) if {
	pipeline.complete != true
	shown := concat("; ", [sprintf("%s: %s", [one.where, one.why]) | some one in array.slice(pipeline.unknown, 0, 5)])
	msg := sprintf("it cannot be judged whole: %s", [shown])
}

# METADATA
# title: templates of a workflow that somebody else than its controller has stored in it
denied contains reason("pipeline.stored", msg) if {
	object.get(pipeline, "stored", false) == true
	not review.user in object.get(rules, "controllers", [])
	msg := "its status holds templates, which run instead of those that were judged: only the controller may store them"
}

pinned := object.get(rules, "templates", {})

# METADATA
# title: a template that may change after it was judged
denied contains reason("pipeline.reference", msg) if {
	some one in pipeline.references
	not pinned[sprintf("%s/%s", [one.kind, one.name])]
	msg := sprintf(
		"%s: it holds no pipeline, and the %s %s may change: pin its digest in the namespace's templates",
		[one.where, one.kind, one.name],
	)
}

# METADATA
# title: a template whose content is not the one that is pinned
denied contains reason("template.differs", msg) if {
	wanted := pinned[sprintf("%s/%s", [pipeline.template.kind, pipeline.template.name])]
	wanted != pipeline.template.sha256
	msg := sprintf(
		"the %s %s has the digest %s, and %s is pinned",
		[pipeline.template.kind, pipeline.template.name, pipeline.template.sha256, wanted],
	)
}

guarded_by(step) := {one.gate |
	some one in step.guards
	one.image in rules.tools
}

required(step) := object.get(rules, "require", []) if {
	step.role != "register"
} else := []

# METADATA
# title: a step that no gate guards
denied contains reason("step.unguarded", msg) if {
	some step in pipeline.steps
	count(guarded_by(step)) == 0
	msg := sprintf("no gate guards %s, which would %s%s", [step.id, step.role, weakness(step)])
}

# METADATA
# title: a step that a required gate does not guard
denied contains reason("step.gate_missing", msg) if {
	some step in pipeline.steps
	count(guarded_by(step)) > 0
	some gate in required(step)
	not gate in guarded_by(step)
	msg := sprintf("%s does not guard %s, which would %s%s", [gate, step.id, step.role, weakness(step)])
}

weakness(step) := sprintf(": %s", [concat("; ", whys)]) if {
	whys := array.concat(
		[sprintf("%s: %s (%s)", [one.gate, one.why, one.code]) | some one in array.slice(step.weak, 0, 5)],
		[sprintf("%s: its image %s is not one of the namespace's tools", [one.gate, one.image]) |
			some one in step.guards
			not one.image in rules.tools
		],
	)
	count(whys) > 0
} else := ""

notes contains "nothing in it registers, promotes or deploys a model: there was nothing to judge" if {
	count(pipeline.steps) == 0
	count(pipeline.references) == 0
}

# A mode of `warn` lets in what breaks a rule of the namespace, never what nobody could judge.
reason(code, message) := {"code": code, "message": message, "always": code in {
	"review.raw", "kind.unknown", "operation.unknown", "namespace.unknown", "namespace.rules", "input.facts",
}}
