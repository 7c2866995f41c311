"""Proofs that travel: what is none, and what is none of this log."""

from base64 import b64encode

import pytest
from securesystemslib.signer import CryptoSigner

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.chain import Head
from airflow_mlgov.evidence.hash_tree import HashTree
from airflow_mlgov.evidence.notes import sign_note
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.tlog_proof import read_proof, require_proof, write_proof
from tests.codes import raises_code

DATA = [bytes([number]) * 32 for number in range(20)]
TREE = HashTree(DATA)


def note_of(tree: HashTree, signer: CryptoSigner, origin: str = "l") -> str:
    return sign_note(Head(tree.size, "", tree.root().hex(), origin), signer)


@pytest.fixture
def key() -> CryptoSigner:
    return CryptoSigner.generate_ed25519()


@pytest.mark.parametrize("size", [1, 2, 7, 8, 19, 20])
def test_every_entry_is_proven_in_a_log_that_may_have_grown_since(key: CryptoSigner, size: int) -> None:
    trust, note = TrustRoot().with_key(key.public_key, ["checkpoint"]), note_of(HashTree(DATA[:size]), key)
    for index in range(size):
        text = write_proof(TREE, index, note)
        assert text.startswith(f"c2sp.org/tlog-proof@v1\nindex {index}\n")
        assert text.endswith(f"\n\n{note}")
        assert require_proof(read_proof(text), DATA[index], trust).size == size
        with raises_code(EvidenceError, "proof.wrong"):
            require_proof(read_proof(text), DATA[index - 1] if size > 1 else DATA[5], trust)
        if index:
            moved = text.replace(f"index {index}\n", "index 0\n")
            with raises_code(EvidenceError, "proof.wrong"):
                require_proof(read_proof(moved), DATA[index], trust)


def test_nothing_is_proven_in_another_log(key: CryptoSigner) -> None:
    for other in (HashTree(DATA[1:]), HashTree([*DATA, DATA[0]])):
        with raises_code(EvidenceError, "checkpoint.differs"):
            write_proof(TREE, 3, note_of(other, key))
    text = write_proof(TREE, 3, note_of(TREE, key))
    stranger = TrustRoot().with_key(CryptoSigner.generate_ed25519().public_key, ["checkpoint"])
    with raises_code(EvidenceError, "key.unknown"):
        require_proof(read_proof(text), DATA[3], stranger)


def test_extra_data_are_let_by_and_not_read(key: CryptoSigner) -> None:
    text = write_proof(TREE, 3, note_of(TREE, key))
    extra = text.replace("@v1\n", f"@v1\nextra {b64encode(b'anything').decode()}\n", 1)
    assert read_proof(extra) == read_proof(text)


FORM, HASH = "c2sp.org/tlog-proof@v1", b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v2\nindex 0\n\nl\n",
        f"{FORM}\n\nl\n",
        f"{FORM}\nindex 0\n",
        f"{FORM}\nindex 01\n\nl\n",
        f"{FORM}\nindex -1\n\nl\n",
        f"{FORM}\nindex ٣\n\nl\n",
        f"{FORM}\nindex {'9' * 5_000}\n\nl\n",
        f"{FORM}\nextra !\nindex 0\n\nl\n",
        f"{FORM}\nindex 0\nextra AAAA\n\nl\n",
        f"{FORM}\nindex 0\n{HASH[:-4]}\n\nl\n",
        f"{FORM}\nindex 0\n{HASH} \n\nl\n",
        f"{FORM}\nindex 0\n{(HASH + chr(10)) * 64}\nl\n",
        f"{FORM}\r\nindex 0\r\n\r\nl\n",
        f"{FORM}\nindex 0\n\n{'x' * 2_000_000}",
    ],
)
def test_what_is_no_proof(text: str) -> None:
    with raises_code(EvidenceError, "proof.malformed"):
        read_proof(text)
