"""Checkpoints as signed notes: of the form that others read, by the right key, and held against the ledger."""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.signer import CryptoSigner, SSlibKey

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.checkpoints import head_to_keep, heads_at, open_checkpoint, write_checkpoint
from airflow_mlgov.evidence.index_map import IndexMap
from airflow_mlgov.evidence.ledger import Ledger, open_ledger
from airflow_mlgov.evidence.ledger_index import read_nodes
from airflow_mlgov.evidence.notes import MAX_SIGNATURES, key_id, read_note, sign_note, verifier_key
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.verification import believer
from tests.codes import raises_code
from tests.fixtures.shell import Run
from tests.worlds.statements import make_statement


@pytest.fixture
def trust(signer) -> TrustRoot:
    return TrustRoot().with_key(signer.public_key, ["checkpoint", "fairness"])


@pytest.fixture
def filled(ledger: Ledger, signer) -> Ledger:
    for digest in "abc":
        ledger.attest(make_statement(digest=digest * 64), signer)
    return ledger


def test_the_example_of_the_specification_is_read() -> None:
    note = read_note(
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE"
        "+xeMcTOAYQ8=\n"
    )
    assert (note.origin, note.size, len(note.signatures)) == ("example.com/behind-the-sofa", 20852163, 1)
    assert note.signatures[0].key_id.hex() == "033de0ae"


def test_a_note_is_three_lines_and_a_signature_over_them(filled: Ledger, signer) -> None:
    now = filled.verify()
    text = sign_note(now, signer, "bank.example/models")
    body, line = text.split("\n\n")
    assert body.split("\n") == ["bank.example/models", "3", b64encode(bytes.fromhex(now.root)).decode()]
    mark, name, encoded = line.removesuffix("\n").split(" ")
    assert (mark, name) == ("—", "bank.example/models")
    _, _, encoded_key = verifier_key(signer.public_key, name).split("+", 2)
    kind_and_key = b64decode(encoded_key)
    assert kind_and_key[0] == 1
    signed = b64decode(encoded)
    assert signed[:4] == key_id(name, kind_and_key[1:])
    Ed25519PublicKey.from_public_bytes(kind_and_key[1:]).verify(signed[4:], f"{body}\n".encode())
    assert sign_note(now, signer).startswith(f"{now.origin}\n3\n")


def test_a_note_names_the_index_where_it_is_kept(filled: Ledger, signer, trust: TrustRoot, tmp_path: Path) -> None:
    """It is that of a walk, it holds while the ledger grows, and the auditor finds one that is another."""
    now = head_to_keep(filled)
    assert now == filled.verify()._replace(index_root=filled.walk().index().root.hex())
    text = sign_note(now, signer)
    assert text.split("\n")[3] == f"mlgov-index-v1 {b64encode(bytes.fromhex(now.index_root)).decode()}"
    mark = open_checkpoint(text, trust)
    assert mark == now._replace(head="")
    filled.attest(make_statement(digest="d" * 64), signer)
    assert filled.audit((), [mark], believer(None))[0].head.size == 4
    kept = IndexMap(bytes.fromhex(mark.index_root), partial(read_from, filled))
    assert kept.get(f"digest:{'a' * 64}").total == 1
    for other in (mark._replace(index_root="0" * 64), mark._replace(size=4, root=filled.verify().root)):
        with raises_code(EvidenceError, "index.root_wrong", match="the checkpoint of"):
            filled.audit((), [open_checkpoint(sign_note(other, signer), trust)], believer(None))
    read_only = open_ledger(f"sqlite:///file:{tmp_path / 'ledger.db'}?mode=ro&uri=true", create=False)
    assert head_to_keep(read_only) == filled.verify()


def read_from(ledger: Ledger, names: Sequence[bytes]) -> dict[bytes, bytes]:
    with ledger.reading() as connection:
        return read_nodes(connection, names)


@pytest.mark.parametrize("origin", [None, "bank.example/models"])
def test_a_note_holds_while_the_ledger_only_grows(filled: Ledger, signer, trust: TrustRoot, origin: str | None) -> None:
    mark = open_checkpoint(sign_note(filled.verify(), signer, origin), trust)
    filled.attest(make_statement(digest="d" * 64), signer)
    assert filled.verify([mark]).size == 4
    forged = mark._replace(root="0" * 64)
    with raises_code(EvidenceError, "checkpoint.differs"):
        filled.verify([forged])
    with raises_code(EvidenceError, "ledger.tail_cut"):
        filled.verify([mark._replace(size=9)])


