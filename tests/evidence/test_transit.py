"""Signing inside a real Vault-compatible server."""

import pytest

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, EvidenceError
from airflow_mlgov.evidence.checkpoints import open_checkpoint
from airflow_mlgov.evidence.ledger import Ledger
from airflow_mlgov.evidence.notes import sign_note
from airflow_mlgov.evidence.signing import TrustRoot, sign_statement
from airflow_mlgov.vault.policy import vault_policy
from airflow_mlgov.vault.transit import TransitSigner
from tests.codes import raises_code
from tests.fixtures.openbao import OpenBaoServer
from tests.worlds.statements import make_statement


@pytest.mark.parametrize("key_type", ["ed25519", "ecdsa-p256"])
def test_what_vault_signs_verifies_offline_and_survives_rotation(
    openbao: OpenBaoServer, statement: dict, key_type: str
) -> None:
    openbao.make_key(f"fair-{key_type}", key_type)
    signer = TransitSigner(openbao.client, f"fair-{key_type}")
    envelope = sign_statement(statement, signer)
    trust = TrustRoot().with_key(signer.public_key, ["fairness"])
    assert trust.open_envelope(envelope)[0] == statement
    openbao.client.secrets.transit.rotate_key(f"fair-{key_type}")
    rotated = TransitSigner(openbao.client, f"fair-{key_type}")
    assert rotated.public_key.keyid != signer.public_key.keyid
    newer = sign_statement(statement, rotated)
    with raises_code(EvidenceError, "key.unknown"):
        trust.open_envelope(newer)
    both = trust.with_key(rotated.public_key, ["fairness"])
    assert both.open_envelope(newer)[0] == both.open_envelope(envelope)[0]


def test_the_role_of_one_duty_cannot_sign_for_another(openbao: OpenBaoServer, statement: dict) -> None:
    import hvac

    for key in ("mlgov-performance", "mlgov-promotion"):
        openbao.make_key(key)
    role, secret = openbao.make_approle("performance-gate", vault_policy("performance"))
    client = hvac.Client(url=openbao.addr, session=openbao.client.session)
    client.auth.approle.login(role, secret)
    sign_statement(statement, TransitSigner(client, "mlgov-performance"))
    with pytest.raises(AccessError):
        TransitSigner(client, "mlgov-promotion")
    with pytest.raises(ConfigurationError):
        TransitSigner(openbao.client, "no-such-key")


def test_a_vault_that_is_down_can_be_tried_again() -> None:
    import hvac

    with pytest.raises(DependencyError):
        TransitSigner(hvac.Client(url="http://127.0.0.1:1", token="x"), "any")


def test_a_note_is_signed_in_vault(openbao: OpenBaoServer, ledger: Ledger, signer) -> None:
    ledger.attest(make_statement(), signer)
    openbao.make_key("noted", "ed25519")
    openbao.make_key("elliptic", "ecdsa-p256")
    inside = TransitSigner(openbao.client, "noted")
    text = sign_note(ledger.verify(), inside, "bank.example/models")
    mark = open_checkpoint(text, TrustRoot().with_key(inside.public_key, ["checkpoint"]))
    assert ledger.verify([mark]).size == 1
    with raises_code(ConfigurationError, "note.key"):
        sign_note(ledger.verify(), TransitSigner(openbao.client, "elliptic"))
