"""A model's files under an OpenSSF Model Signing bundle, which ``model_signing verify`` checks without this package: an
in-toto statement of each file's SHA-256 in a DSSE envelope, in a Sigstore bundle. The same digests as in the ledger."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from securesystemslib.dsse import Envelope

from airflow_mlgov.data.listing import listing_digest
from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.digests import canonical_json, parse_json
from airflow_mlgov.evidence.signing import PAYLOAD_TYPE
from airflow_mlgov.evidence.statements import STATEMENT

if TYPE_CHECKING:
    from securesystemslib.signer import Key, Signer

    from airflow_mlgov.results import Subject

PREDICATE = "https://model_signing/signature/v1.0"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
IGNORED = ("registered_model_meta",)
"""What MLflow puts beside a model's own files when it downloads one by ``models:/``."""
_SCHEMES = ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384")


def sign_model(model: Subject, files: Sequence[tuple[str, str]], signer: Signer) -> str:
    """The bundle, as JSON.

    :param files: name and SHA-256 of each file
    :raises ConfigurationError: the key is of a kind that Model Signing does not know
    :raises EvidenceError: the files are not those of the model
    """
    pem = public_pem(signer.public_key)
    listed = sorted(files, key=lambda file: file[0].encode())
    if listing_digest(listed, error=EvidenceError) != model.digest:
        raise EvidenceError(f"the files are not those of {model}", code="artifact.changed")
    root = hashlib.sha256(b"".join(bytes.fromhex(sha256) for _, sha256 in listed)).hexdigest()
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": f"{model.name}-{model.version}", "digest": {"sha256": root}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": list(IGNORED),
            },
            "resources": [{"name": name, "algorithm": "sha256", "digest": sha256} for name, sha256 in listed],
        },
    }
    payload = canonical_json(statement)
    signature = Envelope(payload, PAYLOAD_TYPE, {}).sign(signer)
    bundle = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": hashlib.sha256(pem).hexdigest()}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": b64encode(bytes.fromhex(signature.signature)).decode(), "keyid": ""}],
        },
    }
    return canonical_json(bundle).decode()


def public_pem(key: Key) -> bytes:
    """The public key as ``--public_key`` of ``model_signing verify key`` reads it.

    :raises ConfigurationError: it is of a kind that Model Signing does not know
    """
    if key.scheme not in _SCHEMES:
        raise ConfigurationError(
            f"Model Signing knows ECDSA keys ({', '.join(_SCHEMES)}), and this one is {key.scheme}: name a "
            "Transit key of the type ecdsa-p256, or a PEM file with such a key",
            code="signer.scheme",
        )
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    public = load_pem_public_key(key.keyval["public"].encode())
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def signed_digest(bundle: str) -> str:
    """The digest, as the ledger has it, of the model whose files a bundle names; its signature is not checked.

    :raises EvidenceError: it is no bundle of Model Signing
    """
    try:
        statement = parse_json(b64decode(parse_json(bundle)["dsseEnvelope"]["payload"], validate=True))
        if statement["predicateType"] != PREDICATE:
            raise KeyError("predicateType")
        found: list[dict[str, Any]] = statement["predicate"]["resources"]
        files = sorted(((str(one["name"]), str(one["digest"])) for one in found), key=lambda file: file[0].encode())
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError("this is no bundle of Model Signing", code="bundle.malformed") from error
    return listing_digest(files, error=EvidenceError)