def test_a_note_of_another_ledger_does_not_hold(filled: Ledger, signer, trust: TrustRoot, tmp_path: Path) -> None:
    other = open_ledger(f"sqlite:///{tmp_path / 'other.db'}")
    other.attest(make_statement(digest="9" * 64), signer)
    mark = open_checkpoint(sign_note(other.verify(), signer, "bank.example/models"), trust)
    with raises_code(EvidenceError, "checkpoint.differs"):
        filled.verify([mark])


def test_only_a_checkpoint_key_signs_one_and_under_the_origins_name(filled: Ledger, signer, trust: TrustRoot) -> None:
    text, stranger = sign_note(filled.verify(), signer), CryptoSigner.generate_ed25519()
    with raises_code(EvidenceError, "key.unknown"):
        open_checkpoint(text, TrustRoot().with_key(stranger.public_key, ["checkpoint"]))
    with raises_code(EvidenceError, "evidence.duty"):
        open_checkpoint(text, TrustRoot().with_key(signer.public_key, ["fairness"]))
    with raises_code(EvidenceError, "signature.wrong"):
        open_checkpoint(text.replace("\n3\n", "\n2\n"), trust)
    with raises_code(EvidenceError, "key.unknown"):
        open_checkpoint(f"x{text}", trust)  # the key's name is not the origin any more
    with raises_code(EvidenceError, "key.unknown"):
        open_checkpoint(text.replace(filled.verify().origin, "other"), trust)
    others = f"{text}{sign_note(filled.verify(), stranger).rpartition(chr(10) * 2)[2]}"
    assert open_checkpoint(others, trust).size == 3  # signatures of others are not asked for


def test_of_several_signatures_of_known_keys_none_may_be_wrong(filled: Ledger, signer, trust: TrustRoot) -> None:
    second = CryptoSigner.generate_ed25519()
    both = trust.with_key(second.public_key, ["checkpoint"])
    now = filled.verify()
    lines = [sign_note(now, item, "l").rpartition("\n\n")[2] for item in (signer, second)]
    body = sign_note(now, signer, "l").rpartition("\n\n")[0]
    assert open_checkpoint(f"{body}\n\n{''.join(lines)}", both).size == 3
    wrong = sign_note(now._replace(size=2), second, "l").rpartition("\n\n")[2]
    with raises_code(EvidenceError, "signature.wrong"):
        open_checkpoint(f"{body}\n\n{lines[0]}{wrong}", both)


def test_a_key_in_pem_form_and_one_of_another_type(filled: Ledger, tmp_path: Path) -> None:
    now, private = filled.verify(), Ed25519PrivateKey.generate()
    signer = CryptoSigner(private)
    pem = SSlibKey.from_crypto(private.public_key())
    assert open_checkpoint(sign_note(now, signer), TrustRoot().with_key(pem, ["checkpoint"])).size == 3
    elliptic = CryptoSigner(generate_private_key(SECP256R1()))
    with raises_code(ConfigurationError, "note.key", match="ecdsa"):
        sign_note(now, elliptic)
    mixed = TrustRoot().with_key(elliptic.public_key, ["checkpoint"]).with_key(signer.public_key, ["checkpoint"])
    assert open_checkpoint(sign_note(now, signer), mixed).size == 3


@pytest.mark.parametrize("origin", ["", " ", "a b", "a+b", "a\nb", "a\u2028b", "\x1b[2J", "x" * 300, "a\u202eb"])
def test_an_origin_that_cannot_stand_in_a_note(filled: Ledger, signer, origin: str) -> None:
    now = filled.verify()._replace(origin=origin)
    with raises_code(ConfigurationError, "note.origin"):
        sign_note(now, signer)


ROOT = b64encode(bytes(32)).decode()
LINE = f"— l {b64encode(bytes(68)).decode()}\n"


