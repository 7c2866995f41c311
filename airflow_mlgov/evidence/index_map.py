"""The ledger's index as an authenticated map: from what a decision looks entries up by to a mark of all entries about
it.

A trie over the hashes of the keys, each node named by its hash, so that one hash, the root, binds all marks, and what
was bound once stays readable. Knows no ledger and no database: nodes come from whoever has them, and are held against
their names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from airflow_mlgov.errors import EvidenceError

_DOMAIN = b"\x01mlgov-index-v1\x00"
_WIDTH = 32
EMPTY = bytes(_WIDTH)
"""The root of an index of nothing."""
Load = Callable[[Sequence[bytes]], Mapping[bytes, bytes]]
"""Nodes by their hashes, as somebody has them; those that are not there are left out."""


class Mark(NamedTuple):
    """All entries about one key, as one value."""

    total: int
    running: bytes
    """SHA-256 over the one before and the number and hash of the newest entry."""

    def of(self, seq: int, entry_hash: str) -> Mark:
        """With one entry more."""
        more = self.running + seq.to_bytes(8, "big") + bytes.fromhex(entry_hash)
        return Mark(self.total + 1, hashlib.sha256(more).digest())


NOTHING = Mark(0, bytes(_WIDTH))
"""The mark of a key that no entry is about."""


class _Leaf(NamedTuple):
    key: bytes
    mark: Mark

    @property
    def text(self) -> bytes:
        return b"\x00" + self.key + self.mark.total.to_bytes(8, "big") + self.mark.running


class _Fork(NamedTuple):
    bit: int
    """The first, from 0, in which the keys below differ."""
    sides: tuple[bytes, bytes]

    @property
    def text(self) -> bytes:
        return b"\x01" + self.bit.to_bytes(2, "big") + self.sides[0] + self.sides[1]

    def with_side(self, side: int, node: bytes) -> _Fork:
        return _Fork(self.bit, (node, self.sides[1]) if side == 0 else (self.sides[0], node))


class IndexMap:
    """An index at one root, and what is put into it.

    :param root: its root
    :param load: where its nodes are had; None: there are none elsewhere, and what is replaced is forgotten
    """

    def __init__(self, root: bytes = EMPTY, load: Load | None = None) -> None:
        self.root, self._load = root, load
        self._nodes: dict[bytes, _Leaf | _Fork] = {}
        self._fresh: set[bytes] = set()

    @classmethod
    def of(cls, marks: Mapping[str, Mark]) -> IndexMap:
        """The index of some keys."""
        made = cls()
        leaves = sorted(_Leaf(_hashed(key), mark) for key, mark in marks.items())
        if leaves:
            made.root = made._build(leaves, 0, len(leaves))
        return made

    @property
    def fresh(self) -> dict[bytes, bytes]:
        """The nodes that were made here and are reached from the root, by their hashes."""
        return {name: self._nodes[name].text for name in self._fresh}

    def copy(self) -> IndexMap:
        """Another that goes on from here."""
        made = IndexMap(self.root, self._load)
        made._nodes, made._fresh = dict(self._nodes), set(self._fresh)
        return made

    def prepare(self, keys: Iterable[str]) -> None:
        """Have the nodes on the way to some keys, read level by level.

        :raises EvidenceError: one is not there (``index.node_missing``), or is another than its name says
            (``index.node_wrong``)
        """
        ways = dict.fromkeys(map(_hashed, keys), self.root) if self.root != EMPTY else {}
        while ways:
            self._read(ways.values())
            ways = {
                key: node.sides[_bit(key, node.bit)]
                for key, name in ways.items()
                if isinstance(node := self._nodes[name], _Fork)
            }

    def require(self, names: Iterable[bytes]) -> None:
        """Have some nodes, all of an index for instance. Errors as of :meth:`prepare`."""
        self._read(names)

    def get(self, key: str) -> Mark:
        """The mark of a key; :data:`NOTHING` if no entry is about it. Errors as of :meth:`prepare`."""
        self.prepare([key])
        found = self._way(_hashed(key))[1]
        return found.mark if found is not None and found.key == _hashed(key) else NOTHING

    def put(self, key: str, mark: Mark) -> None:
        """Another mark for a key. Errors as of :meth:`prepare`."""
        self.prepare([key])
        leaf = _Leaf(_hashed(key), mark)
        way, found = self._way(leaf.key)
        node = self._keep(leaf)
        if found is not None and found.key != leaf.key:
            bit = _first_difference(found.key, leaf.key)
            above = [step for step in way if step.bit < bit]
            beside = self.root if not above else above[-1].sides[_bit(leaf.key, above[-1].bit)]
            fork = _Fork(bit, (node, beside)) if _bit(leaf.key, bit) == 0 else _Fork(bit, (beside, node))
            way, node = above, self._keep(fork)
        elif found is not None:
            self._drop(found, node)
        for step in reversed(way):
            below, node = node, self._keep(step.with_side(_bit(leaf.key, step.bit), node))
            if below != node:
                self._drop(step, node)
        self.root = node

    def _way(self, key: bytes) -> tuple[list[_Fork], _Leaf | None]:
        """The forks on the way to a key from the root, and the leaf at its end; its nodes were read."""
        way: list[_Fork] = []
        name = self.root
        if name == EMPTY:
            return way, None
        while isinstance(node := self._nodes[name], _Fork):
            way.append(node)
            name = node.sides[_bit(key, node.bit)]
        return way, node

    def _build(self, leaves: Sequence[_Leaf], low: int, high: int) -> bytes:
        if high - low == 1:
            return self._keep(leaves[low])
        bit = _first_difference(leaves[low].key, leaves[high - 1].key)
        first, last = low + 1, high - 1  # the first whose bit is set
        while first < last:
            middle = (first + last) // 2
            first, last = (first, middle) if _bit(leaves[middle].key, bit) else (middle + 1, last)
        return self._keep(_Fork(bit, (self._build(leaves, low, first), self._build(leaves, first, high))))

    def _keep(self, node: _Leaf | _Fork) -> bytes:
        name = hashlib.sha256(_DOMAIN + node.text).digest()
        if name not in self._nodes:
            self._nodes[name] = node
            self._fresh.add(name)
        return name

    def _drop(self, node: _Leaf | _Fork, by: bytes) -> None:
        """Forget what was made here and is reached no more."""
        name = hashlib.sha256(_DOMAIN + node.text).digest()
        if name != by and name in self._fresh:
            self._fresh.remove(name)
            del self._nodes[name]

    def _read(self, names: Iterable[bytes]) -> None:
        wanted = [name for name in dict.fromkeys(names) if name not in self._nodes]
        found = self._load(wanted) if wanted and self._load else {}
        for name in wanted:
            text = found.get(name)
            if text is None:
                raise EvidenceError(
                    f"the ledger's index has no node {name.hex()[:16]}: it was removed; `mlgov ledger rebuild` makes "
                    "the index again from the entries",
                    code="index.node_missing",
                )
            node = _parsed(text) if hashlib.sha256(_DOMAIN + text).digest() == name else None
            if node is None:
                raise EvidenceError(
                    f"the node {name.hex()[:16]} of the ledger's index is not what it was: it was changed; `mlgov "
                    "ledger rebuild` makes the index again from the entries",
                    code="index.node_wrong",
                )
            self._nodes[name] = node


def _hashed(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _bit(key: bytes, bit: int) -> int:
    return key[bit >> 3] >> (7 - (bit & 7)) & 1


def _first_difference(one: bytes, other: bytes) -> int:
    differing = int.from_bytes(one, "big") ^ int.from_bytes(other, "big")
    return 8 * _WIDTH - differing.bit_length()


def _parsed(text: bytes) -> _Leaf | _Fork | None:
    if text[:1] == b"\x00" and len(text) == 1 + _WIDTH + 8 + _WIDTH:
        return _Leaf(text[1:33], Mark(int.from_bytes(text[33:41], "big"), text[41:]))
    if text[:1] == b"\x01" and len(text) == 3 + 2 * _WIDTH and (bit := int.from_bytes(text[1:3], "big")) < 8 * _WIDTH:
        return _Fork(bit, (text[3:35], text[35:]))
    return None
