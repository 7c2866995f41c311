# The shipped rules of promotion. Input: see airflow_mlgov/governance/decision.py. Every rule can only deny, and says in
# its METADATA what its reason is called, how it is mended, and whether a policy may have it warn (mildest; none may that
# does not say so). Whoever evaluates them counts them first: a module without a rule must not allow.
package mlgov.promotion

import rego.v1

# What is wrong, less what a break-glass in force overrides.
deny contains reason if {
	some reason in denied
	not reason in excused
}

# The same bytes under another name, in another registry or environment, are another matter.
of_this_model(item) if {
	item.environment == input.request.environment
	item.registry == input.request.registry
	item.name == input.request.model
}

of_data(item) if {
	item.environment == input.request.environment
	item.registry == null
}

about_model contains item if {
	some item in input.evidence
	item.digest == input.request.digest
	of_this_model(item)
}

# What the bytes were made from, and by whom, stays so when a statement of it has run out.
made := [item | some item in about_model; item.kind == "provenance"]

provenance := [item | some item in made; current(item)]

datasets contains dataset.digest if {
	some item in made
	some dataset in item.datasets
}

data_gates contains gate if some gate in input.policy.gates_over_data

# What the provenance lists for a gate over data: data sets, or feature services.
parts(gate) := {part.digest |
	some item in made
	some part in object.get(item, input.policy.listed_as[gate], [])
}

# What each required gate has to be about.
subjects(gate) := parts(gate) if gate in data_gates

subjects(gate) := {input.request.digest} if not gate in data_gates

results(gate, digest) := [item |
	some item in input.evidence
	item.kind == "gate"
	item.gate == gate
	item.digest == digest
	in_scope(gate, item)
	not of_nobody_knows_which_gate(item)
	not asked_what_if(item)
]

# A result that was asked for out of curiosity makes no decision better: none counts in the place of one that does.
asked_what_if(item) if item.purpose == "what_if"

what_ifs(gate, digest) := [item |
	some item in input.evidence
	item.kind == "gate"
	item.gate == gate
	item.digest == digest
	in_scope(gate, item)
	asked_what_if(item)
	count([other | some other in results(gate, digest); other.seq > item.seq]) == 0
]

# In form 1 three gates signed as data_validation. A PASS that names no suite is not the suite's: it passes nothing, and
# hides no FAIL. What is not a PASS still stands against the data.
of_nobody_knows_which_gate(item) if {
	item.gate == "data_validation"
	object.get(item, "form", 1) == 1
	object.get(item, "suite_sha256", null) == null
	item.verdict == "PASS"
}

in_scope(gate, item) if {
	gate in data_gates
	of_data(item)
}

in_scope(gate, item) if {
	not gate in data_gates
	of_this_model(item)
}

newest(gate, digest) := item if {
	found := results(gate, digest)
	top := max([other.seq | some other in found])
	some item in found
	item.seq == top
}

current(item) if {
	item.expires_at_ns > input.now_ns
	item.issued_at_ns <= input.now_ns + 300000000000
}

fresh(item) if {
	current(item)
	input.now_ns - item.issued_at_ns <= input.policy.max_age_ns
}

# METADATA
# title: A required gate has not judged these bytes
# custom:
#   code: evidence.missing
#   severity: critical
#   controls: ["eu-ai-act:12", "iso-42001:A.6.2.8"]
#   mend: "run the gate over this version (a gate over data: over each data set that the provenance names) in this environment"
denied contains {"code": "evidence.missing", "message": message} if {
	some gate in input.policy.requires
	some digest in subjects(gate)
	count(results(gate, digest)) == 0
	message := sprintf("no verified evidence of the gate %s for sha256:%s in environment %s", [gate, substring(digest, 0, 12), input.request.environment])
}

