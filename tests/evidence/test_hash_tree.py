"""The tree and its proofs against the recursive definition of RFC 6962, section 2.1, at many sizes."""

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.hash_tree import HashTree, leaf_hash, require_consistency, require_inclusion
from airflow_mlgov.evidence.merkle import MerkleRoot
from tests.codes import raises_code

DATA = [hashlib.sha256(str(number).encode()).digest() for number in range(700)]
TREE = HashTree(DATA)


def mth(data: list[bytes]) -> bytes:
    """MTH, word for word."""
    if not data:
        return hashlib.sha256(b"").digest()
    if len(data) == 1:
        return hashlib.sha256(b"\x00" + data[0]).digest()
    k = split(len(data))
    return hashlib.sha256(b"\x01" + mth(data[:k]) + mth(data[k:])).digest()


def split(count: int) -> int:
    k = 1
    while 2 * k < count:
        k *= 2
    return k


def path(m: int, data: list[bytes]) -> list[bytes]:
    """PATH, word for word."""
    if len(data) == 1:
        return []
    k = split(len(data))
    return [*path(m, data[:k]), mth(data[k:])] if m < k else [*path(m - k, data[k:]), mth(data[:k])]


def subproof(m: int, data: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF, word for word; PROOF is that of the whole."""
    if m == len(data):
        return [] if whole else [mth(data)]
    k = split(len(data))
    if m <= k:
        return [*subproof(m, data[:k], whole), mth(data[k:])]
    return [*subproof(m - k, data[k:], False), mth(data[:k])]


def test_roots_of_every_size() -> None:
    running = MerkleRoot()
    assert TREE.root(0) == mth([])
    for size in range(1, 300):
        running.add(DATA[size - 1])
        assert TREE.root(size) == mth(DATA[:size]) == bytes.fromhex(running.hexdigest())


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_paths_of_inclusion(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(DATA)))
    index = data.draw(st.integers(0, size - 1))
    found, root = TREE.inclusion(index, size), TREE.root(size)
    assert found == path(index, DATA[:size])
    require_inclusion(leaf_hash(DATA[index]), index, size, found, root)
    others = [
        (index, size, [*found, root]),
        (index, size, found[:-1] if found else [root]),
        (index + 1, size, found),
        (index, size, [*found[:-1], bytes(32)] if found else [bytes(32)]),
    ]
    for other in others:
        with raises_code(EvidenceError, "proof.wrong"):
            require_inclusion(leaf_hash(DATA[index]), *other, root)
    with raises_code(EvidenceError, "proof.wrong"):
        require_inclusion(leaf_hash(b"another"), index, size, found, root)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_proofs_of_consistency(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, len(DATA)))
    old = data.draw(st.integers(1, new))
    found, roots = TREE.consistency(old, new), (TREE.root(old), TREE.root(new))
    assert found == subproof(old, DATA[:new], True)
    require_consistency(old, new, *roots, found)
    forked = HashTree([*DATA[: old - 1], b"another"]).root()
    for a, b, proof in (
        (forked, roots[1], found),
        (roots[0], forked, found),
        (*roots, [*found, roots[0]]),
        (*roots, [*found[:-1], bytes(32)] if found else [bytes(32)]),
    ):
        with raises_code(EvidenceError, "proof.wrong"):
            require_consistency(old, new, a, b, proof)


def test_every_pair_of_small_sizes() -> None:
    for new in range(1, 34):
        for old in range(1, new + 1):
            require_consistency(old, new, TREE.root(old), TREE.root(new), TREE.consistency(old, new))
        for index in range(new):
            require_inclusion(leaf_hash(DATA[index]), index, new, TREE.inclusion(index, new), TREE.root(new))


def test_a_proof_of_another_size_proves_nothing() -> None:
    draw = random.Random(24)
    for _ in range(200):
        size, other = draw.sample(range(2, len(DATA)), 2)
        index = draw.randrange(min(size, other))
        with raises_code(EvidenceError, "proof.wrong"):
            require_inclusion(leaf_hash(DATA[index]), index, other, TREE.inclusion(index, size), TREE.root(other))


@pytest.mark.parametrize("numbers", [(-1, 4), (4, 4), (0, 0), (0, 2**70)])
def test_numbers_that_no_tree_has(numbers: tuple[int, int]) -> None:
    with raises_code(EvidenceError, "proof.wrong"):
        require_inclusion(bytes(32), *numbers, [], bytes(32))
    with raises_code(EvidenceError, "proof.wrong"):
        require_consistency(5, numbers[0], bytes(32), bytes(32), [])


def test_what_the_tree_does_not_have_is_not_proven() -> None:
    for act in (
        lambda: TREE.root(701),
        lambda: TREE.inclusion(5, 5),
        lambda: TREE.consistency(0),
        lambda: TREE.consistency(9, 8),
    ):
        with pytest.raises(ValueError, match="leaves"):
            act()
