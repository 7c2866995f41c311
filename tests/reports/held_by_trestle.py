"""Holds OSCAL assessment results against compliance-trestle's models of NIST's schemas, in an environment of its own.
Prints what is wrong and the controls that have an observation, as JSON."""

import json
import sys

from trestle.oscal import OSCAL_VERSION
from trestle.oscal.assessment_results import Model

found = {"oscal": OSCAL_VERSION, "wrong": "", "labels": [], "states": {}}
try:
    (result,) = Model.model_validate_json(sys.stdin.buffer.read()).assessment_results.results
    known = {one.uuid for one in result.observations}
    assert all(one.observation_uuid in known for risk in result.risks or () for one in risk.related_observations)
    said = [{prop.name: prop.value for prop in one.props} for one in result.observations]
    found["labels"] = [one["label"] for one in said]
    found["states"] = {one["label"]: one["state"] for one in said}
except Exception as error:
    found["wrong"] = f"{type(error).__name__}: {error}"
json.dump(found, sys.stdout)