# METADATA
# title: The newest result of a required gate is not PASS
# custom:
#   code: gate.not_passed
#   severity: critical
#   controls: ["eu-ai-act:15(1)", "iso-42001:A.6.2.4", "nist-ai-rmf:MEASURE 2.5"]
#   mend: "mend what the failed checks name and run the gate again, or ask for a waiver"
denied contains {"code": "gate.not_passed", "message": message} if {
	some gate in input.policy.requires
	some digest in subjects(gate)
	item := newest(gate, digest)
	item.verdict != "PASS"
	not all_waived(gate, digest, item)
	failed := concat(", ", [check.name | some check in item.checks; check.severity == "critical"; check.outcome != "PASS"])
	message := sprintf("the newest evidence of the gate %s is %s (ledger:%d): %s", [gate, item.verdict, item.seq, failed])
}

# METADATA
# title: The newest result of a required gate is not PASS
# description: a what-if hides nothing, and where its values fail the policy, it denies as any result does
# custom:
#   code: gate.not_passed
#   severity: critical
#   controls: ["eu-ai-act:15(1)", "iso-42001:A.6.2.4", "nist-ai-rmf:MEASURE 2.5"]
#   mend: "mend what the failed checks name and run the gate again, or ask for a waiver"
denied contains {"code": "gate.not_passed", "message": message} if {
	some gate in input.policy.requires
	some digest in subjects(gate)
	some item in what_ifs(gate, digest)
	names := [check.name | some check in item.failing; not covered(gate, digest, check)]
	count(names) > 0
	message := sprintf("a what-if of the gate %s (ledger:%d) has values that fail the policy: %s", [gate, item.seq, concat(", ", names)])
}

# METADATA
# title: The newest result of a required gate is too old
# custom:
#   code: evidence.stale
#   severity: critical
#   controls: ["eu-ai-act:12", "iso-42001:A.6.2.8"]
#   mend: "run the gate again"
denied contains {"code": "evidence.stale", "message": message} if {
	some gate in input.policy.requires
	some digest in subjects(gate)
	item := newest(gate, digest)
	not fresh(item)
	message := sprintf("the evidence of the gate %s (ledger:%d) is expired or older than the policy allows; run the gate again", [gate, item.seq])
}

# METADATA
# title: Nobody has signed what these bytes were made from
# custom:
#   code: provenance.missing
#   severity: critical
#   controls: ["eu-ai-act:12", "iso-42001:A.7.5"]
#   mend: "register the version with RegisterModelOperator"
denied contains {"code": "provenance.missing", "message": message} if {
	count(provenance) == 0
	message := sprintf("no verified provenance for sha256:%s: register the version with RegisterModelOperator", [substring(input.request.digest, 0, 12)])
}

# METADATA
# title: The provenance names nothing of what a required gate over data judges
# custom:
#   code: provenance.no_datasets
#   severity: critical
#   controls: ["eu-ai-act:12", "iso-42001:A.7.5"]
#   mend: "register the version with datasets=[...], or feature_services=[...] for that gate"
denied contains {"code": "provenance.no_datasets", "message": message} if {
	some gate in input.policy.requires
	gate in data_gates
	count(provenance) > 0
	count(parts(gate)) == 0
	listed := input.policy.listed_as[gate]
	message := sprintf("the provenance lists no %s, so evidence of %s cannot count: pass %s=[...] when registering", [replace(listed, "_", " "), gate, listed])
}

# METADATA
# title: The gate was not held to a bound of the policy
# description: what the gate was held against must not be looser than the policy
# custom:
#   code: bound.not_checked
#   severity: critical
#   controls: ["eu-ai-act:15(1)", "iso-42001:A.6.2.4", "nist-ai-rmf:MEASURE 2.5"]
#   mend: "run the gate with the policy's bounds"
denied contains {"code": "bound.not_checked", "message": message} if {
	some bound in input.policy.bounds
	bound.gate in input.policy.requires
	item := newest(bound.gate, input.request.digest)
	count([check | some check in item.checks; check.name == bound.check]) == 0
	message := sprintf("the evidence of the gate %s (ledger:%d) has no check %s, which the policy demands", [bound.gate, item.seq, bound.check])
}

