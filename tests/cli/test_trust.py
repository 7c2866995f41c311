"""The trust root at the command line: a public key from a file, the end of a key, and what neither takes."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from securesystemslib.signer import CryptoSigner

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.signing import TrustRoot, sign_statement
from airflow_mlgov.evidence.statements import Context, GateStatement
from airflow_mlgov.evidence.verification import verify_envelope
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Subject
from tests.codes import raises_code
from tests.fixtures.shell import Run

KEYS: dict[str, Callable[[], Any]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ecdsa-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa-2048": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    return tmp_path / "trust.json"


def public_half(private: Any, path: Path) -> Path:
    path.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def signed(private: Any, at: datetime | None = None) -> str:
    checks = (Check("roc_auc", Outcome.PASS, 0.8, Bound(min=0.75)),)
    result = GateResult("performance", Subject("model", "m", "a" * 64, "1", "http://r:1"), checks)
    context = Context("test", issued_at=at or datetime.now(UTC))
    return sign_statement(GateStatement.of(result, context), CryptoSigner(private))


@pytest.mark.parametrize("kind", KEYS)
def test_a_public_key_from_a_file_verifies_what_its_private_half_signs(
    run: Run, trust: Path, tmp_path: Path, kind: str
) -> None:
    private = KEYS[kind]()
    pem = public_half(private, tmp_path / "kms.pem")
    words = ["trust", "add", "--trust", trust, "--public-key", pem]
    code, out, _ = run(*words, "--duty", "performance")
    assert (code, "0 keys before, added one for performance" in out) == (0, True)
    verify_envelope(signed(private), TrustRoot.load(trust))
    code, _, err = run(*words, "--duty", "fairness")
    assert (code, "in the trust root already" in err) == (2, True)
    code, out, _ = run("trust", "show", "--trust", trust, "--json")
    assert [item["duties"] for item in json.loads(out)] == [["performance"]]


def _private_half(path: Path) -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


NO_KEYS: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda _: None, "no such public key"),
    "a folder": (Path.mkdir, "no regular file"),
    "a pipe": (os.mkfifo, "no regular file"),
    "no PEM": (lambda path: path.write_bytes(b"\xff\x00"), "holds no public key"),
    "empty": (lambda path: path.write_bytes(b""), "holds no public key"),
    "the private half": (_private_half, "holds no public key"),
    "a key that cannot sign": (lambda path: public_half(x25519.X25519PrivateKey.generate(), path), "no public key"),
    "a curve that nobody verifies": (
        lambda path: public_half(ec.generate_private_key(ec.SECP256K1()), path),
        "holds no public key",
    ),
    "a scheme that nobody verifies": (lambda path: public_half(dsa.generate_private_key(2048), path), "no public key"),
}


@pytest.mark.parametrize("name", NO_KEYS)
def test_a_file_that_holds_no_public_key(run: Run, trust: Path, tmp_path: Path, name: str) -> None:
    make, message = NO_KEYS[name]
    make(tmp_path / "key.pem")
    code, _, err = run("trust", "add", "--trust", trust, "--duty", "performance", "--public-key", tmp_path / "key.pem")
    assert (code, message in err, len(err.splitlines())) == (2, True, 1), err
    assert not trust.exists()


@pytest.mark.parametrize("both", [True, False])
def test_a_key_is_named_once(run: Run, trust: Path, tmp_path: Path, both: bool) -> None:
    pem = public_half(ed25519.Ed25519PrivateKey.generate(), tmp_path / "key.pem")
    given = ["--public-key", pem, "--sign", f"local:{tmp_path / 'own.pem'}"] if both else []
    code, _, err = run("trust", "add", "--trust", trust, "--duty", "performance", *given)
    assert (code, "either --sign or --public-key" in err) == (2, True)
    assert not (tmp_path / "own.pem").exists()


def test_a_key_that_is_ended_counts_for_what_it_signed_before(run: Run, trust: Path, tmp_path: Path) -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    pem = public_half(private, tmp_path / "key.pem")
    run("trust", "add", "--trust", trust, "--duty", "performance", "--public-key", pem)
    (known,) = TrustRoot.load(trust).keys
    now = datetime.now(UTC)
    end = now + timedelta(minutes=10)
    code, out, _ = run("trust", "end", known.key.keyid[:8], "--trust", trust, "--at", end.isoformat())
    assert (code, "ends at" in out) == (0, True)
    verify_envelope(signed(private, now), TrustRoot.load(trust))
    with raises_code(EvidenceError, "evidence.key_dates"):
        verify_envelope(signed(private, end + timedelta(seconds=1)), TrustRoot.load(trust))
    assert run("trust", "end", known.key.keyid, "--trust", trust)[0] == 0
    verify_envelope(signed(private, now), TrustRoot.load(trust))
    with raises_code(EvidenceError, "evidence.key_dates"):
        verify_envelope(signed(private, now + timedelta(minutes=5)), TrustRoot.load(trust))
    (ended,) = TrustRoot.load(trust).keys
    assert (ended.key.keyid, ended.duties) == (known.key.keyid, known.duties)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{key:.7}"], "0 keys of the trust root"),
        (["{other}"], "0 keys of the trust root"),
        ([""], "0 keys of the trust root"),
        (["{key}", "--at", "2030-01-01T00:00:00"], "not a date with a zone"),
        (["{key}", "--at", "tomorrow"], "not a date with a zone"),
        (["{key}", "--at", "2000-01-01T00:00:00Z"], "before it begins"),
    ],
)
def test_an_end_that_is_none(run: Run, trust: Path, tmp_path: Path, words: list[str], message: str) -> None:
    key, follower = (KEYS["ed25519"]() for _ in range(2))
    for private in (key, follower):  # the second has a beginning
        pem = public_half(private, tmp_path / "key.pem")
        run("trust", "add", "--trust", trust, "--duty", "performance", "--public-key", pem)
    before, keyid = trust.read_text(), TrustRoot.load(trust).keys[1].key.keyid
    given = [word.format(key=keyid, other=keyid[::-1]) for word in words]
    code, _, err = run("trust", "end", *given, "--trust", trust)
    assert (code, message in err) == (2, True), err
    assert trust.read_text() == before


def test_no_key_is_made_that_nobody_asked_for(run, tmp_path: Path) -> None:
    trust, sign = tmp_path / "trust.json", f"local:{tmp_path / 'typo.pem'}"
    for words in (["add", "--duty", "fairness"], ["move"]):
        code, _, err = run("trust", *words, "--trust", trust, "--sign", sign)
        assert code == 2
        assert "error [signer.no_key]" in err
        assert "--make-key" in err
        assert not list(tmp_path.iterdir())
    assert run("trust", "add", "--duty", "fairness", "--trust", trust, "--sign", sign, "--make-key")[0] == 0
    assert (tmp_path / "typo.pem").stat().st_mode & 0o777 == 0o600
