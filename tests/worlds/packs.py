"""A pack of one's own, as a team writes it."""

RULE = """\
package acme.credit

import rego.v1

# METADATA
# title: The pipeline has no owner
# custom:
#   code: owner.missing
#   severity: warning
#   mend: "name an owner"
deny contains {"code": "owner.missing", "message": "nobody owns it", "term": pipeline.name} if {
	some pipeline in input.pipelines
	not pipeline.owner
}
"""
TEST = """\
package acme.credit_test

import data.acme.credit
import rego.v1

test_no_owner if {
	found := credit.deny with input as {"pipelines": [{"name": "a"}]}
	count(found) == 1
}

test_an_owner if {
	found := credit.deny with input as {"pipelines": [{"name": "a", "owner": "b"}]}
	count(found) == 0
}
"""
