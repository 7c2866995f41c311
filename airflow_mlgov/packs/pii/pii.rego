# All personal data must be hashed in features. Input: input.features, as airflow_mlgov/gates/policy/features.py makes it:
# what each feature is called, tagged and used as, and what was seen of its values, never a value.
# input.parameters["mlgov.pii"].not_personal lists features whose name alone sounds personal.
package mlgov.pii

import rego.v1

# Words of names, in several languages, each between spaces: a name is split at its signs and capitals before.
words := {
	" email ", " e mail ", " mail ", " courriel ", " correo ", " phone ", " telephone ", " mobile ", " cell ", " msisdn ",
	" telefon ", " telefono ", " fax ", " iban ", " bic ", " pan ", " cvv ", " cvc ", " card number ", " credit card ",
	" debit card ", " account number ", " routing number ", " ssn ", " sin ", " nino ", " nhs ", " bsn ", " dni ", " nie ",
	" nif ", " cpf ", " pesel ", " aadhaar ", " passport ", " licence number ", " license number ", " driving licence ",
	" national id ", " tax id ", " tax number ", " steuernummer ", " steuer id ", " codice fiscale ", " personnummer ",
	" first name ", " last name ", " middle name ", " full name ", " given name ", " family name ", " maiden name ",
	" customer name ", " user name ", " person name ", " applicant name ", " patient name ", " name ", " surname ",
	" forename ", " vorname ", " nachname ", " prenom ", " nombre ", " apellido ", " apellidos ", " cognome ", " voornaam ",
	" achternaam ", " birth date ", " date of birth ", " birthday ", " dob ", " geburtsdatum ", " geboortedatum ",
	" naissance ", " nascita ", " address ", " street ", " strasse ", " adresse ", " direccion ", " postcode ", " post code ",
	" postal code ", " zip ", " zip code ", " ip ", " ip address ", " mac address ", " device id ", " imei ", " imsi ",
	" idfa ", " gaid ", " cookie id ", " latitude ", " longitude ", " geolocation ", " fingerprint ", " face ", " biometric ",
	" username ", " login ", " religion ", " ethnicity ", " health insurance ",
}

# The same without signs between them, long enough to be nothing else.
parts := {
	"email", "passport", "socialsecurity", "creditcard", "cardnumber", "accountnumber", "firstname", "lastname", "surname",
	"fullname", "birthdate", "dateofbirth", "phonenumber", "telephone", "ipaddress", "streetaddress", "taxnumber",
	"nationalid", "postalcode", "steuernummer", "geburtsdatum",
}

# A count of mails is no mail. The look at the values holds all the same.
about := {" has ", " is ", " count ", " num ", " n ", " number of ", " flag ", " verified ", " days ", " length ", " share ", " ratio ", " changed ", " opt "}

hints := {" hash ", " hashed ", " sha ", " sha256 ", " md5 ", " hmac ", " token ", " pseudonym ", " anon ", " enc "}

marks := {"pii", "personal", "personal_data", "gdpr", "sensitive", "confidential", "privacy"}

derived(feature) if {
	some word in about
	contains(feature.said, word)
}

sounds_personal(feature) if {
	not derived(feature)
	not excepted(feature)
	some word in words
	contains(feature.said, word)
}

sounds_personal(feature) if {
	not derived(feature)
	not excepted(feature)
	some part in parts
	contains(replace(feature.said, " ", ""), part)
}

# Only the policy may say that a name means nothing; a tag cannot.
excepted(feature) if {
	some name in input.parameters["mlgov.pii"].not_personal
	name in {feature.name, sprintf("%s:%s", [feature.view, feature.name])}
}

tagged(feature) if {
	some key, values in feature.tags
	marking(key)
	some value in values
	said := lower(trim_space(value))
	not said in {"false", "no", "0", "none", "non", "public", ""}
}

# A classification says it by its value: {"classification": "PII"}.
tagged(feature) if {
	some values in feature.tags
	some value in values
	lower(trim_space(value)) in {"pii", "personal", "personal data", "personal_data", "spi", "phi"}
}

marking(key) if lower(key) in marks

marking(key) if {
	said := replace(replace(replace(lower(key), "-", "_"), ".", "_"), " ", "_")
	not startswith(said, "no")
	contains(sprintf("_%s_", [said]), "_pii_")
}

says_hashed(feature) if {
	some hint in hints
	contains(feature.said, hint)
}

seen(feature) if is_object(feature.values)

hashed(feature) if feature.values.hashed == true

place(feature) := feature.name if feature.view == ""

place(feature) := sprintf("%s:%s", [feature.view, feature.name]) if feature.view != ""

# METADATA
# title: A feature whose name says personal data is not hashed
# custom:
#   code: pii.by_name
#   severity: critical
#   controls: ["gdpr:5(1)(c)", "gdpr:25", "gdpr:32", "ccpa:1798.100(c)", "eu-ai-act:10(2)", "iso-42001:A.7.2", "nist-ai-rmf:MEASURE 2.10"]
#   mend: "leave the feature out, or hash it with a key (HMAC) before it enters the store; if the name means nothing personal, list it under parameters: {mlgov.pii: {not_personal: […]}}"
deny contains {"code": "pii.by_name", "term": term, "where": feature.where, "message": message} if {
	some feature in input.features
	sounds_personal(feature)
	not hashed(feature)
	not to_be_seen(feature)
	term := place(feature)
	message := sprintf("the %s %s sounds like personal data and is not hashed", [feature.kind, term])
}

