"""Cosignatures of witnesses on a note: by whom, over what, and how many."""

import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.checkpoints import head_to_keep, heads_at, make_checkpoint, open_checkpoint
from airflow_mlgov.evidence.ledger import Ledger
from airflow_mlgov.evidence.notes import key_id, sign_note
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import Context
from airflow_mlgov.evidence.witnesses import Quorum
from tests.codes import raises_code
from tests.fixtures.shell import Run
from tests.worlds.statements import make_statement
from tests.worlds.witnesses import Witness


@pytest.fixture(params=[Ledger.verify, head_to_keep], ids=["three-lines", "with-the-index"])
def note(request: pytest.FixtureRequest, ledger: Ledger, signer) -> str:
    ledger.attest(make_statement(), signer)
    return sign_note(request.param(ledger), signer, "bank.example/models")


@pytest.fixture
def read(signer) -> Callable[[str, Quorum], int]:
    trust = TrustRoot().with_key(signer.public_key, ["checkpoint"])
    return lambda text, quorum: open_checkpoint(text, trust, quorum).size


def test_the_example_key_of_a_witness_is_of_the_form() -> None:
    one = Witness("witness.example/w1")
    (found,) = Quorum.read([one.verifier]).witnesses
    assert (found.name, found.public) == (one.name, one.public)


def test_as_many_as_are_asked_for(note: str, read: Callable[[str, Quorum], int]) -> None:
    one, two, three = (Witness(f"w{number}.example") for number in range(3))
    keys = [one.verifier, two.verifier]
    assert read(note, Quorum.read([])) == 1
    with raises_code(EvidenceError, "checkpoint.not_witnessed", match="0 of the witnesses"):
        read(note, Quorum.read(keys))
    once = one.cosign(note)
    with raises_code(EvidenceError, "checkpoint.not_witnessed"):
        read(once, Quorum.read(keys))
    assert read(once, Quorum.read(keys, 1)) == 1
    with raises_code(EvidenceError, "checkpoint.not_witnessed"):
        read(one.cosign(once), Quorum.read(keys))  # the same one twice
    assert read(two.cosign(once), Quorum.read(keys, "2")) == 1
    with raises_code(EvidenceError, "checkpoint.not_witnessed"):
        read(three.cosign(once), Quorum.read(keys))


def test_a_cosignature_that_does_not_fit(note: str, read: Callable[[str, Quorum], int]) -> None:
    one, two = Witness("w1.example"), Witness("w2.example")
    quorum = Quorum.read([one.verifier, two.verifier], 1)
    other = note.replace("bank.example", "bink.example")
    for text in (
        one.cosign(note, over=other),
        one.cosign(two.cosign(note), over=other),  # also where another has cosigned
        one.cosign(note, at=time.time() + 86_400),
        one.cosign(note, at=2**63 - 1),
        f"{note}— {one.name} {b64encode(one.id + bytes(4)).decode()}\n",
    ):
        with raises_code(EvidenceError, "signature.wrong", match=r"w1\.example"):
            read(text, quorum)
    stranger = Witness("w1.example")  # of the same name
    with raises_code(EvidenceError, "checkpoint.not_witnessed"):
        read(stranger.cosign(note), quorum)


def test_an_envelope_is_not_cosigned(ledger: Ledger, signer, note: str, read: Callable[[str, Quorum], int]) -> None:
    envelope = make_checkpoint(ledger, signer, Context("test"))
    assert read(envelope, Quorum()) == 1
    with raises_code(EvidenceError, "checkpoint.not_witnessed", match="keep a note"):
        read(envelope, Quorum.read([Witness("w.example").verifier]))


def test_keys_and_numbers_that_are_none() -> None:
    one = Witness("w.example")
    name, hashed, encoded = one.verifier.split("+", 2)
    log_key = f"{name}+{key_id(name, one.public).hex()}+{b64encode(bytes([1]) + one.public).decode()}"
    for text in ("", "w", "w+1+2", f"x+{hashed}+{encoded}", f"{name}+00000000+{encoded}", log_key, one.verifier[:-4]):
        with raises_code(ConfigurationError, "witness.key"):
            Quorum.read([text])
    for keys, least in (
        ([one.verifier], 2),
        ([one.verifier], 0),
        ([one.verifier], "x"),
        ([], 1),
        ([one.verifier], "²"),
    ):
        with raises_code(ConfigurationError, "witness.quorum"):
            Quorum.read(keys, least)
    with raises_code(ConfigurationError, "witness.quorum"):
        Quorum.read([one.verifier, one.verifier])


def test_the_command_and_the_settings(
    note: str, signer, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    trust = TrustRoot().with_key(signer.public_key, ["checkpoint"])
    trust.save(tmp_path / "trust.json")
    one, two, file = Witness("w1.example"), Witness("w2.example"), tmp_path / "1.note"
    file.write_text(one.cosign(note))
    words = ["ledger", "verify", "--ledger", f"sqlite:///{tmp_path / 'ledger.db'}", "--trust", tmp_path / "trust.json"]
    words += ["--checkpoint", file]
    both = ["--witness", one.verifier, "--witness", two.verifier]
    code, out, err = run(*words, "--witness", one.verifier)
    assert (code, "cosigned by 1 or more of 1 witnesses" in out) == (0, True), err
    code, _, err = run(*words, *both)
    assert (code, "[checkpoint.not_witnessed]" in err) == (1, True)
    assert run(*words, *both, "--quorum", "1")[0] == 0
    code, _, err = run(*words[:-2], "--witness", one.verifier)
    assert (code, "[option.missing]" in err) == (2, True)
    monkeypatch.setenv("MLGOV_WITNESSES", f"{one.verifier} {two.verifier}")
    assert run(*words)[0] == 1
    monkeypatch.setenv("MLGOV_WITNESS_QUORUM", "1")
    assert run(*words)[0] == 0
    assert [head.size for head in heads_at([str(file)], trust, Quorum.read([one.verifier]))] == [1]
