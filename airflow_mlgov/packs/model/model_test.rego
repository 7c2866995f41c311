package mlgov.model_test

import data.mlgov.model
import rego.v1

document(kind, days) := {"kind": kind, "where": "card.yaml:9", "problem": "", "age_days": days}

good := {
	"name": "credit", "source": "card.yaml", "licence": "Apache-2.0", "intended_use": ["credit scoring"],
	"says_base_models": true,
	"base_models": [{"name": "b", "where": "card.yaml:5", "source": "hub", "sha256": "ab", "licence": "MIT"}],
	"personal_data": true, "high_risk": true,
	"documents": [document("model_card", 3), document("dpia", 365), document("fria", 0)],
}

with_change(change) := {"parameters": {}, "model": object.union(good, change)}

with_parameters(said) := {"parameters": {"mlgov.model": said}, "model": good}

codes(found) := {item.code | some item in found}

test_a_card_with_everything if {
	found := model.deny with input as with_change({})
	count(found) == 0
}

test_no_licence if {
	found := model.deny with input as with_change({"licence": ""})
	codes(found) == {"licence.missing"}
}

test_a_licence_that_the_policy_takes if {
	found := model.deny with input as with_parameters({"licences": ["Apache-2.0", "MIT"]})
	count(found) == 0
}

test_a_base_models_licence_that_the_policy_does_not_take if {
	found := model.deny with input as with_parameters({"licences": ["Apache-2.0"]})
	codes(found) == {"licence.not_allowed"}
	some item in found
	item.term == "b MIT"
}

test_no_use if {
	found := model.deny with input as with_change({"intended_use": []})
	codes(found) == {"use.missing"}
}

test_a_use_that_the_policy_knows if {
	found := model.deny with input as with_parameters({"uses": ["credit scoring"]})
	count(found) == 0
}

test_a_use_that_the_policy_does_not_know if {
	found := model.deny with input as with_parameters({"uses": ["marketing"]})
	codes(found) == {"use.not_allowed"}
}

test_base_models_are_not_said if {
	found := model.deny with input as with_change({"says_base_models": false, "base_models": []})
	codes(found) == {"base.not_said"}
}

test_trained_from_nothing if {
	found := model.deny with input as with_change({"base_models": []})
	count(found) == 0
}

test_a_base_model_without_a_digest if {
	base := {"name": "b", "where": "card.yaml:5", "source": "hub", "sha256": "", "licence": "MIT"}
	found := model.deny with input as with_change({"base_models": [base]})
	codes(found) == {"base.no_provenance"}
}

test_a_base_model_without_a_licence if {
	base := {"name": "b", "where": "card.yaml:5", "source": "hub", "sha256": "ab", "licence": ""}
	found := model.deny with input as with_change({"base_models": [base]})
	codes(found) == {"base.no_licence"}
}

test_a_document_that_is_not_there if {
	found := model.deny with input as with_change({"documents": [document("model_card", 3), document("fria", 3)]})
	codes(found) == {"document.missing"}
	some item in found
	item.term == "dpia"
}

test_no_impact_assessment_where_the_card_says_that_none_is_needed if {
	found := model.deny with input as with_change({"personal_data": false, "high_risk": false, "documents": [document("model_card", 3)]})
	count(found) == 0
}

test_what_the_card_does_not_say_is_wanted if {
	found := model.deny with input as with_change({"personal_data": null, "high_risk": null, "documents": [document("model_card", 3)]})
	{item.term | some item in found} == {"dpia", "fria"}
}

test_a_card_alone_is_wanted_too if {
	found := model.deny with input as with_change({"personal_data": false, "high_risk": false, "documents": []})
	{item.term | some item in found} == {"model_card"}
}

test_a_document_that_is_another if {
	bad := object.union(document("fria", 3), {"problem": "its sha256 is another"})
	found := model.deny with input as with_change({"documents": [document("model_card", 3), document("dpia", 3), bad]})
	codes(found) == {"document.not_there"}
}

test_a_document_without_a_date if {
	found := model.deny with input as with_change({"documents": [document("model_card", 3), document("dpia", null), document("fria", 3)]})
	codes(found) == {"document.undated"}
}

test_a_document_that_is_too_old if {
	found := model.deny with input as with_change({"documents": [document("model_card", 3), document("dpia", 366), document("fria", 3)]})
	codes(found) == {"document.stale"}
}

test_a_date_that_lies_ahead if {
	found := model.deny with input as with_change({"documents": [document("model_card", 3), document("dpia", -1), document("fria", 3)]})
	codes(found) == {"document.stale"}
}

test_the_policy_says_how_old if {
	asked := {"parameters": {"mlgov.model": {"max_age_days": 30}}, "model": good}
	found := model.deny with input as asked
	codes(found) == {"document.stale"}
}