# METADATA
# title: A feature that is tagged as personal data is not hashed
# custom:
#   code: pii.by_tag
#   severity: critical
#   controls: ["gdpr:5(1)(c)", "gdpr:25", "gdpr:32", "ccpa:1798.100(c)", "iso-42001:A.7.2", "nist-ai-rmf:MEASURE 2.10"]
#   mend: "leave the feature out, or hash it with a key (HMAC) before it enters the store"
deny contains {"code": "pii.by_tag", "term": term, "where": feature.where, "message": message} if {
	some feature in input.features
	tagged(feature)
	not hashed(feature)
	not to_be_seen(feature)
	term := place(feature)
	message := sprintf("the %s %s is tagged as personal data and is not hashed", [feature.kind, term])
}

# It says of itself that it is hashed, and nobody has looked.
to_be_seen(feature) if {
	says_hashed(feature)
	not seen(feature)
}

# METADATA
# title: That a feature is hashed is said by its name alone
# custom:
#   code: pii.hash_not_seen
#   severity: critical
#   controls: ["gdpr:32", "nist-ai-rmf:MEASURE 2.10"]
#   mend: "name the data (data=, --data), so that its values can be looked at"
deny contains {"code": "pii.hash_not_seen", "outcome": "INCONCLUSIVE", "term": term, "where": feature.where, "message": message} if {
	some feature in input.features
	personal(feature)
	to_be_seen(feature)
	term := place(feature)
	message := sprintf("the name of %s says that it is hashed, and nobody has looked at its values", [term])
}

personal(feature) if sounds_personal(feature)

personal(feature) if tagged(feature)

# METADATA
# title: Values of a feature are personal data
# description: told by their form and their check digits; the values themselves are never written down
# custom:
#   code: pii.in_values
#   severity: critical
#   controls: ["gdpr:5(1)(c)", "gdpr:25", "gdpr:32", "ccpa:1798.100(c)", "eu-ai-act:10(2)", "iso-42001:A.7.4", "nist-ai-rmf:MEASURE 2.10"]
#   mend: "leave the feature out, or hash it with a key (HMAC) before it enters the store"
deny contains {"code": "pii.in_values", "term": term, "where": feature.where, "message": message} if {
	some feature in input.features
	some found in feature.values.kinds
	term := sprintf("%s %s", [place(feature), found.kind])
	message := sprintf("%d of %d values of %s that were looked at are %s", [found.rows, feature.values.checked, place(feature), found.kind])
}

# METADATA
# title: A hash can be undone, for the plain values stand in another column
# custom:
#   code: pii.hash_of_a_column
#   severity: critical
#   controls: ["gdpr:32", "gdpr:4(5)", "nist-ai-rmf:MEASURE 2.10"]
#   mend: "take the plain column out, and hash with a key (HMAC) that is not in the data"
deny contains {"code": "pii.hash_of_a_column", "term": term, "where": feature.where, "message": message} if {
	some feature in input.features
	some found in feature.values.plain_of
	term := sprintf("%s %s", [place(feature), found.column])
	message := sprintf("%s holds %s of the values of the column %s", [place(feature), found.by, found.column])
}

# METADATA
# title: What looks like a hash is plain text in another writing
# custom:
#   code: pii.encoded
#   severity: critical
#   controls: ["gdpr:32", "nist-ai-rmf:MEASURE 2.10"]
#   mend: "hash it with a key (HMAC): hex and base64 hide nothing"
deny contains {"code": "pii.encoded", "term": term, "where": feature.where, "message": message} if {
	some feature in input.features
	feature.values.encoded != ""
	term := place(feature)
	message := sprintf("the values of %s are text in %s, which anybody can read", [term, feature.values.encoded])
}

# METADATA
# title: Nobody has looked at the values of features
# custom:
#   code: pii.values_not_seen
#   severity: critical
#   controls: ["eu-ai-act:10(2)", "nist-ai-rmf:MEASURE 2.10"]
#   mend: "name the data that holds the features (data=, --data); what it does not hold cannot be judged by its name alone"
deny contains {"code": "pii.values_not_seen", "outcome": "INCONCLUSIVE", "term": "features", "where": "", "message": message} if {
	unseen := sort([place(feature) | some feature in input.features; not seen(feature); not to_be_seen(feature)])
	count(unseen) > 0
	message := sprintf("nobody has looked at the values of %d features: %s", [count(unseen), concat(", ", array.slice(unseen, 0, 10))])
}

# METADATA
# title: There are no features to judge
# custom:
#   code: pii.nothing
#   severity: critical
#   controls: ["eu-ai-act:10(2)"]
#   mend: "name the features (features=, --features) or the data (data=, --data)"
deny contains {"code": "pii.nothing", "outcome": "INCONCLUSIVE", "term": "features", "where": "", "message": message} if {
	count(input.features) == 0
	message := "no feature was handed to the rules: this decides nothing"
}