# METADATA
# title: A measured value does not meet the policy's bound
# custom:
#   code: bound.not_met
#   severity: critical
#   controls: ["eu-ai-act:15(1)", "iso-42001:A.6.2.4", "nist-ai-rmf:MEASURE 2.5"]
#   mend: "train a better model, or ask for a waiver; a bound is loosened in the policy alone"
denied contains {"code": "bound.not_met", "message": message} if {
	some bound in input.policy.bounds
	bound.gate in input.policy.requires
	item := newest(bound.gate, input.request.digest)
	some check in item.checks
	check.name == bound.check
	not meets(check, bound)
	gate := bound.gate
	digest := input.request.digest
	not covered(gate, digest, check)
	message := sprintf("%s = %v of the gate %s (ledger:%d) does not meet the policy's %s", [bound.check, check.observed, bound.gate, item.seq, bound.text])
}

meets(_, bound) if bound.severity != "critical"

# The first version of a model has no champion to compare with. The registry says whether there is one, not the gate.
meets(_, bound) if {
	bound.relative
	input.request.champion == null
}

meets(check, bound) if {
	is_number(check.observed)
	above(check.observed, bound.min)
	below(check.observed, bound.max)
}

above(_, least) if least == null

above(observed, least) if {
	is_number(least)
	observed >= least
}

below(_, most) if most == null

below(observed, most) if {
	is_number(most)
	observed <= most
}

# METADATA
# title: The gate was run over another suite or pipeline than the policy's
# custom:
#   code: suite.differs
#   severity: critical
#   controls: ["eu-ai-act:10(2)", "iso-42001:A.7.4"]
#   mend: "run the gate with the file that the policy names, as it is now"
denied contains {"code": "suite.differs", "message": message} if {
	some gate, suite in input.policy.suites
	gate in input.policy.requires
	some digest in subjects(gate)
	item := newest(gate, digest)
	object.get(item, "suite_sha256", null) != suite
	message := sprintf("the gate %s (ledger:%d) was run over another file than the policy's", [gate, item.seq])
}

# METADATA
# title: The model was judged on other data than the policy's
# custom:
#   code: data.other
#   severity: critical
#   controls: ["eu-ai-act:15(1)", "iso-42001:A.6.2.4"]
#   mend: "run the gate on the evaluation data that the policy names"
denied contains {"code": "data.other", "message": message} if {
	some gate, wanted in object.get(input.policy, "evaluation_data", {})
	gate in input.policy.requires
	item := newest(gate, input.request.digest)
	not judged_on(item, wanted)
	message := sprintf("the gate %s (ledger:%d) has judged the model on other data than the policy's %v", [gate, item.seq, [value | some value in wanted][0]])
}

judged_on(item, wanted) if item.judged_on.digest == wanted.digest

judged_on(item, wanted) if item.judged_on.rows_digest == wanted.digest

judged_on(item, wanted) if item.judged_on.name == wanted.table

judged_on(item, wanted) if item.judged_on.name == wanted.query

# METADATA
# title: Evidence of others is not what the policy takes
# description: another predicate, signed by another key, or read at another place
# custom:
#   code: external.other
#   severity: critical
#   controls: ["eu-ai-act:15(1)", "iso-42001:A.6.2.4"]
#   mend: "add the statement that the policy describes: `mlgov ledger add`"
denied contains {"code": "external.other", "message": message} if {
	some gate, wanted in object.get(input.policy, "external", {})
	gate in input.policy.requires
	item := newest(gate, input.request.digest)
	not as_wanted(item, wanted)
	message := sprintf("the evidence %s (ledger:%d) is not of the predicate, the key or the rules that the policy takes", [gate, item.seq])
}

as_wanted(item, wanted) if {
	item.external.predicateType == wanted.predicate
	item.external.key in wanted.signed_by
	count([check |
		some check in item.checks
		object.get(wanted.pointers, check.name, null) != check.values.pointer
	]) == 0
}

