package mlgov.pii_test

import data.mlgov.pii
import rego.v1

plain := {"checked": 100, "hashed": false, "kinds": [], "plain_of": [], "encoded": ""}

hashed := object.union(plain, {"hashed": true})

feature(said, values) := {
	"name": "f", "view": "v", "kind": "feature", "said": said, "tags": {}, "where": "features.yaml:3", "values": values,
}

asked(one) := {"parameters": {}, "features": [one]}

codes(found) := {item.code | some item in found}

test_what_is_not_personal if {
	found := pii.deny with input as asked(feature(" loan amount ", plain))
	count(found) == 0
}

test_a_hashed_mail if {
	found := pii.deny with input as asked(feature(" email hash ", hashed))
	count(found) == 0
}

test_a_name_that_says_personal if {
	found := pii.deny with input as asked(feature(" customer email ", plain))
	codes(found) == {"pii.by_name"}
	some item in found
	item.term == "v:f"
}

test_a_name_without_signs_between_its_words if {
	found := pii.deny with input as asked(feature(" custemailaddr ", plain))
	codes(found) == {"pii.by_name"}
}

test_a_join_key_in_another_language if {
	found := pii.deny with input as asked(object.union(feature(" geburtsdatum ", plain), {"kind": "join key", "view": ""}))
	codes(found) == {"pii.by_name"}
	some item in found
	item.term == "f"
}

test_a_count_of_mails_is_no_mail if {
	found := pii.deny with input as asked(feature(" email count ", plain))
	count(found) == 0
}

test_a_count_of_phonenumbers_is_none if {
	found := pii.deny with input as asked(feature(" phonenumber count ", plain))
	count(found) == 0
}

test_a_name_that_the_policy_says_means_nothing if {
	one := object.union(feature(" company email ", plain), {"name": "company_email"})
	found := pii.deny with input as {"parameters": {"mlgov.pii": {"not_personal": ["v:company_email"]}}, "features": [one]}
	count(found) == 0
}

test_a_name_in_one_word_that_the_policy_says_means_nothing if {
	one := object.union(feature(" companyemail ", plain), {"name": "companyemail"})
	found := pii.deny with input as {"parameters": {"mlgov.pii": {"not_personal": ["companyemail"]}}, "features": [one]}
	count(found) == 0
}

test_tags_that_say_it_in_other_words if {
	every tags in [{"contains-pii": ["yes"]}, {"data.pii": ["1"]}, {"classification": [" PII "]}, {"class": ["Personal Data"]}] {
		found := pii.deny with input as asked(object.union(feature(" x ", plain), {"tags": tags}))
		codes(found) == {"pii.by_tag"}
	}
}

test_tags_that_say_that_it_is_none if {
	every tags in [{"non_pii": ["true"]}, {"no-pii": ["yes"]}, {"contains_pii": ["No"]}, {"classification": ["public"]}] {
		found := pii.deny with input as asked(object.union(feature(" x ", plain), {"tags": tags}))
		count(found) == 0
	}
}

test_a_tag if {
	found := pii.deny with input as asked(object.union(feature(" x ", plain), {"tags": {"PII": ["True"]}}))
	codes(found) == {"pii.by_tag"}
}

test_a_tag_that_says_no_excuses_no_name if {
	found := pii.deny with input as asked(object.union(feature(" email ", plain), {"tags": {"pii": ["false"]}}))
	codes(found) == {"pii.by_name"}
}

test_a_tagged_feature_that_is_hashed if {
	found := pii.deny with input as asked(object.union(feature(" x ", hashed), {"tags": {"pii": ["true"]}}))
	count(found) == 0
}

test_values_that_are_mails if {
	values := object.union(plain, {"kinds": [{"kind": "e-mail addresses", "rows": 97, "share": 0.97}]})
	found := pii.deny with input as asked(feature(" x7 ", values))
	codes(found) == {"pii.in_values"}
}

test_a_hash_of_another_column if {
	values := object.union(hashed, {"plain_of": [{"column": "email", "by": "sha256"}]})
	found := pii.deny with input as asked(feature(" email hash ", values))
	codes(found) == {"pii.hash_of_a_column"}
}

test_hex_of_plain_text if {
	found := pii.deny with input as asked(feature(" x ", object.union(plain, {"encoded": "hex"})))
	codes(found) == {"pii.encoded"}
}

test_a_name_that_says_hashed_and_nobody_has_looked if {
	found := pii.deny with input as asked(feature(" email sha256 ", null))
	codes(found) == {"pii.hash_not_seen"}
}

test_a_tag_that_says_personal_a_name_that_says_hashed_and_nobody_has_looked if {
	found := pii.deny with input as asked(object.union(feature(" x token ", null), {"tags": {"pii": ["yes"]}}))
	codes(found) == {"pii.hash_not_seen"}
}

test_nobody_has_looked if {
	found := pii.deny with input as asked(feature(" loan amount ", null))
	codes(found) == {"pii.values_not_seen"}
	some item in found
	item.outcome == "INCONCLUSIVE"
}

test_a_name_and_nobody_has_looked if {
	found := pii.deny with input as asked(feature(" email ", null))
	codes(found) == {"pii.by_name", "pii.values_not_seen"}
}

test_no_features if {
	found := pii.deny with input as {"parameters": {}, "features": []}
	codes(found) == {"pii.nothing"}
}
