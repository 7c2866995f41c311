"""The Merkle tree of RFC 6962 with its inner nodes, and the proofs that it gives: that an entry is in it, and that it
only grew. Knows no ledger: it takes 32 bytes a leaf, and hands out hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from airflow_mlgov.errors import EvidenceError

WIDTH = 32
"""Bytes of a hash."""
MOST_LEAVES = 2**63 - 1


def leaf_hash(data: bytes) -> bytes:
    """The node that stands for one leaf's data."""
    return hashlib.sha256(b"\x00" + data).digest()


def inner_hash(left: bytes, right: bytes) -> bytes:
    """The node that stands for two."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """The proofs of a tree whose perfect subtrees somebody has: what they are is for :meth:`nodes` to say."""

    @property
    def size(self) -> int:
        """How many leaves."""
        raise NotImplementedError

    def nodes(self, level: int, first: int, count: int) -> bytes:
        """The hashes of consecutive perfect subtrees, one behind the other: what a tile holds.

        :param level: of subtrees of ``2**level`` leaves
        """
        raise NotImplementedError

    def root(self, size: int | None = None) -> bytes:
        """The tree hash, now or when it had ``size`` leaves; of none, the hash of the empty string."""
        wanted = self._within(self.size if size is None else size)
        return self._hash(0, wanted) if wanted else hashlib.sha256().digest()

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """The path that proves a leaf, from its sibling up (RFC 6962, section 2.1.1).

        :param index: of the leaf, from 0
        :param size: of the tree that it is proven in; as it is now if omitted
        """
        low, high = 0, self._within(self.size if size is None else size)
        if not 0 <= index < high:
            raise ValueError(f"a tree of {high} leaves has no leaf {index}")
        path = []
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                path.append(self._hash(middle, high))
                high = middle
            else:
                path.append(self._hash(low, middle))
                low = middle
        return path[::-1]

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """The proof that the tree of ``old`` leaves is the start of that of ``new`` (RFC 6962, section 2.1.2).

        :param old: 1 or more
        :param new: as it is now if omitted
        """
        low, high = 0, self._within(self.size if new is None else new)
        if not 0 < old <= high:
            raise ValueError(f"a tree of {high} leaves has no start of {old}")
        path: list[bytes] = []
        while old != high:
            middle = low + _split(high - low)
            if old <= middle:
                path.append(self._hash(middle, high))
                high = middle
            else:
                path.append(self._hash(low, middle))
                low = middle
        if low:
            path.append(self._hash(low, high))
        return path[::-1]

    def peaks(self, size: int) -> list[bytes]:
        """The perfect subtrees that the digits of a size name, widest first: all that later leaves need to know."""
        found, low = [], 0
        for level in reversed(range(self._within(size).bit_length())):
            if size >> level & 1:
                found.append(self.nodes(level, low >> level, 1))
                low += 1 << level
        return found

    def _within(self, size: int) -> int:
        if not 0 <= size <= self.size:
            raise ValueError(f"the tree has {self.size} leaves, not {size}")
        return size

    def _hash(self, low: int, high: int) -> bytes:
        """Of the leaves from ``low`` on, before ``high``: a subtree of the recursive definition."""
        count = high - low
        if not count & (count - 1):
            level = count.bit_length() - 1
            return self.nodes(level, low >> level, 1)
        middle = low + _split(count)
        return inner_hash(self._hash(low, middle), self._hash(middle, high))


class HashTree(Tree):
    """A tree with all its perfect subtrees in memory, 64 bytes a leaf.

    :param leaves: each leaf's data, in order
    """

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[bytearray] = [bytearray()]
        """At ``k`` the hashes of the perfect subtrees of ``2**k`` leaves, from the left."""
        for data in leaves:
            self.add(data)

    @property
    def size(self) -> int:
        """How many leaves."""
        return len(self._levels[0]) // WIDTH

    @property
    def height(self) -> int:
        """How many levels have nodes."""
        return len(self._levels)

    def add(self, data: bytes) -> None:
        """The next leaf's data."""
        node, level = leaf_hash(data), 0
        self._levels[0] += node
        while not len(self._levels[level]) // WIDTH & 1:
            node = inner_hash(bytes(self._levels[level][-2 * WIDTH : -WIDTH]), node)
            level += 1
            if level == len(self._levels):
                self._levels.append(bytearray())
            self._levels[level] += node

    def nodes(self, level: int, first: int, count: int) -> bytes:
        """See :meth:`Tree.nodes`."""
        if level >= len(self._levels):
            return b""
        return bytes(self._levels[level][first * WIDTH : (first + count) * WIDTH])


def _split(count: int) -> int:
    """The largest power of two below ``count``."""
    return int(1 << ((count - 1).bit_length() - 1))


def require_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Refuse a path that does not lead from a leaf to the root (RFC 9162, section 2.1.3.2).

    :param leaf: its :func:`leaf_hash`
    :raises EvidenceError: it does not (``proof.wrong``)
    """
    sides = _sides(index, size - 1, len(path)) if 0 <= index < size <= MOST_LEAVES else None
    node = leaf
    for sibling, is_left in zip(path, sides or (), strict=sides is not None):
        node = inner_hash(sibling, node) if is_left else inner_hash(node, sibling)
    if sides is None or node != root:
        raise EvidenceError(
            f"the proof does not lead from entry {index + 1} to the root of the tree of {size} entries",
            code="proof.wrong",
        )


def require_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """Refuse a proof that does not show one tree to be the start of another (RFC 9162, section 2.1.4.2).

    :param old: leaves of the first, 1 or more
    :raises EvidenceError: it does not (``proof.wrong``)
    """
    if not 0 < old <= new <= MOST_LEAVES or not _goes_on(old, new, (old_root, new_root), path):
        raise EvidenceError(
            f"the proof does not show that the tree of {new} entries goes on from that of {old}", code="proof.wrong"
        )


def _goes_on(old: int, new: int, roots: tuple[bytes, bytes], path: Sequence[bytes]) -> bool:
    if old == new:
        return not path and roots[0] == roots[1]
    steps = [*path] if old & (old - 1) else [roots[0], *path]
    whole = (old & -old).bit_length() - 1  # height of the last perfect subtree of the old tree
    sides = _sides((old - 1) >> whole, (new - 1) >> whole, len(steps) - 1)
    if sides is None:
        return False
    was = now = steps[0]
    for sibling, is_left in zip(steps[1:], sides, strict=True):
        was = inner_hash(sibling, was) if is_left else was
        now = inner_hash(sibling, now) if is_left else inner_hash(now, sibling)
    return (was, now) == roots


def _sides(place: int, last: int, steps: int) -> list[bool] | None:
    """At each step up from a node, whether its sibling is the left one; None if it is another number of steps.

    :param place: of the node in its level, from the left
    :param last: of the level's last node
    """
    sides: list[bool] = []
    while last and len(sides) < steps:
        sides.append(bool(place & 1) or place == last)
        if sides[-1]:
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        place, last = place >> 1, last >> 1
    return sides if last == 0 and len(sides) == steps else None