# METADATA
# title: The newest result of a required gate is too old
# description: evidence of others is as old as its first entry; to add it again makes it no younger
# custom:
#   code: evidence.stale
#   severity: critical
#   controls: ["eu-ai-act:12", "iso-42001:A.6.2.8"]
#   mend: "run the gate again"
denied contains {"code": "evidence.stale", "message": message} if {
	some gate, wanted in object.get(input.policy, "external", {})
	gate in input.policy.requires
	item := newest(gate, input.request.digest)
	added := input.external[item.external.sha256]
	input.now_ns - added > wanted.max_age_ns
	message := sprintf("the evidence %s (ledger:%d) was first added longer ago than the policy allows", [gate, item.seq])
}

needed contains item.sha256 if {
	some gate in input.policy.requires
	some digest in subjects(gate)
	item := newest(gate, digest)
}

needed contains item.sha256 if {
	some use in waived
	some item in signatures
	item.terms_sha256 == use.waiver
}

excluded contains name if {
	"requester" in input.policy.approvals.not
	some name in input.request.requesters
}

excluded contains name if {
	"trainer" in input.policy.approvals.not
	some item in made
	some name in item.trainers
}

# An answer in one's own run stays one's own in the run of another.
own(item) if {
	"requester" in input.policy.approvals.not
	item.approver in item.requesters
}

all_answers contains item if {
	some item in about_model
	item.kind == "approval"
	item.target == input.request.target
}

answers contains item if {
	some item in all_answers
	fresh(item)
}

# Allowed is the very account that the policy names; its id too, if the policy says one. Names are folded to count people
# once and to keep somebody out, never to let somebody in.
listed(people, account) if {
	account.name in people
	object.get(object.get(input.policy, "accounts", {}), account.name, account.id) == account.id
}

by_approver(item) if listed(input.policy.approvals.from, account_of(item, "approver"))

# The roles that somebody had in Airflow are signed with the answer.
by_approver(item) if {
	some role in object.get(input.policy.approvals, "roles", [])
	role in object.get(item, "roles", [])
	account := account_of(item, "approver")
	object.get(object.get(input.policy, "accounts", {}), account.name, account.id) == account.id
}

# Decisions that were made before accounts were recorded, made again, have the folded name alone.
account_of(item, _) := item.account if item.account

account_of(item, who) := {"name": item[who], "id": item[who]} if not item.account

# A person's newest answer counts, and only if it was given on the evidence that now stands.
counted contains item.approver if {
	some item in answers
	item.answer == "approved"
	by_approver(item)
	approver := item.approver
	not approver in excluded
	not own(item)
	count(needed - {sha | some sha in item.shown}) == 0
	count([other | some other in answers; by_approver(other); other.approver == item.approver; other.seq > item.seq]) == 0
}

# METADATA
# title: Too few people have approved the evidence that now stands
# custom:
#   code: approval.missing
#   severity: critical
#   controls: ["eu-ai-act:14", "iso-42001:A.3.2", "nist-ai-rmf:GOVERN 2.1"]
#   mend: "have those whom the policy names answer the approval again"
denied contains {"code": "approval.missing", "message": message} if {
	count(counted) < input.policy.approvals.count
	message := sprintf("%d of %d approvals: nobody else who may approve has approved the evidence that now stands", [count(counted), input.policy.approvals.count])
}

# METADATA
# title: Somebody has approved who may not
# custom:
#   code: approval.not_allowed
#   severity: critical
#   controls: ["eu-ai-act:14", "iso-42001:A.3.2", "nist-ai-rmf:GOVERN 2.1"]
#   mend: "have somebody approve who has neither trained the model nor asked for its promotion"
denied contains {"code": "approval.not_allowed", "message": message} if {
	some item in answers
	item.answer == "approved"
	barred(item)
	count(counted) < input.policy.approvals.count
	message := sprintf("the approval by %s (ledger:%d) does not count: trainer and requester may not approve", [item.approver, item.seq])
}

barred(item) if item.approver in excluded

barred(item) if own(item)

# METADATA
# title: Somebody who may approve has rejected
# custom:
#   code: approval.rejected
#   severity: critical
#   controls: ["eu-ai-act:14", "iso-42001:A.3.2", "nist-ai-rmf:GOVERN 2.1"]
#   mend: "speak with that person; their newer answer counts"
denied contains {"code": "approval.rejected", "message": message} if {
	some item in all_answers
	item.answer == "rejected"
	by_approver(item)
	count([other | some other in all_answers; by_approver(other); other.approver == item.approver; other.seq > item.seq]) == 0
	message := sprintf("%s rejected it: ledger:%d says why", [item.approver, item.seq])
}

