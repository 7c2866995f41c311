# All models must have a post-deployment monitor. Input: input.pipelines, as airflow_mlgov/pipelines/facts.py makes it, and
# input.parameters["mlgov.monitoring"]: {"by": "label"} takes the author's word for it.
package mlgov.monitoring

import rego.v1

takes_labels if input.parameters["mlgov.monitoring"].by == "label"

# A name makes no monitor: what it runs does, or a list of the policy's.
is_told(monitor) if monitor.by in {"operator", "command", "list"}

deploys contains {"pipeline": pipeline.name, "step": step} if {
	some pipeline in input.pipelines
	some step in pipeline.sensitive
	step.role in {"deploy", "promote"}
}

watched(step) if {
	some monitor in step.monitors
	is_told(monitor)
}

labelled(step) if {
	takes_labels
	some monitor in step.monitors
	monitor.by == "label"
}

named(step) := concat(", ", sort([monitor.step | some monitor in step.monitors]))

# METADATA
# title: Nothing watches what is deployed
# description: after each step that promotes or deploys there is one that monitors, by its operator, its command, or the policy's list
# custom:
#   code: monitoring.missing
#   severity: critical
#   controls: ["eu-ai-act:72", "iso-42001:A.6.2.6", "nist-ai-rmf:MEASURE 2.4", "nist-ai-rmf:MANAGE 4.1"]
#   mend: "put PostDeploymentAuditOperator, `mlgov reconcile` or another monitor behind it, or list its command under parameters: {mlgov.monitoring: {monitors: […]}}"
deny contains {"code": "monitoring.missing", "term": term, "where": step.where, "message": message} if {
	some deploy in deploys
	step := deploy.step
	not watched(step)
	not labelled(step)
	count(step.monitors) == 0
	term := sprintf("%s %s", [deploy.pipeline, step.step])
	message := sprintf("no step that monitors comes after %s, which is there to %s", [step.step, step.role])
}

# METADATA
# title: What is to watch is only called so
# description: a step that bears the name or the label of a monitor runs nothing that is known to monitor
# custom:
#   code: monitoring.only_named
#   severity: critical
#   controls: ["eu-ai-act:72", "iso-42001:A.6.2.6", "nist-ai-rmf:MEASURE 2.4"]
#   mend: "list its command or its operator under parameters: {mlgov.monitoring: {monitors: […]}}, or take the author's label with {by: label}"
deny contains {"code": "monitoring.only_named", "term": term, "where": step.where, "message": message} if {
	some deploy in deploys
	step := deploy.step
	not watched(step)
	not labelled(step)
	count(step.monitors) > 0
	term := sprintf("%s %s", [deploy.pipeline, step.step])
	message := sprintf("after %s comes %s, which has the name or the label of a monitor and runs none that is known", [step.step, named(step)])
}

# METADATA
# title: That something watches is the author's claim
# custom:
#   code: monitoring.claimed
#   severity: info
#   controls: ["eu-ai-act:72"]
#   mend: "nothing need be done where the author's label is enough; an operator, a command or a list would prove it"
deny contains {"code": "monitoring.claimed", "term": term, "where": step.where, "message": message} if {
	some deploy in deploys
	step := deploy.step
	not watched(step)
	labelled(step)
	term := sprintf("%s %s", [deploy.pipeline, step.step])
	message := sprintf("that %s watches what %s deploys is its author's claim, told by a label", [named(step), step.step])
}

# METADATA
# title: Nothing is deployed, so there is nothing to watch
# custom:
#   code: monitoring.nothing_deployed
#   severity: critical
#   controls: ["eu-ai-act:72"]
#   mend: "name the pipeline that deploys, or say in the policy which of its steps are sensitive"
deny contains {"code": "monitoring.nothing_deployed", "outcome": "INCONCLUSIVE", "term": "pipelines", "where": "", "message": message} if {
	count(deploys) == 0
	message := sprintf("no step of %d pipelines promotes or deploys: this decides nothing", [count(input.pipelines)])
}
