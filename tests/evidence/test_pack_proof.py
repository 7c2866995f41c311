"""The proof of a promotion travels in the pack, and is refused where it is of anything else."""

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from securesystemslib.signer import CryptoSigner, Signer

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.checkpoints import make_checkpoint
from airflow_mlgov.evidence.hash_tree import HashTree
from airflow_mlgov.evidence.ledger import Ledger, open_ledger
from airflow_mlgov.evidence.notes import sign_note
from airflow_mlgov.evidence.pack import open_pack, write_pack
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import Context, Copy
from airflow_mlgov.evidence.tlog_proof import read_proof, write_proof
from airflow_mlgov.results import Subject
from tests.codes import raises_code
from tests.fixtures.shell import Run
from tests.worlds.samples import MODEL, STATEMENTS
from tests.worlds.statements import make_statement

NAME = "promotion.tlog-proof"


@pytest.fixture
def trust(signer: Signer) -> TrustRoot:
    return TrustRoot().with_key(signer.public_key, ["checkpoint"])


@pytest.fixture
def promoted(ledger: Ledger, signer: Signer) -> Ledger:
    """Two promotions of the same bytes, among other entries."""
    for name in ("provenance", "promotion", "approval", "promotion", "decision"):
        ledger.attest(STATEMENTS[name](), signer)
    ledger.attest(make_statement(digest="9" * 64), signer)
    return ledger


@pytest.fixture
def pack(promoted: Ledger, signer: Signer, tmp_path: Path) -> Path:
    out = tmp_path / "pack.zip"
    write_pack(promoted, MODEL, out, note=sign_note(promoted.verify(), signer, "bank.example/models"))
    return out


def members(path: Path) -> dict[str, str]:
    with ZipFile(path) as pack:
        return {name: pack.read(name).decode() for name in pack.namelist()}


def rewrite(path: Path, change: Callable[[str], str], name: str = NAME) -> None:
    files = members(path)
    files[name] = change(files[name])
    with ZipFile(path, "w") as pack:
        for each, text in files.items():
            pack.writestr(each, text)


def test_the_newest_promotion_is_proven(pack: Path, trust: TrustRoot) -> None:
    opened = open_pack(pack, trust)
    assert opened.proven is not None
    assert opened.proven.entry.seq == 4
    assert opened.facts() == [
        f"the promotion {opened.proven.entry.reference} is proven in the log bank.example/models of 6 entries"
    ]
    assert opened.walk().head.size == 6
    assert len(opened.notes(None)) == 1  # its note is a signed checkpoint


def test_a_leaf_is_computed_from_a_line_of_the_pack_alone(pack: Path) -> None:
    """As docs/transparency.md tells others to."""
    for text in members(pack)["ledger.jsonl"].splitlines():
        line = json.loads(text)
        names = ("envelope_sha256", "kind", "recorded_at", "subject_digest", "subject_name")
        row = json.dumps({name: line[name] for name in names}, separators=(",", ":"), ensure_ascii=False)
        said = b"\x01mlgov-ledger-v1\x00" + bytes.fromhex(line["prev"]) + line["seq"].to_bytes(8, "big")
        assert sha256(said + sha256(row.encode()).digest()).hexdigest() == line["hash"]


def test_a_proof_of_an_older_checkpoint(promoted: Ledger, signer: Signer, trust: TrustRoot, tmp_path: Path) -> None:
    note = sign_note(promoted.verify(), signer)
    promoted.attest(STATEMENTS["promotion"](), signer)
    write_pack(promoted, MODEL, tmp_path / "pack.zip", note=note)
    opened = open_pack(tmp_path / "pack.zip", trust)
    assert opened.proven is not None
    assert (opened.proven.entry.seq, opened.proven.head.size, opened.walk().head.size) == (4, 6, 7)


def test_what_was_never_promoted_has_no_proof(ledger: Ledger, signer: Signer, trust: TrustRoot, tmp_path: Path) -> None:
    ledger.attest(STATEMENTS["provenance"](), signer)
    write_pack(ledger, MODEL, tmp_path / "pack.zip", note=sign_note(ledger.verify(), signer))
    assert NAME not in members(tmp_path / "pack.zip")
    opened = open_pack(tmp_path / "pack.zip", trust)
    assert (opened.proven, opened.facts()) == (None, [])