# METADATA
# title: A statement about these bytes does not verify
# custom:
#   code: evidence.unverified
#   severity: critical
#   controls: ["eu-ai-act:12", "iso-42001:A.6.2.8"]
#   mend: "find out who wrote it. If it is nothing: put back the key it was signed with, with its end (`mlgov trust`), or set it aside with `mlgov ledger quarantine`; no exception excuses it"
denied contains {"code": "evidence.unverified", "message": message} if {
	some item in input.unverified
	message := sprintf("ledger:%d (%s) does not verify: %s. If it never did, `mlgov ledger quarantine %d` sets it aside", [item.seq, item.kind, item.problem, item.seq])
}

# METADATA
# title: The audit that was owed has failed, or was not done in time
# description: "nothing excuses it: neither another waiver nor a glass that is broken again"
# custom:
#   code: obligation.failed
#   severity: critical
#   controls: ["eu-ai-act:72", "iso-42001:A.6.2.6", "nist-ai-rmf:MANAGE 4.1"]
#   mend: "promote a better version, or pass the audit on live data; no exception excuses it"
denied contains {"code": "obligation.failed", "message": message} if {
	some owed in input.obligations
	owed.broken
	message := sprintf("the audit %s that is owed for these bytes at %s (%s) is %s: no exception excuses that", [owed.id, owed.target, owed.promotion, owed.state])
}

# METADATA
# title: The audit that was owed has failed, or was not done in time
# description: an exception that has run out, or was taken back when its audit was late, is not made anew before the audit has passed
# custom:
#   code: obligation.failed
#   severity: critical
#   controls: ["eu-ai-act:72", "iso-42001:A.6.2.6", "nist-ai-rmf:MANAGE 4.1"]
#   mend: "promote a better version, or pass the audit on live data; no exception excuses it"
denied contains {"code": "obligation.failed", "message": message} if {
	some owed in input.obligations
	over(owed)
	not owed.audited
	made_anew(owed)
	message := sprintf("the exception behind the audit %s that is owed for these bytes at %s (%s) is %s: it is not made anew before the audit has passed", [owed.id, owed.target, owed.promotion, owed.state])
}

# METADATA
# title: The audit that was owed has failed, or was not done in time
# description: what is trained anew, or written out once more, takes no exception over whose audit is late
# custom:
#   code: obligation.failed
#   severity: critical
#   controls: ["eu-ai-act:72", "iso-42001:A.6.2.6", "nist-ai-rmf:MANAGE 4.1"]
#   mend: "promote a better version, or pass the audit on live data; no exception excuses it"
denied contains {"code": "obligation.failed", "message": message} if {
	some owed in object.get(input, "promises", [])
	owed.late
	made_anew(owed)
	message := sprintf("version %s was let go at %s by such an exception (%s), and its audit, due %s, was not made: no other version takes that exception over before it is", [owed.version, input.request.target, owed.promotion, owed.due])
}

over(owed) if owed.state == "expired"

# To take an exception back does not make its audit punctual.
over(owed) if {
	owed.state == "revoked"
	owed.late
}

made_anew(owed) if {
	owed.kind == "emergency"
	count(emergencies) > 0
}

made_anew(owed) if {
	owed.kind == "waiver"
	some use in waived
	use.gate == owed.gate
	use.check == owed.check
}

# METADATA
# title: There would be no version to roll back to
# custom:
#   code: rollback.missing
#   severity: critical
#   mildest: warn
#   controls: ["nist-ai-rmf:MANAGE 2.4"]
#   mend: "have an earlier version hold, or promote one that does"
denied contains {"code": "rollback.missing", "message": message} if {
	input.policy.rollback_required
	is_string(input.request.rollback_problem)
	message := sprintf("the policy requires a version to roll back to, and version %s does not hold: %s", [input.request.champion, input.request.rollback_problem])
}

