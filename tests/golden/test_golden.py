"""What was shipped stays: the bytes of statements, the evidence of gates, what the rules see, the policy's schema."""

import json
import re
from base64 import b64decode
from pathlib import Path

import pytest

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.digests import canonical_json, hash_json
from airflow_mlgov.evidence.signing import TrustRoot, duties, open_signer, sign_statement
from airflow_mlgov.evidence.statements import FORM, FORMS, form_of
from airflow_mlgov.evidence.verification import verify_envelope
from tests.worlds import samples


def folder(form: int) -> Path:
    return samples.HERE / f"form{form}"


@pytest.mark.parametrize("name", samples.STATEMENTS)
def test_a_statement_has_the_bytes_that_were_shipped(name: str) -> None:
    golden = (folder(FORM) / f"{name}.json").read_bytes()
    assert canonical_json(samples.STATEMENTS[name]().as_json()) == golden


@pytest.mark.parametrize("form", FORMS)
def test_verification_accepts_every_statement_that_was_ever_shipped(form: int) -> None:
    found = samples.shipped(form)
    assert set(found) == {*samples.STATEMENTS, *(samples.WITHOUT_ZONE if form == 1 else ())}
    for name, item in found.items():
        envelope = json.loads((folder(form) / f"{name}.dsse.json").read_text())
        assert item.statement.form == form
        assert b64decode(envelope["payload"]) == (folder(form) / f"{name}.json").read_bytes()


@pytest.mark.parametrize("form", FORMS)
def test_what_is_read_loses_nothing_of_what_was_signed(form: int) -> None:
    for name, item in samples.shipped(form).items():
        if name != "emergency_without_zone":
            assert canonical_json(item.statement.as_json()) == (folder(form) / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", samples.WITHOUT_ZONE)
def test_an_old_exception_whose_end_names_no_zone_has_run_out(name: str) -> None:
    seen = samples.shipped(1)[name].as_input()
    assert seen.get("terms", seen)["expires_ns"] == 0


def test_an_old_statement_that_says_form_1_is_none() -> None:
    document = json.loads((folder(1) / "gate_fairness.json").read_text())
    assert form_of(document) == 1
    for form in (0, 1, FORM + 1, "2", True, None):
        document["predicate"]["mlgov"]["form"] = form
        with pytest.raises(ValueError, match="this version knows"):
            form_of(document)


@pytest.mark.parametrize("name", samples.STATEMENTS)
def test_in_form_2_a_date_without_a_zone_is_refused(name: str, tmp_path: Path) -> None:
    signer = open_signer(f"local:{tmp_path / 'k.pem'}", make_key=True)
    trust = TrustRoot().with_key(signer.public_key, duties())
    text = (folder(2) / f"{name}.json").read_text()
    dates = sorted(set(re.findall(r'"[A-Za-z]+":"2026-[^"]*\+00:00"', text)))
    assert len(dates) >= 1
    for date in dates:
        document = json.loads(text.replace(date, date.replace("+00:00", "")))
        if name == "waiver":
            document["predicate"]["terms_sha256"] = hash_json(document["predicate"]["terms"])
        if date.startswith('"now"'):
            continue  # inside the recorded input, which is the rules' own
        with pytest.raises(EvidenceError) as caught:
            verify_envelope(sign_statement(document, signer), trust)
        assert caught.value.code == "evidence.form"


def test_the_rules_see_what_they_saw() -> None:
    golden = json.loads((samples.HERE / "decision_input.json").read_text())
    assert list(samples.differences(golden, json.loads(json.dumps(samples.input_of_the_rules())))) == []


@pytest.mark.parametrize("name", samples.GATES)
def test_a_gates_evidence_is_what_was_shipped(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(samples.HERE / "data")
    golden = json.loads((samples.HERE / "gates" / f"{name}.json").read_text())
    assert list(samples.differences(golden, samples.evidence_of(name))) == []


def test_the_small_files_are_those_that_the_samples_say(tmp_path: Path) -> None:
    samples.write_data(tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (samples.HERE / "data" / path.name).read_bytes()
