"""What was shipped stays: the bytes of statements, the evidence of gates, what the rules see, the policy's schema."""

import json
from base64 import b64decode
from pathlib import Path

import pytest

from airflow_mlgov.evidence.digests import canonical_json
from airflow_mlgov.governance.policy import policy_schema
from tests.golden import samples

FORM = samples.HERE / "form1"


@pytest.mark.parametrize("name", samples.STATEMENTS)
def test_a_statement_has_the_bytes_that_were_shipped(name: str) -> None:
    golden = (FORM / f"{name}.json").read_bytes()
    assert canonical_json(samples.STATEMENTS[name]()) == golden


def test_verification_accepts_every_statement_that_was_ever_shipped() -> None:
    found = samples.shipped()
    assert {item.kind for item in found.values()} == {name.partition("_")[0] for name in samples.STATEMENTS}
    for name in found:
        envelope = json.loads((FORM / f"{name}.dsse.json").read_text())
        assert b64decode(envelope["payload"]) == (FORM / f"{name}.json").read_bytes()


def test_the_rules_see_what_they_saw() -> None:
    golden = json.loads((samples.HERE / "decision_input.json").read_text())
    assert list(samples.differences(golden, json.loads(json.dumps(samples.input_of_the_rules())))) == []


def test_the_policy_is_read_by_the_schema_that_was_shipped() -> None:
    golden = json.loads((samples.HERE / "policy.schema.json").read_text())
    assert list(samples.differences(golden, policy_schema())) == []


@pytest.mark.parametrize("name", samples.GATES)
def test_a_gates_evidence_is_what_was_shipped(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(samples.HERE / "data")
    golden = json.loads((samples.HERE / "gates" / f"{name}.json").read_text())
    assert list(samples.differences(golden, samples.evidence_of(name))) == []


def test_the_small_files_are_those_that_the_samples_say(tmp_path: Path) -> None:
    samples.write_data(tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (samples.HERE / "data" / path.name).read_bytes()