# METADATA
# title: Nobody has looked in time at how the model does in production
# description: a new model is no reason to stop looking at the one that serves; the time begins with the first promotion
# custom:
#   code: monitoring.missing
#   severity: critical
#   mildest: warn
#   controls: ["eu-ai-act:72", "iso-42001:A.6.2.6", "nist-ai-rmf:MANAGE 4.1"]
#   mend: "run MonitorModelOperator over live data of the version that serves, on a schedule"
denied contains {"code": "monitoring.missing", "message": message} if {
	watch := object.get(input.policy, "monitoring", null)
	is_object(watch)
	since := input.request.serving_since_ns
	is_number(since)
	input.now_ns - since > watch.grace_ns
	some gate in watch.gates
	count([item | some item in input.request.live; item.gate == gate; in_time(item, watch)]) == 0
	message := sprintf("the gate %s has not judged live data of %s at %s within %d days", [gate, input.request.model, input.request.target, round(watch.within_ns / 86400000000000)])
}

in_time(item, watch) if {
	input.now_ns - item.issued_at_ns <= watch.within_ns
	item.issued_at_ns <= input.now_ns + 300000000000
}

# METADATA
# title: The comparison was made with a champion of before
# custom:
#   code: comparison.stale
#   severity: critical
#   mildest: warn
#   controls: ["eu-ai-act:15(1)", "iso-42001:A.6.2.4"]
#   mend: "run the gate again, with the champion of now as its baseline"
denied contains {"code": "comparison.stale", "message": message} if {
	some bound in input.policy.bounds
	bound.relative
	bound.gate in input.policy.requires
	is_string(input.request.champion)
	is_number(input.request.champion_since)
	item := newest(bound.gate, input.request.digest)
	item.seq < input.request.champion_since
	message := sprintf("version %s became the champion (ledger:%d) after %s was compared with the one before (ledger:%d): run the gate %s again", [input.request.champion, input.request.champion_since, bound.check, item.seq, bound.gate])
}

# METADATA
# title: Production was rolled back from this version and no gate has judged it since
# description: gates over data are about the data, which a rollback says nothing of
# custom:
#   code: promotion.withdrawn
#   severity: critical
#   controls: ["nist-ai-rmf:MANAGE 2.4"]
#   mend: "run the required gates over the version again"
denied contains {"code": "promotion.withdrawn", "message": message} if {
	is_number(input.request.withdrawn_at)
	some gate in input.policy.requires
	not gate in data_gates
	item := newest(gate, input.request.digest)
	item.seq < input.request.withdrawn_at
	message := sprintf("production was rolled back from this version (ledger:%d); the gate %s has not judged it since (ledger:%d)", [input.request.withdrawn_at, gate, item.seq])
}

# METADATA
# title: The gate was tried too often
# custom:
#   code: tries.exceeded
#   severity: critical
#   mildest: warn
#   controls: ["iso-42001:A.6.2.4"]
#   mend: "hold out fresh data if many models were judged on the same; train a new model if one was judged on many; let the policy name row_id, because without it data with the same labels counts as the same"
denied contains {"code": "tries.exceeded", "message": message} if {
	some tried in input.tries
	most := input.policy.max_tries[tried.gate].same_data
	is_number(most)
	tried.models > most
	message := sprintf("the gate %s has judged %d different models on the same evaluation data, and the policy allows %d: hold out fresh data", [tried.gate, tried.models, most])
}

# METADATA
# title: The gate was tried too often
# custom:
#   code: tries.exceeded
#   severity: critical
#   mildest: warn
#   controls: ["iso-42001:A.6.2.4"]
#   mend: "hold out fresh data if many models were judged on the same; train a new model if one was judged on many; let the policy name row_id, because without it data with the same labels counts as the same"
denied contains {"code": "tries.exceeded", "message": message} if {
	some tried in input.tries
	most := input.policy.max_tries[tried.gate].same_model
	is_number(most)
	tried.datasets > most
	message := sprintf("the gate %s has judged this model on %d different evaluation data, and the policy allows %d: a new try needs a new model", [tried.gate, tried.datasets, most])
}

