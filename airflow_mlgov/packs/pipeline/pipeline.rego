# The shipped rules over pipelines: what guards, dangerous conditions, secrets in plain text, what is run by a name that
# may change. Input: input.pipelines, as airflow_mlgov/pipelines/facts.py makes it. What guards a step is computed there,
# by platform; rules judge.
package mlgov.pipeline

import rego.v1

# METADATA
# title: A sensitive step is guarded by no gate
# description: a step that registers, promotes or deploys may start although no gate has succeeded
# custom:
#   code: step.unguarded
#   severity: critical
#   controls: ["eu-ai-act:17(1)(d)", "iso-42001:A.6.2.5", "nist-ai-rmf:MANAGE 1.1"]
#   mend: "let it start only after the success of a gate, with nothing between them that goes on after a failure"
deny contains {"code": "step.unguarded", "term": term, "where": step.where, "message": message} if {
	some pipeline in input.pipelines
	some step in pipeline.sensitive
	count(step.guards) == 0
	term := sprintf("%s %s", [pipeline.name, step.step])
	message := sprintf("no gate guards the step %s, which is there to %s", [step.step, step.role])
}

# METADATA
# title: A gate guards nothing, by a fault of its own
# description: its exit code is lost, its failure is let go, it never runs, or an old success may be taken for a new one
# custom:
#   code: gate.weak
#   severity: critical
#   controls: ["eu-ai-act:17(1)(d)", "iso-42001:A.6.2.4", "nist-ai-rmf:MEASURE 2.1"]
#   mend: "let the failure of the gate fail its step, and the failure of the step stop the pipeline"
deny contains {"code": "gate.weak", "term": term, "where": gate.where, "message": message} if {
	some pipeline in input.pipelines
	some gate in pipeline.weak_gates
	term := sprintf("%s %s %s", [pipeline.name, gate.step, gate.gate])
	message := sprintf("the gate %s in %s stops nothing: %s [%s]", [gate.gate, gate.step, gate.why, gate.code])
}

# METADATA
# title: A sensitive step starts whatever became of what is before it
# description: always(), finally, onExit, a trigger rule such as all_done
# custom:
#   code: condition.ignores_failure
#   severity: critical
#   controls: ["eu-ai-act:17(1)(d)", "iso-42001:A.6.2.5", "nist-ai-rmf:MANAGE 1.1"]
#   mend: "take the condition away, so that the step starts after success alone"
deny contains {"code": "condition.ignores_failure", "term": term, "where": cause.where, "message": message} if {
	some pipeline in input.pipelines
	some step in pipeline.sensitive
	some cause in step.starts_anyway
	term := sprintf("%s %s after %s", [pipeline.name, step.step, cause.after])
	message := sprintf("%s starts whatever became of %s (%s)", [step.step, cause.after, cause.why])
}

# METADATA
# title: Whoever starts the run decides whether a gate runs
# custom:
#   code: condition.of_the_caller
#   severity: warning
#   controls: ["eu-ai-act:17(1)(d)", "nist-ai-rmf:GOVERN 2.1"]
#   mend: "take the parameter away; an exception is a waiver, which is signed and runs out"
deny contains {"code": "condition.of_the_caller", "term": term, "where": pipeline.source.file, "message": message} if {
	some pipeline in input.pipelines
	some step in pipeline.steps
	is_gate(step)
	object.get(step, "decided_by", "always") == "caller"
	term := sprintf("%s %s", [pipeline.name, step.id])
	message := sprintf("whether the gate in %s runs is decided by whoever starts the run: %s", [step.id, object.get(step, "condition", "")])
}

is_gate(step) if object.get(step, "role", "") == "gate"

is_gate(step) if {
	some command in object.get(step, "commands", [])
	object.get(command, "role", "") == "gate"
}

# METADATA
# title: Code of strangers starts a pipeline that may deploy
# description: pull_request_target and workflow_run run with the repository's own rights on what somebody else has sent
# custom:
#   code: trigger.of_strangers
#   severity: warning
#   controls: ["eu-ai-act:15(5)", "nist-ai-rmf:MEASURE 2.7"]
#   mend: "start it by a push to a protected branch, or by hand"
deny contains {"code": "trigger.of_strangers", "term": term, "where": pipeline.source.file, "message": message} if {
	some pipeline in input.pipelines
	count(pipeline.sensitive) > 0
	some trigger in pipeline.triggers
	trigger in {"pull_request_target", "issue_comment"}
	term := sprintf("%s %s", [pipeline.name, trigger])
	message := sprintf("%s starts on %s and holds steps that register, promote or deploy", [pipeline.name, trigger])
}

# METADATA
# title: A secret stands in plain text
# description: the value is not repeated here, nor in evidence
# custom:
#   code: secret.plain_text
#   severity: critical
#   controls: ["eu-ai-act:15(5)", "gdpr:32", "iso-42001:A.4.5", "nist-ai-rmf:MEASURE 2.7"]
#   mend: "change the secret, because it is known now, and have the platform's secret store or Vault hand it in"
deny contains {"code": "secret.plain_text", "term": secret.name, "where": secret.where, "message": message} if {
	some pipeline in input.pipelines
	some secret in pipeline.secrets
	message := sprintf("%s holds a secret in plain text: %s", [secret.name, secret.why])
}

# METADATA
# title: An image is named by a tag, which may change
# custom:
#   code: image.unpinned
#   severity: warning
#   controls: ["eu-ai-act:15(5)", "iso-42001:A.10.3", "nist-ai-rmf:GOVERN 6.1"]
#   mend: "name it by its digest: name@sha256:…"
deny contains {"code": "image.unpinned", "term": image.image, "where": image.where, "message": message} if {
	some pipeline in input.pipelines
	some image in pipeline.images
	name := image.image
	not regex.match("@sha256:[0-9a-f]{64}$", name)
	message := sprintf("the image %s may change behind its name", [name])
}

# METADATA
# title: An action, a template or an include of others is named by what may change
# custom:
#   code: action.unpinned
#   severity: warning
#   controls: ["eu-ai-act:15(5)", "iso-42001:A.10.3", "nist-ai-rmf:GOVERN 6.1"]
#   mend: "name it by its commit, and its version in a comment behind it"
deny contains {"code": "action.unpinned", "term": action.name, "where": action.where, "message": message} if {
	some pipeline in input.pipelines
	some action in pipeline.actions
	action.why != ""
	message := sprintf("%s is run by a name that may change: %s", [action.name, action.why])
}
