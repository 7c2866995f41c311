# METADATA
# title: Admission
# description: |
#   data.system.main answers `mlgov admission`, which asks about what it has read of an object. Whatever these rules do
#   not know is refused: an input without a form, a kind, an operation, a namespace.
package system

default main := {
	"apiVersion": "admission.k8s.io/v1",
	"kind": "AdmissionReview",
	"response": {
		"uid": "",
		"allowed": false,
		"status": {"code": 400, "message": "this is no review that these rules can answer [input.unknown]"},
	},
}

main := {
	"apiVersion": version,
	"kind": "AdmissionReview",
	"response": object.union({"uid": uid, "allowed": allowed}, said),
} if {
	is_string(uid)
	uid != ""
}

# A review of our own form, or one that an API server has sent here past `mlgov admission`.
asked := input.review if {
	input.mlgov in {"mlgov/admission/1", "ready"}
} else := {
	"version": input.apiVersion,
	"uid": input.request.uid,
	"group": object.get(input.request.kind, "group", ""),
	"kind": object.get(input.request.kind, "kind", ""),
	"operation": object.get(input.request, "operation", ""),
	"namespace": object.get(input.request, "namespace", ""),
	"subresource": object.get(input.request, "subResource", ""),
	"raw": true,
} if {
	input.kind == "AdmissionReview"
}

uid := asked.uid

version := asked.version if {
	asked.version in {"admission.k8s.io/v1", "admission.k8s.io/v1beta1"}
} else := "admission.k8s.io/v1"

reasons := data.mlgov.admission.denied

default mode := "enforce"

mode := data.mlgov.admission.rules.mode

default allowed := false

allowed if count(reasons) == 0

allowed if {
	mode == "warn"
	every reason in reasons {
		not reason.always
	}
}

messages := sort([sprintf("%s [%s]", [reason.message, reason.code]) | some reason in reasons])

said := {"warnings": array.concat(messages, sort([note | some note in data.mlgov.admission.notes]))} if {
	allowed
} else := {"status": {"code": 403, "message": concat("; ", messages)}}