def test_a_proof_of_anything_else_is_refused(pack: Path, promoted: Ledger, signer: Signer, trust: TrustRoot) -> None:
    good = members(pack)[NAME]
    tree = HashTree(bytes.fromhex(entry.hash) for entry in promoted.entries())
    note = read_proof(good).note
    other_index = write_proof(tree, 4, note)
    other_path = write_proof(tree, 1, note).replace("index 1\n", "index 3\n")
    forged = HashTree([*(bytes(32) for _ in range(3)), bytes.fromhex(promoted.get(4).hash)])
    head = promoted.verify()._replace(size=4, root=forged.root().hex())
    for text, code in (
        (other_index, "pack.proof"),
        (good.replace("index 3\n", "index 99\n"), "pack.proof"),
        (other_path, "proof.wrong"),
        (good.replace("\n6\n", "\n7\n"), "signature.wrong"),
        ("{}", "proof.malformed"),
        (good.partition("\n\n")[0] + "\n\nhello\n", "note.malformed"),
        (write_proof(forged, 3, sign_note(head, signer)), "checkpoint.differs"),  # signed, and of another history
    ):
        rewrite(pack, lambda _, text=text: text)
        with raises_code(EvidenceError, code):
            open_pack(pack, trust).walk()
    rewrite(pack, lambda _: good)
    with raises_code(EvidenceError, "key.unknown"):
        open_pack(pack, TrustRoot().with_key(CryptoSigner.generate_ed25519().public_key, ["checkpoint"]))
    rewrite(pack, lambda text: text.rstrip("\n").rpartition("\n")[0] + "\n", "ledger.jsonl")
    with raises_code(EvidenceError, "ledger.tail_cut"):
        open_pack(pack, trust).walk()


@pytest.mark.parametrize("other", [replace(MODEL, name="other"), replace(MODEL, version="4")], ids=["name", "version"])
def test_a_promotion_of_the_same_bytes_by_another_name_or_number_is_not_this_ones(
    ledger: Ledger, signer: Signer, trust: TrustRoot, tmp_path: Path, other: Subject
) -> None:
    own, out = ledger.attest(STATEMENTS["promotion"](), signer), tmp_path / "pack.zip"
    theirs = ledger.attest(replace(STATEMENTS["promotion"](), subject=other), signer)
    note = sign_note(ledger.verify(), signer)
    write_pack(ledger, MODEL, out, note=note)
    proven = open_pack(out, trust).proven
    assert proven is not None
    assert proven.entry == own
    tree = HashTree(bytes.fromhex(entry.hash) for entry in ledger.entries())
    rewrite(out, lambda _: write_proof(tree, theirs.seq - 1, note))
    with raises_code(EvidenceError, "pack.proof"):
        open_pack(out, trust)
    rewrite(out, lambda text: text.replace(json.dumps(theirs.envelope), '""'), "ledger.jsonl")  # nor withheld
    with raises_code(EvidenceError, "pack.proof"):
        open_pack(out, trust)


def test_a_copy_is_promoted_by_the_promotion_of_what_it_was_made_of(
    ledger: Ledger, signer: Signer, trust: TrustRoot, tmp_path: Path
) -> None:
    copy = replace(MODEL, name="prod.credit_risk", version="1")
    moved = ledger.attest(replace(STATEMENTS["promotion"](), copy=Copy(copy)), signer)
    for model in (copy, MODEL):
        out = tmp_path / f"{model.name}.zip"
        write_pack(ledger, model, out, note=sign_note(ledger.verify(), signer))
        proven = open_pack(out, trust).proven
        assert proven is not None
        assert proven.entry == moved
    write_pack(ledger, replace(copy, version="2"), tmp_path / "2.zip", note=sign_note(ledger.verify(), signer))
    assert open_pack(tmp_path / "2.zip", trust).proven is None


def test_a_note_of_another_ledger_is_not_packed(promoted: Ledger, signer: Signer, tmp_path: Path) -> None:
    other = open_ledger(f"sqlite:///{tmp_path / 'other.db'}")
    for name in ("provenance", "promotion"):
        other.attest(STATEMENTS[name](), signer)
    with raises_code(EvidenceError, "checkpoint.differs"):
        write_pack(promoted, MODEL, tmp_path / "pack.zip", note=sign_note(other.verify(), signer))
    assert not (tmp_path / "pack.zip").exists()


def test_a_key_of_another_type_packs_an_envelope_alone(promoted: Ledger, tmp_path: Path) -> None:
    elliptic = CryptoSigner(generate_private_key(SECP256R1()))
    write_pack(promoted, MODEL, tmp_path / "pack.zip", make_checkpoint(promoted, elliptic, Context("test")))
    opened = open_pack(tmp_path / "pack.zip", TrustRoot().with_key(elliptic.public_key, ["checkpoint"]))
    assert (opened.proven, opened.checkpoint and opened.checkpoint.size) == (None, 6)


def test_the_command_tells_of_it(pack: Path, signer: Signer, run: Run, tmp_path: Path) -> None:
    trust = TrustRoot().with_key(signer.public_key, ["checkpoint", "promotion"])
    trust.save(tmp_path / "trust.json")
    _, out, _ = run("verify", "--pack", pack, "--trust", tmp_path / "trust.json")
    assert "is proven in the log bank.example/models of 6 entries" in out
    rewrite(pack, lambda text: text.replace("index 3\n", "index 1\n"))
    code, _, err = run("verify", "--pack", pack, "--trust", tmp_path / "trust.json")
    assert (code, "[proof.wrong]" in err) == (1, True)
