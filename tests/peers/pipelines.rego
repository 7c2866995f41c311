# What a platform team would ask of a pipeline without a reader that knows the platform: the gate is there, and the
# step that deploys or promotes waits for it. For conftest (`package main`); gator gets the same as a template.
package main

import rego.v1

deny contains "no step runs the gate" if not gated

deny contains "the sensitive step does not wait for the gate" if {
	gated
	not waits
}

words := {word | walk(input, [_, word]); is_string(word)}

said := concat(" ", [word | some word in words])

gated if {
	some word in words
	regex.match(`mlgov (gate|verify)`, word)
}

gated if {
	"mlgov" in words
	some word in words
	word in {"gate", "verify"}
}

# GitHub Actions
waits if "check" in input.jobs.deploy.needs

# GitLab CI: a later stage, and no needs that leave the gate out
waits if {
	input.fairness
	input.deploy.stage == "release"
	object.get(input.deploy, "needs", ["fairness"])[_] == "fairness"
}

# Argo Workflows
waits if {
	some template in input.spec.templates
	some task in template.dag.tasks
	task.name == "promote"
	contains(task.depends, "gate")
}

# Kubeflow
waits if "gate" in input.root.dag.tasks.promote.dependentTasks

# SageMaker
waits if {
	some step in input.Steps
	step.Name == "Register"
	"Gate" in step.DependsOn
}

# Tekton
waits if {
	some task in input.spec.tasks
	task.name == "promote"
	"gate" in task.runAfter
}

# Kubernetes
waits if input.spec.predictor.initContainers
