"""The tree over a ledger's entries, kept in its database beside them, so that a proof takes a few reads and no walk.

Nothing that is read here is believed: whoever takes a proof holds it against a root that somebody has signed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.hash_tree import WIDTH, HashTree, Tree, inner_hash, leaf_hash
from airflow_mlgov.evidence.ledger_schema import IN_PARTS, nodes, table

T = TypeVar("T")
_BATCH = 300
_DEEPEST = 62
"""Level above which there is no node, however many entries."""
_PUT = sa.text(
    "INSERT INTO mlgov_ledger_nodes (level, place, hash) VALUES (:level, :place, :hash) ON CONFLICT DO NOTHING"
)
Place = tuple[int, int]
"""Level and place of a node, from the left."""


class StoredTree(Tree):
    """The tree of a ledger's first entries, each node read once.

    :param size: how many entries
    :param known: nodes that need not be read
    """

    def __init__(self, connection: Connection, size: int, known: Mapping[Place, bytes] | None = None) -> None:
        self._connection, self._size = connection, size
        self._known = dict(known or {})

    @property
    def size(self) -> int:
        """How many entries."""
        return self._size

    def nodes(self, level: int, first: int, count: int) -> bytes:
        """See :meth:`Tree.nodes`.

        :raises EvidenceError: one is not there, or is none (``tree.node_missing``)
        """
        wanted = [(level, place) for place in range(first, first + count)]
        self._read(place for place in wanted if place not in self._known)
        missing = next((place for place in wanted if place not in self._known), None)
        if missing is not None:
            raise EvidenceError(
                f"the ledger's tree has no node {missing[1]} at level {missing[0]}: it was removed, or the ledger is "
                "older than its tree; `mlgov ledger rebuild` makes the tree again from the entries",
                code="tree.node_missing",
            )
        return b"".join(self._known[place] for place in wanted)

    def prepare(self, ask: Callable[[Tree], object]) -> None:
        """Read what some proofs will ask for in a few queries.

        :param ask: asks them of a tree that only notes what is wanted
        """
        plan = _Plan(self._size)
        ask(plan)
        self._read(place for place in plan.wanted if place not in self._known)

    def _read(self, places: Iterable[Place]) -> None:
        wanted = list(dict.fromkeys(places))
        for leaves in _parts(place + 1 for level, place in wanted if level == 0):
            of_leaves = sa.select(table.c.seq, table.c.hash).where(table.c.seq.in_(leaves))
            for row in self._connection.execute(of_leaves):
                self._keep((0, row.seq - 1), row.hash, leaf_hash)
        for inner in _parts(place for place in wanted if place[0]):
            for row in self._connection.execute(sa.select(nodes).where(_any_of(inner))):
                self._keep((row.level, row.place), row.hash, bytes)

    def _keep(self, place: Place, text: str, of: Callable[[bytes], bytes]) -> None:
        try:
            data = bytes.fromhex(text)
        except (TypeError, ValueError):
            return
        if len(data) == WIDTH:
            self._known[place] = of(data)


class _Plan(Tree):
    """Notes which nodes are asked for."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.wanted: list[Place] = []

    @property
    def size(self) -> int:
        return self._size

    def nodes(self, level: int, first: int, count: int) -> bytes:
        self.wanted += [(level, place) for place in range(first, first + count)]
        return bytes(WIDTH * count)


def completed(tree: Tree, seq: int, hash_: str) -> list[tuple[int, int, bytes]]:
    """Level, place and hash of each subtree that an entry completes. None where one that it needs is not there, a
    ledger of before the tree: that is made whole by :func:`fill`.

    :param tree: of the entries before
    """
    place, level, node = seq - 1, 0, leaf_hash(bytes.fromhex(hash_))
    made: list[tuple[int, int, bytes]] = []
    with suppress(EvidenceError):
        if place & 1 and place > 1:
            tree.nodes(1, (place >> 1) - 1, 1)  # the last one that was to be written
        while place & 1:
            node, level, place = inner_hash(tree.nodes(level, place - 1, 1), node), level + 1, place >> 1
            made.append((level, place, node))
    return made


