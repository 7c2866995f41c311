"""Every kind of statement: of the documented form, an in-toto statement for others, and verifiable without us."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence import statements as st
from airflow_mlgov.evidence.signing import TrustRoot, duties, open_signer, sign_statement
from airflow_mlgov.evidence.verification import statement_schema, verify_envelope
from airflow_mlgov.vault.transit import TransitSigner
from tests.codes import raises_code
from tests.fixtures.openbao import OpenBaoServer
from tests.worlds.samples import LATER, STATEMENTS
from tests.worlds.statements import make_statement

KINDS = [cls.kind for cls in st.CLASSES.values()]


def make(kind: str) -> dict[str, Any]:
    """One of the golden samples, as JSON that a test may change."""
    made = next(make() for name, make in (STATEMENTS | LATER).items() if name.partition("_")[0] == kind)
    document: dict[str, Any] = json.loads(json.dumps(made.as_json()))
    return document


@pytest.mark.parametrize("form", st.FORMS)
def test_the_schema_of_a_form_knows_every_kind(form: int) -> None:
    Draft202012Validator.check_schema(statement_schema(form))
    named = {kind["$ref"].rpartition("/")[2] for kind in statement_schema(form)["oneOf"]}
    later = {1: set(LATER), 2: {"erasure"}}
    assert named == set(KINDS) - later.get(form, set())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_fits_the_schema_and_in_toto(kind: str) -> None:
    from google.protobuf import json_format
    from in_toto_attestation.v1 import statement_pb2

    made = make(kind)
    Draft202012Validator(statement_schema()).validate(made)
    assert st.CLASSES[made["predicateType"]].kind == kind
    parsed = json_format.Parse(json.dumps(made), statement_pb2.Statement())
    assert parsed.predicate_type == made["predicateType"]
    assert parsed.subject[0].digest["sha256"] == made["subject"][0]["digest"]["sha256"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_statement_that_lacks_a_field_is_refused(kind: str, tmp_path: Path) -> None:
    signer = open_signer(f"local:{tmp_path / 'k.pem'}", make_key=True)
    trust = TrustRoot().with_key(signer.public_key, duties())
    assert verify_envelope(sign_statement(make(kind), signer), trust).kind == kind
    required = statement_schema()["$defs"][kind]["properties"]["predicate"]["required"]
    for name in required:
        made = make(kind)
        del made["predicate"][name]
        with raises_code(EvidenceError, "evidence.form", match=f"predicate: '{name}' is a required"):
            verify_envelope(sign_statement(made, signer), trust)


@pytest.mark.parametrize("key_type", ["ed25519", "ecdsa-p256"])
def test_openssl_alone_verifies_what_vault_signed(openbao: OpenBaoServer, key_type: str, tmp_path: Path) -> None:
    """An auditor needs nothing of ours: the envelope, the public key that Vault shows, DSSE's PAE, and openssl."""
    name = f"audit-{key_type}"
    openbao.make_key(name, key_type)
    envelope = json.loads(sign_statement(make_statement(), TransitSigner(openbao.client, name)))
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
    signer = open_signer(f"local:{tmp_path / 'k.pem'}", make_key=True)
    made = make("waiver")
    made["predicate"]["terms"]["expires"] = "2036-12-01T00:00:00+00:00"
    with raises_code(EvidenceError, "evidence.form"):
        verify_envelope(sign_statement(made, signer), TrustRoot().with_key(signer.public_key, duties()))
