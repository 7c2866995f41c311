import base64
import copy
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from securesystemslib.signer import CryptoSigner

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.signing import PAYLOAD_TYPE, TrustRoot, open_signer, sign_statement
from tests.codes import raises_code


def test_a_signature_verifies_with_nothing_of_ours(signer, envelope: str) -> None:
    """As DSSE says: PAE over type and payload, checked by plain ``cryptography``."""
    document = json.loads(envelope)
    payload = base64.b64decode(document["payload"])
    kind = document["payloadType"].encode()
    pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    public = (
        load_pem_public_key(signer.public_key.keyval["public"].encode())
        if signer.public_key.keyval["public"].startswith("-----")
        else None
    )
    if public is None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signer.public_key.keyval["public"]))
    public.verify(base64.b64decode(document["signatures"][0]["sig"]), pae)


def test_the_payload_is_an_in_toto_statement(statement: dict) -> None:
    from google.protobuf import json_format
    from in_toto_attestation.v1 import statement_pb2

    parsed = json_format.Parse(json.dumps(statement), statement_pb2.Statement())
    assert parsed.predicate_type == "https://in-toto.io/attestation/test-result/v0.1"
    assert parsed.subject[0].digest["dirHash"] == "a" * 64


def test_local_keys_are_private_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "keys" / "key.pem"
    first = open_signer(f"local:{path}", make_key=True).public_key.keyid
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert open_signer(f"local:{path}", make_key=True).public_key.keyid == first
    assert "whoever can read it can sign" in caplog.text


@pytest.mark.parametrize("uri", ["", "local:", "gpg:me", "vault:", "gcpkms:key", "nonsense:x"])
def test_unusable_signers_are_refused(uri: str) -> None:
    with pytest.raises(ConfigurationError):
        open_signer(uri)


def test_the_signers_of_securesystemslib_are_asked_with_the_trust_roots_key(tmp_path: Path, statement: dict) -> None:
    key = CryptoSigner.generate_ed25519()
    (tmp_path / "kms.pem").write_bytes(key.private_bytes)
    ended = datetime.now(UTC) - timedelta(days=1)
    trust = TrustRoot().with_key(CryptoSigner.generate_ed25519().public_key, ["fairness"], valid_until=ended)
    uri = f"file2:{tmp_path / 'kms.pem'}"
    assert trust.key_for("fairness") is None
    with raises_code(ConfigurationError, "signer.no_public_key"):
        open_signer(uri, lambda: trust.key_for("fairness"))
    trust = trust.with_key(key.public_key, ["fairness"])
    signer = open_signer(uri, lambda: trust.key_for("fairness"))
    assert trust.open_envelope(sign_statement(statement, signer))[0] == statement
    (tmp_path / "kms.pem").write_bytes(CryptoSigner.generate_ed25519().private_bytes)
    with raises_code(ConfigurationError, "signer.unusable"):
        open_signer(uri, lambda: trust.key_for("fairness"))


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("not a key")
    with raises_code(ConfigurationError, "signer.unreadable"):
        open_signer(f"local:{tmp_path / 'key.pem'}", make_key=True)


def test_trust_root_survives_the_file(tmp_path: Path, signer, envelope: str, statement: dict) -> None:
    until = datetime.now(UTC) + timedelta(days=1)
    TrustRoot().with_key(signer.public_key, ["fairness"], valid_until=until).save(tmp_path / "trust.json")
    loaded = TrustRoot.load(tmp_path / "trust.json")
    assert loaded.open_envelope(envelope)[0] == statement
    assert loaded.keys[0].duties == {"fairness"}
    assert loaded.keys[0].valid_until == until


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "file.not_json"),
        ("[]", "trust.malformed"),
        ('{"keys": 1}', "trust.malformed"),
        ('{"keys": [1]}', "trust.malformed"),
        ('{"keys": [{"duties": ["fairness"]}]}', "trust.key"),
        ('{"keys": [{"duties": ["rule 1"]}]}', "trust.duty"),
        ('{"keys": [{"duties": []}]}', "trust.duty"),
        ('{"keys": [{"duties": ["fairness"], "valid_from": "soon"}]}', "trust.date"),
        ('{"keys": [], "keys": []}', "file.key_twice"),
    ],
)
def test_a_trust_root_that_does_not_hold_is_refused(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "trust.json").write_text(text)
    with raises_code(ConfigurationError, code, match=r"trust\.json"):
        TrustRoot.load(tmp_path / "trust.json")
    with raises_code(ConfigurationError, "file.missing"):
        TrustRoot.load(tmp_path / "gone.json")


def test_unknown_key_other_type_and_several_signatures_are_refused(tmp_path: Path, signer, envelope: str) -> None:
    with raises_code(EvidenceError, "key.unknown"):
        TrustRoot().open_envelope(envelope)
    trust = TrustRoot().with_key(signer.public_key, ["fairness"])
    for change, code in (
        ({"payloadType": "text/plain"}, "envelope.malformed"),
        ({"signatures": []}, "envelope.malformed"),
        ({"signatures": [{"keyid": "b" * 64, "sig": "aaaa"}]}, "key.unknown"),
    ):
        with raises_code(EvidenceError, code):
            trust.open_envelope(json.dumps({**json.loads(envelope), **change}))
    for text in ("{}", "[]", "null", '"x"'):
        with raises_code(EvidenceError, "envelope.malformed"):
            trust.open_envelope(text)


def _mutations(value: Any) -> st.SearchStrategy[Any]:
    """The value with one leaf changed."""

    @st.composite
    def mutate(draw: st.DrawFn) -> Any:
        changed = copy.deepcopy(value)
        place, key = changed, None
        while isinstance(place, dict | list) and place:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            parent, key = place, draw(st.sampled_from(keys))
            place = place[key]
        parent[key] = draw(st.one_of(st.text(), st.integers(), st.none(), st.booleans()).filter(lambda x: x != place))
        return changed

    return mutate()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_no_changed_statement_verifies(data: st.DataObject, signer, statement: dict, envelope: str) -> None:
    trust = TrustRoot().with_key(signer.public_key, ["fairness"])
    forged = json.loads(envelope)
    changed = data.draw(_mutations(statement))
    forged["payload"] = base64.b64encode(json.dumps(changed, sort_keys=True, separators=(",", ":")).encode()).decode()
    with pytest.raises(EvidenceError):
        trust.open_envelope(json.dumps(forged))


def test_signing_the_same_statement_twice_gives_the_same_envelope(signer, statement: dict) -> None:
    assert sign_statement(statement, signer) == sign_statement(statement, signer)
    assert json.loads(sign_statement(statement, signer))["payloadType"] == PAYLOAD_TYPE