def grow(connection: Connection, seq: int, prev: str, hash_: str) -> None:
    """Write the subtrees that an entry completes, see :func:`completed`.

    :param prev: hash of the entry before
    """
    tree = StoredTree(connection, seq - 1, {(0, seq - 2): leaf_hash(bytes.fromhex(prev))})
    made = completed(tree, seq, hash_)
    if made:
        connection.execute(_PUT, [{"level": level, "place": place, "hash": node.hex()} for level, place, node in made])


def fill(connection: Connection, tree: HashTree) -> None:
    """Write the subtrees of a tree that are not there."""
    for part in _parts(_rows(tree), 5000):
        connection.execute(_PUT, part)


def has_nodes(connection: Connection) -> bool:
    """Whether any node is kept."""
    return connection.execute(sa.select(nodes.c.level).limit(1)).first() is not None


def complete(connection: Connection, leaves: Iterable[bytes]) -> None:
    """Make the kept tree whole, for a ledger that is older than it.

    :param leaves: of the entries that were walked; of those that came since the database is asked
    """
    size = connection.scalar(sa.select(sa.func.max(table.c.seq))) or 0
    kept = connection.scalar(sa.select(sa.func.count()).select_from(nodes)) or 0
    if kept >= size - size.bit_count():
        return
    tree = HashTree(leaves)
    newer = sa.select(table.c.hash).where(table.c.seq > tree.size).order_by(table.c.seq)
    for text in connection.scalars(newer):
        tree.add(bytes.fromhex(text))
    fill(connection, tree)


def _rows(tree: HashTree) -> Iterator[dict[str, object]]:
    for level in range(1, tree.height):
        for place in range(tree.size >> level):
            yield {"level": level, "place": place, "hash": tree.nodes(level, place, 1).hex()}


def require_no_more(connection: Connection, size: int) -> None:
    """Refuse a kept tree that has a node of entries beyond a size.

    :raises EvidenceError: it has (``tree.node_foreign``)
    """
    last = sa.select(nodes.c.level, sa.func.min(nodes.c.place), sa.func.max(nodes.c.place)).group_by(nodes.c.level)
    for level, least, most in connection.execute(last):
        if not 1 <= level <= _DEEPEST or least < 0 or (most + 1) << level > size:
            raise EvidenceError(
                f"the ledger's tree has a node {most} at level {level}, and no entries for it: the ledger's tail was "
                f"cut, or somebody put it there; where a checkpoint of {size} entries says that these are all, "
                "`mlgov ledger rebuild --checkpoint` makes the tree again from them",
                code="tree.node_foreign",
            )


def require_tree(connection: Connection, tree: HashTree) -> None:
    """Refuse a kept tree that is not that of the entries.

    :param tree: made from entries that were walked
    :raises EvidenceError: a node is another (``tree.node_wrong``), is missing (``tree.node_missing``), or is of no
        entry (``tree.node_foreign``)
    """
    require_no_more(connection, tree.size)
    query = sa.select(nodes).order_by(nodes.c.level, nodes.c.place)
    found, expected = 0, sum(tree.size >> level for level in range(1, tree.height))
    for row in connection.execute(query, execution_options=IN_PARTS):
        if tree.nodes(row.level, row.place, 1).hex() != row.hash:
            raise EvidenceError(
                f"node {row.place} at level {row.level} of the ledger's tree is not that of its entries: it was "
                "changed; `mlgov ledger rebuild` makes the tree again from the entries",
                code="tree.node_wrong",
            )
        found += 1
    if found != expected:
        raise EvidenceError(
            f"the ledger's tree has {found} of {expected} nodes: some were removed, or the ledger is older than its "
            "tree; `mlgov ledger rebuild` makes it again from the entries",
            code="tree.node_missing",
        )


def _any_of(places: Iterable[Place]) -> sa.ColumnElement[bool]:
    """Level by level: SQLite reads the whole table for pairs in a list."""
    by_level: dict[int, list[int]] = {}
    for level, place in places:
        by_level.setdefault(level, []).append(place)
    return sa.or_(*(sa.and_(nodes.c.level == level, nodes.c.place.in_(found)) for level, found in by_level.items()))


def _parts(rows: Iterable[T], size: int = _BATCH) -> Iterator[list[T]]:
    left = iter(rows)
    return iter(lambda: list(islice(left, size)), [])