@pytest.mark.parametrize(
    "text",
    [
        f"l\n3\n{ROOT}\n\n{LINE[:-1]}",
        f"l\n3\n{ROOT}\n{LINE}",
        f"l\n3\n{ROOT}\nmlgov-index-v1 {ROOT[:-4]}\n\n{LINE}",
        f"l\n3\n{ROOT}\nmlgov-index-v1 \n\n{LINE}",
        f"l\n3\n{ROOT}\nmlgov-index-v1 {ROOT}\nmlgov-index-v1 {ROOT}\n\n{LINE}",
        f"l\n3\n\n{LINE}",
        f"l\n03\n{ROOT}\n\n{LINE}",
        f"l\n-3\n{ROOT}\n\n{LINE}",
        f"l\n٣\n{ROOT}\n\n{LINE}",
        f"l\n9223372036854775808\n{ROOT}\n\n{LINE}",
        f"l\n{'9' * 10_000}\n{ROOT}\n\n{LINE}",
        f"l\n3\n{ROOT[:-4]}\n\n{LINE}",
        f"l\n3\n{ROOT[:-2]}B=\n\n{LINE}",
        f"l\n3\n{ROOT}\n\nextension\n\n{LINE}",
        f"\n3\n{ROOT}\n\n{LINE}",
        f"l\r\n3\r\n{ROOT}\n\n{LINE}",
        f"l\n3\n{ROOT}\n\n— l AAAA\n",
        f"l\n3\n{ROOT}\n\n— l\n— l !\n",
        f"l\n3\n{ROOT}\n\n- l {b64encode(bytes(68)).decode()}\n",
        f"l\n3\n{ROOT}\n\n{LINE}\x00\n",
        f"l\n3\n{ROOT}\n\n{LINE * (MAX_SIGNATURES + 1)}",
        f"l\n3\n{ROOT}\n{'x' * 1_000_000}\n\n{LINE}",
    ],
)
def test_what_is_no_note(text: str) -> None:
    with raises_code(EvidenceError, "note.malformed"):
        read_note(text)


def test_extension_lines_and_many_signatures_are_read() -> None:
    note = read_note(f"l\n3\n{ROOT}\nsomething else\n\n{LINE * 16}")
    assert note.text.endswith("something else\n")
    assert len(note.signatures) == 16


def test_a_folder_holds_envelopes_and_notes(filled: Ledger, signer, trust: TrustRoot, tmp_path: Path) -> None:
    place = tmp_path / "kept"
    place.mkdir()
    write_checkpoint(sign_note(filled.verify(), signer), str(place / "3.note"))
    assert not (place / "3.note").read_text().endswith("\n\n")
    assert [head.size for head in heads_at([str(place)], trust)] == [3]
    (place / "4.note").write_text((place / "3.note").read_text().replace("\n3\n", "\n4\n"))
    with raises_code(EvidenceError, "signature.wrong", match="4.note"):
        heads_at([str(place)], trust)


def test_the_commands_write_and_hold_one(
    filled: Ledger, signer, trust: TrustRoot, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    trust.save(tmp_path / "trust.json")
    ledger, sign = ["--ledger", f"sqlite:///{tmp_path / 'ledger.db'}"], ["--sign", f"local:{tmp_path / 'key.pem'}"]
    note, envelope = tmp_path / "3.note", tmp_path / "3.json"
    code, out, err = run("ledger", "checkpoint", *ledger, *sign, "--note", note, "--out", envelope, "--origin", "b/m")
    assert code == 0, err
    assert verifier_key(signer.public_key, "b/m") in out
    trusted = ["--trust", tmp_path / "trust.json"]
    for kept in (note, envelope):
        code, out, err = run("ledger", "verify", *ledger, "--checkpoint", kept, *trusted)
        assert (code, "it holds what the checkpoint of 3 entries says" in out) == (0, True), err
    monkeypatch.setenv("MLGOV_CHECKPOINT", str(note))
    monkeypatch.setenv("MLGOV_ORIGIN", "from/settings")
    assert run("ledger", "verify", *ledger, *trusted)[0] == 0
    assert run("ledger", "checkpoint", *ledger, *sign, "--note", tmp_path / "b.note")[0] == 0
    assert (tmp_path / "b.note").read_text().startswith("from/settings\n3\n")
    assert "checkpoint" in run("ledger", "checkpoint", *ledger, *sign, "--note", note)[2]
    code, _, err = run("ledger", "checkpoint", *ledger, *sign)
    assert (code, "[option.missing]" in err) == (2, True)
    note.write_text(note.read_text().replace("\n3\n", "\n4\n"))
    code, _, err = run("ledger", "verify", *ledger, *trusted)
    assert (code, "[signature.wrong]" in err) == (1, True), err