# METADATA
# title: A check over the data that the policy demands was not made
# description: a caller may tighten the policy's checks over the data; none may be left out or changed
# custom:
#   code: data.not_checked
#   severity: critical
#   controls: ["eu-ai-act:10(2)", "iso-42001:A.7.4"]
#   mend: "run the gate with the checks of the policy"
denied contains {"code": "data.not_checked", "message": message} if {
	"data_validation" in input.policy.requires
	some digest in datasets
	item := newest("data_validation", digest)
	some kind, settings in input.policy.dataset_checks
	some key, _ in settings
	not was_applied(item, kind, key)
	message := sprintf("the policy's %s check over the data was not made with its %s (ledger:%d)", [kind, key, item.seq])
}

was_applied(item, kind, key) if item.dataset_checks[kind][key] == input.policy.dataset_checks[kind][key]

was_applied(item, "drift", key) if {
	asked := input.policy.dataset_checks.drift[key]
	made := item.dataset_checks.drift[key]
	made.max <= asked.max
	object.get(made, "severity", "critical") in {"critical", object.get(asked, "severity", "critical")}
}

# METADATA
# title: The gate was run with looser settings than the policy's
# description: nor may a gate have been made easier to pass than the policy says
# custom:
#   code: settings.looser
#   severity: critical
#   controls: ["eu-ai-act:15(1)", "iso-42001:A.6.2.4"]
#   mend: "run the gate with the policy's settings"
denied contains {"code": "settings.looser", "message": message} if {
	some setting in input.policy.settings
	setting.gate in input.policy.requires
	item := newest(setting.gate, input.request.digest)
	not as_strict(item, setting)
	message := sprintf("the gate %s (ledger:%d) was run with a looser %s than the policy's %v", [setting.gate, item.seq, setting.name, setting.text])
}

# METADATA
# title: The gate was run with another setting than the policy's
# description: what changes the estimate itself, such as the rows' weights, is what the policy says, or not there
# custom:
#   code: settings.other
#   severity: critical
#   controls: ["eu-ai-act:15(1)", "iso-42001:A.6.2.4"]
#   mend: "run the gate with the policy's settings"
denied contains {"code": "settings.other", "message": message} if {
	some setting in input.policy.fixed_settings
	setting.gate in input.policy.requires
	item := newest(setting.gate, input.request.digest)
	used := object.get(item.settings, setting.name, null)
	used != setting.value
	message := sprintf("the gate %s (ledger:%d) was run with %s %v, and the policy says %v", [setting.gate, item.seq, setting.name, used, setting.value])
}

as_strict(item, setting) if {
	setting.stricter == "more"
	is_number(item.settings[setting.name])
	item.settings[setting.name] >= setting.value
}

as_strict(item, setting) if {
	setting.stricter == "less"
	is_number(item.settings[setting.name])
	item.settings[setting.name] <= setting.value
}

# Waivers: a failed check of this model may pass as waived, never as passed, while enough people have signed for it.
signatures contains item if {
	some item in about_model
	item.kind == "waiver"
	item.state == "signed"
	item.terms.target == input.request.target
	terms_sha256 := item.terms_sha256
	not terms_sha256 in revoked
	item.terms.expires_ns > input.now_ns
	item.terms.expires_ns <= item.issued_at_ns + input.policy.waivers.max_ns
	current(item)
	listed(input.policy.waivers.from, account_of(item, "signer"))
	signer := item.signer
	people := concerned(item)
	not signer in people
}

revoked contains item.terms_sha256 if {
	some item in about_model
	item.kind == "waiver"
	item.state == "revoked"
}

# Who made the model or wants it moved does not sign the exception for it.
concerned(item) := {name | some name in item.terms.requesters} | {name | some name in input.request.requesters} | {name |
	some origin in made
	some name in origin.trainers
}

in_force contains item if {
	some item in signatures
	count({other.signer | some other in signatures; other.terms_sha256 == item.terms_sha256}) >= input.policy.waivers.signers
}

