"""Every kind of statement: of the documented form, an in-toto statement for others, and verifiable without us."""

import base64
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence import statements as st
from airflow_mlgov.evidence.signing import DUTIES, TrustRoot, open_signer, sign_statement
from airflow_mlgov.evidence.verification import statement_schema, verify_envelope
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Subject
from tests.fixtures.openbao import OpenBaoServer
from tests.worlds.statements import make_statement

MODEL = Subject("model", "credit_risk", "a" * 64, "3", "http://mlflow")
SHA = "b" * 64
HERE = st.Context("prod", {"uri": "mlgov.yaml", "sha256": SHA}, {"dag_id": "d", "try_number": 1})
PLACES: dict[str, Any] = {
    "before": {"stage": ["2"], "alias": None},
    "after": {"stage": "Production", "alias": "champion"},
}
TERMS = {
    **dict.fromkeys(("gate", "check", "target", "reason", "ticket", "risk_owner"), "x"),
    **{"observed": 0.7, "min": 0.6, "max": None, "requesters": [], "expires": "2026-12-01T00:00:00+00:00"},
}
MAKE: dict[str, Callable[[], dict[str, Any]]] = {
    "gate": make_statement,
    "provenance": lambda: st.provenance_statement(
        MODEL, [Subject("dataset", "d.csv", SHA)], ["tom"], {"run_id": "r"}, HERE
    ),
    "approval": lambda: st.approval_statement(
        MODEL, target="production", approver={"id": "1", "name": "olga"}, approved=True, reason="fine", shown=[SHA],
        answered_at=datetime.now(UTC), context=HERE,
    ),
    "decision": lambda: st.decision_statement(
        MODEL, target="production", allowed=False, reasons=[("a.b", "c")], inputs={"ledger:1": SHA},
        document={"input": {}, "input_sha256": SHA, "bundle_sha256": SHA}, verifier="x", context=HERE,
    ),
    "intent": lambda: st.intent_statement(
        MODEL, target="production", action="promote", state="opened", grounds=SHA, context=HERE, **PLACES
    ),
    "promotion": lambda: st.promotion_statement(
        MODEL, target="production", action="rollback", decision=SHA, intent=SHA, moved={}, replaces="2", reason="why",
        checkpoint={"origin": "o", "size": 1, "head": SHA, "root": SHA}, context=HERE,
    ),
    "policy": lambda: st.policy_statement(SHA, {"mlgov.yaml": "version: 1"}, HERE),
    "incident": lambda: st.incident_statement(
        MODEL, code="alias.moved", target="production", state="open", message="m", expected="1", observed="2",
        action="none", context=HERE,
    ),
    "checkpoint": lambda: st.checkpoint_statement("o", 1, SHA, SHA, HERE),
    "waiver": lambda: st.waiver_statement(
        MODEL, terms=TERMS, state="signed", signer={"id": "1", "name": "olga"}, reason="why", context=HERE
    ),
    "emergency": lambda: st.emergency_statement(
        MODEL, target="production", person={"id": "1", "name": "olga"}, reason="why", expires=datetime.now(UTC),
        context=HERE,
    ),
    "audit": lambda: st.audit_statement(
        MODEL, target="production", obligation="o", verdict="PASS", within_waiver=[], context=HERE,
        results=[GateResult("fairness", MODEL, (Check("c", Outcome.PASS, 0.9, Bound(min=0.8)),))],
    ),
}  # fmt: skip


def test_the_schema_is_one_and_knows_every_kind() -> None:
    Draft202012Validator.check_schema(statement_schema())
    assert set(MAKE) == set(st.KINDS.values())
    named = {kind["$ref"].rpartition("/")[2] for kind in statement_schema()["oneOf"]}
    assert named == set(MAKE)


@pytest.mark.parametrize("kind", MAKE)
def test_every_kind_fits_the_schema_and_in_toto(kind: str) -> None:
    from google.protobuf import json_format
    from in_toto_attestation.v1 import statement_pb2

    made = MAKE[kind]()
    Draft202012Validator(statement_schema()).validate(made)
    assert st.KINDS[made["predicateType"]] == kind
    parsed = json_format.Parse(json.dumps(made), statement_pb2.Statement())
    assert parsed.predicate_type == made["predicateType"]
    assert parsed.subject[0].digest["sha256"] == made["subject"][0]["digest"]["sha256"]


@pytest.mark.parametrize("kind", MAKE)
def test_a_statement_that_lacks_a_field_is_refused(kind: str, tmp_path: Path) -> None:
    signer = open_signer(f"local:{tmp_path / 'k.pem'}")
    trust = TrustRoot().with_key(signer.public_key, DUTIES)
    assert verify_envelope(sign_statement(MAKE[kind](), signer), trust).kind == kind
    required = statement_schema()["$defs"][kind]["properties"]["predicate"]["required"]
    for name in required:
        made = MAKE[kind]()
        del made["predicate"][name]
        with pytest.raises(EvidenceError, match=f"not of the form of a {kind}: predicate: '{name}' is a required"):
            verify_envelope(sign_statement(made, signer), trust)


@pytest.mark.parametrize("key_type", ["ed25519", "ecdsa-p256"])
def test_openssl_alone_verifies_what_vault_signed(openbao: OpenBaoServer, key_type: str, tmp_path: Path) -> None:
    """An auditor needs nothing of ours: the envelope, the public key that Vault shows, DSSE's PAE, and openssl."""
    name = f"audit-{key_type}"
    openbao.make_key(name, key_type)
    envelope = json.loads(sign_statement(make_statement(), open_signer(f"vault:{name}", openbao.client)))
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    (tmp_path / "pae").write_bytes(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    shown = openbao.client.secrets.transit.read_key(name)["data"]["keys"]["1"]["public_key"]
    if key_type == "ed25519":
        der = bytes.fromhex("302a300506032b6570032100") + base64.b64decode(shown)  # RFC 8410
        shown = f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(der).decode()}\n-----END PUBLIC KEY-----\n"
        command = [
            "openssl",
            "pkeyutl",
            "-verify",
            "-pubin",
            "-inkey",
            "pub",
            "-rawin",
            "-in",
            "pae",
            "-sigfile",
            "sig",
        ]
    else:
        command = ["openssl", "dgst", "-sha256", "-verify", "pub", "-signature", "sig", "pae"]
    (tmp_path / "pub").write_text(shown)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (tmp_path / "pae").write_bytes((tmp_path / "pae").read_bytes() + b" ")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60).returncode != 0


def test_a_waiver_whose_digest_names_other_terms_is_refused(tmp_path: Path) -> None:
    signer = open_signer(f"local:{tmp_path / 'k.pem'}")
    made = MAKE["waiver"]()
    made["predicate"]["terms"]["expires"] = "2036-12-01T00:00:00+00:00"
    with pytest.raises(EvidenceError, match="not those that its digest names"):
        verify_envelope(sign_statement(made, signer), TrustRoot().with_key(signer.public_key, DUTIES))
