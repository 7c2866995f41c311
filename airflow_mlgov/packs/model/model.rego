# What must be known of a model before it is promoted: licence, intended use, base models, documents. Input: input.model,
# as airflow_mlgov/gates/policy/card.py makes it of the model's card, and input.parameters["mlgov.model"]:
# {licences: […], uses: […], max_age_days: 365}.
package mlgov.model

import rego.v1

asked := object.get(input.parameters, "mlgov.model", {})

model := input.model

max_age := object.get(asked, "max_age_days", 365)

# What nobody has said no to is wanted.
wanted contains "model_card"

wanted contains "dpia" if model.personal_data != false

wanted contains "fria" if model.high_risk != false

held(kind) := [document | some document in model.documents; document.kind == kind]

# METADATA
# title: The model has no licence
# custom:
#   code: licence.missing
#   severity: critical
#   controls: ["iso-42001:A.10.3", "nist-ai-rmf:GOVERN 6.1", "eu-ai-act:11"]
#   mend: "write licence: into the card, as an SPDX identifier"
deny contains {"code": "licence.missing", "term": "licence", "where": model.source, "message": message} if {
	model.licence == ""
	message := sprintf("the card of %s names no licence", [model.name])
}

# METADATA
# title: The licence is none that the policy takes
# custom:
#   code: licence.not_allowed
#   severity: critical
#   controls: ["iso-42001:A.10.3", "nist-ai-rmf:GOVERN 6.1"]
#   mend: "use a model with another licence, or have the policy's parameters: {mlgov.model: {licences: […]}} changed"
deny contains {"code": "licence.not_allowed", "term": term, "where": model.source, "message": message} if {
	allowed := asked.licences
	some held_by in array.concat([{"name": model.name, "licence": model.licence}], model.base_models)
	licence := held_by.licence
	licence != ""
	not licence in allowed
	term := sprintf("%s %s", [held_by.name, licence])
	message := sprintf("%s has the licence %s, and the policy takes %s", [held_by.name, licence, concat(", ", allowed)])
}

# METADATA
# title: Nobody has said what the model is for
# custom:
#   code: use.missing
#   severity: critical
#   controls: ["eu-ai-act:13(3)(b)", "iso-42001:A.9.4", "nist-ai-rmf:MAP 1.1"]
#   mend: "write intended_use: into the card"
deny contains {"code": "use.missing", "term": "intended_use", "where": model.source, "message": message} if {
	count(model.intended_use) == 0
	message := sprintf("the card of %s names no intended use", [model.name])
}

# METADATA
# title: The model is meant for a use that the policy does not know
# custom:
#   code: use.not_allowed
#   severity: critical
#   controls: ["iso-42001:A.9.4", "nist-ai-rmf:MAP 1.1"]
#   mend: "have the use assessed and the policy's parameters: {mlgov.model: {uses: […]}} changed"
deny contains {"code": "use.not_allowed", "term": use, "where": model.source, "message": message} if {
	allowed := asked.uses
	some use in model.intended_use
	not use in allowed
	message := sprintf("%s is meant for %s, which is none of the policy's uses", [model.name, use])
}

# METADATA
# title: Nobody has said whether the model was made from another
# custom:
#   code: base.not_said
#   severity: critical
#   controls: ["iso-42001:A.10.3", "nist-ai-rmf:GOVERN 6.1", "eu-ai-act:25(4)"]
#   mend: "write base_models: into the card; base_models: [] if it was trained from nothing"
deny contains {"code": "base.not_said", "term": "base_models", "where": model.source, "message": message} if {
	model.says_base_models == false
	message := sprintf("the card of %s does not say which models it was made from", [model.name])
}

# METADATA
# title: A base model's origin cannot be traced
# custom:
#   code: base.no_provenance
#   severity: critical
#   controls: ["iso-42001:A.10.3", "iso-42001:A.7.5", "nist-ai-rmf:MANAGE 3.2", "eu-ai-act:25(4)"]
#   mend: "write its source and its sha256 into the card"
deny contains {"code": "base.no_provenance", "term": base.name, "where": base.where, "message": message} if {
	some base in model.base_models
	missing := [part | some part in ["source", "sha256"]; base[part] == ""]
	count(missing) > 0
	message := sprintf("the base model %s is named without its %s", [base.name, concat(" and its ", missing)])
}

# METADATA
# title: A base model has no licence
# custom:
#   code: base.no_licence
#   severity: critical
#   controls: ["iso-42001:A.10.3", "nist-ai-rmf:GOVERN 6.1"]
#   mend: "write its licence into the card, as an SPDX identifier"
deny contains {"code": "base.no_licence", "term": base.name, "where": base.where, "message": message} if {
	some base in model.base_models
	base.licence == ""
	message := sprintf("the base model %s is named without its licence", [base.name])
}

# METADATA
# title: A document that is wanted is not there
# description: a model card; a data protection impact assessment (DPIA) unless the card says that there is no personal data; a fundamental rights impact assessment (FRIA) unless it says that the use is no high risk
# custom:
#   code: document.missing
#   severity: critical
#   controls: ["gdpr:35", "eu-ai-act:27", "eu-ai-act:11", "iso-42001:A.5.3", "ccpa:7150", "nist-ai-rmf:MAP 5.1"]
#   mend: "write it, and list it under documents: in the card with its path and the date of its last review; or say personal_data: false, high_risk: false if that is so"
deny contains {"code": "document.missing", "term": kind, "where": model.source, "message": message} if {
	some kind in wanted
	count(held(kind)) == 0
	message := sprintf("the card of %s lists no document of kind %s", [model.name, kind])
}

# METADATA
# title: A document is not where the card says, or is not the one that was reviewed
# custom:
#   code: document.not_there
#   severity: critical
#   controls: ["gdpr:35", "eu-ai-act:27", "eu-ai-act:18", "iso-42001:A.5.3"]
#   mend: "name the file that is there, relative to the card, with its sha256"
deny contains {"code": "document.not_there", "term": document.kind, "where": document.where, "message": message} if {
	some document in model.documents
	document.problem != ""
	message := sprintf("the document of kind %s cannot be relied on: %s", [document.kind, document.problem])
}

# METADATA
# title: A document has no date of review, or one that cannot be read
# custom:
#   code: document.undated
#   severity: critical
#   controls: ["gdpr:35(11)", "eu-ai-act:27(2)", "iso-42001:A.5.3"]
#   mend: "write reviewed: 2026-01-31 into the card"
deny contains {"code": "document.undated", "term": document.kind, "where": document.where, "message": message} if {
	some document in model.documents
	age := document.age_days
	not is_number(age)
	message := sprintf("the document of kind %s has no date of review that can be read", [document.kind])
}

# METADATA
# title: A document was reviewed too long ago, or will be
# custom:
#   code: document.stale
#   severity: critical
#   controls: ["gdpr:35(11)", "eu-ai-act:27(2)", "iso-42001:A.5.3", "nist-ai-rmf:GOVERN 1.5", "ccpa:7155"]
#   mend: "review it, and write the new date into the card"
deny contains {"code": "document.stale", "term": document.kind, "where": document.where, "message": message} if {
	some document in model.documents
	is_number(document.age_days)
	is_out_of_time(document.age_days)
	message := sprintf("the document of kind %s was reviewed %d days ago, and the policy allows 0 to %v", [document.kind, document.age_days, max_age])
}

is_out_of_time(days) if days > max_age

is_out_of_time(days) if days < 0