# Also one whose interval straddles its bound; what has no value is never covered.
covering(gate, digest, check) := {item.terms_sha256 |
	check.outcome in {"FAIL", "INCONCLUSIVE"}
	is_number(check.observed)
	some item in in_force
	bounded(item.terms)
	item.terms.gate == gate
	item.terms.check == check.name
	is_for(item.terms, gate, digest)
	was_measured(item.terms, digest)
	within_reach(item.terms)
	above(check.observed, low_end(item.terms, check))
	below(check.observed, high_end(item.terms, check))
}

bounded(terms) if is_number(terms.min)

bounded(terms) if is_number(terms.max)

# A waiver is for what the check has judged: this model, or the one data set. Terms that were signed before they said so
# are for the model, or for its data where it has one set alone.
is_for(terms, _, digest) if terms.subject == digest

is_for(terms, gate, _) if {
	object.get(terms, "subject", null) == null
	not gate in data_gates
}

is_for(terms, gate, digest) if {
	object.get(terms, "subject", null) == null
	gate in data_gates
	parts(gate) == {digest}
}

was_measured(terms, digest) if {
	some item in input.evidence
	item.kind == "gate"
	item.gate == terms.gate
	item.digest == digest
	some check in item.checks
	check.name == terms.check
	check.observed == terms.observed
}

# The bound lies in the metric's range, and no further from what was measured than the policy allows.
within_reach(terms) if {
	every end in [terms.min, terms.max] {
		reached(terms, end)
	}
}

reached(_, end) if end == null

reached(terms, end) if {
	is_number(end)
	above(end, terms.range[0])
	below(end, terms.range[1])
	abs(end - terms.observed) <= reach(terms.observed) + (0.000000001 * max([1, abs(terms.observed)]))
}

max_stretch := object.get(input, ["policy", "waivers", "max_stretch"], null)

reach(_) := max_stretch if is_number(max_stretch)

reach(observed) := abs(observed) if max_stretch == null

# A side that is not stretched is held to what the check was held to.
low_end(terms, _) := terms.min if is_number(terms.min)

low_end(terms, check) := object.get(as_object(check.bound), "min", null) if terms.min == null

high_end(terms, _) := terms.max if is_number(terms.max)

high_end(terms, check) := object.get(as_object(check.bound), "max", null) if terms.max == null

as_object(bound) := bound if is_object(bound)

as_object(bound) := {} if not is_object(bound)

covered(gate, digest, check) if count(covering(gate, digest, check)) > 0

all_waived(gate, digest, item) if {
	item.verdict in {"FAIL", "INCONCLUSIVE"}
	bad := [check | some check in item.checks; check.severity == "critical"; check.outcome != "PASS"]
	count(bad) > 0
	count([check | some check in bad; not covered(gate, digest, check)]) == 0
}

waived contains {"gate": gate, "check": check.name, "observed": check.observed, "waiver": waiver} if {
	some gate in input.policy.requires
	some digest in subjects(gate)
	some check in newest(gate, digest).checks
	some waiver in covering(gate, digest, check)
}

# Break-glass: what verification itself found wrong, a person's rejection, and where the model comes from stay.
excusable := {
	"evidence.missing", "evidence.stale", "gate.not_passed", "bound.not_checked", "bound.not_met", "suite.differs",
	"data.not_checked", "data.other", "settings.looser", "settings.other", "approval.missing", "approval.not_allowed", "comparison.stale", "tries.exceeded", "promotion.withdrawn",
	"rollback.missing", "monitoring.missing",
}

emergencies contains item if {
	some item in about_model
	item.kind == "emergency"
	item.target == input.request.target
	item.expires_ns > input.now_ns
	item.expires_ns <= item.issued_at_ns + input.policy.break_glass.max_ns
	item.issued_at_ns <= input.now_ns + 300000000000
	listed(input.policy.break_glass.from, account_of(item, "person"))
}

broken_by contains item.sha256 if some item in emergencies

excused contains reason if {
	count(emergencies) > 0
	some reason in denied
	reason.code in excusable
}
