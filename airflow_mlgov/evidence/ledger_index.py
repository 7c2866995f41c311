"""The index beside a ledger: its nodes in the database, what promotions say that its root was, and the walk that holds
the kept tree and index against the entries and makes them again.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.chain import Entry, Head, Trail, keys_of, mark_entry
from airflow_mlgov.evidence.digests import parse_json
from airflow_mlgov.evidence.hash_tree import HashTree
from airflow_mlgov.evidence.index_map import EMPTY, IndexMap, Mark
from airflow_mlgov.evidence.ledger_schema import index, nodes, table
from airflow_mlgov.evidence.ledger_tree import fill, has_nodes, require_tree
from airflow_mlgov.evidence.statements import PromotionStatement

_BATCH, _FEW = 500, 20
_PUT = sa.text("INSERT INTO mlgov_ledger_index (hash, node) VALUES (:hash, :node) ON CONFLICT DO NOTHING")


class Claim(NamedTuple):
    """What an entry, or a checkpoint, says that the ledger was, its index too."""

    seq: int
    """Number of the entry; 0 of a checkpoint."""
    mark: Head

    @property
    def by(self) -> str:
        """Who says it."""
        return f"ledger:{self.seq}" if self.seq else f"the checkpoint of {self.mark.origin}"


def claim_of(entry: Entry) -> Claim | None:
    """What a promotion says, its signature unchecked; None if it says nothing of an index, or is no promotion."""
    if entry.kind != PromotionStatement.kind:
        return None
    try:
        said = parse_json(b64decode(parse_json(entry.envelope)["payload"]))["predicate"]["checkpoint"]
        mark = Head(**said)
    except (KeyError, TypeError, ValueError):
        return None
    return Claim(entry.seq, mark) if mark.index_root and type(mark.size) is int and mark.size < entry.seq else None


def claims(connection: Connection, believed: Callable[[Entry], bool]) -> Iterator[Claim]:
    """What promotions say, the newest first, read in small parts.

    :param believed: whether an entry's statement verifies
    """
    query = sa.select(table).where(table.c.kind == PromotionStatement.kind).order_by(table.c.seq.desc()).limit(_FEW)
    part = [Entry(**row) for row in connection.execute(query).mappings()]
    while part:
        for entry in part:
            claim = claim_of(entry)
            if claim is not None and believed(entry):
                yield claim
        part = [Entry(**row) for row in connection.execute(query.where(table.c.seq < part[-1].seq)).mappings()]


def entries_about(connection: Connection, key: str, size: int, most: int) -> list[Entry]:
    """The entries about a key, see :func:`~airflow_mlgov.evidence.chain.keys_of`, as the database has them.

    :param size: only of so many first entries
    :param most: how many
    """
    what, _, value = key.partition(":")
    if what == "model":
        about = _named(connection, f"models:/{value}")
    else:
        about = (table.c.kind if what == "kind" else table.c.subject_digest) == value
    seq = table.c.seq if what == "kind" else table.c.seq + 0  # no walk along the numbers, which planners like to take
    query = sa.select(table).where(about, seq <= size).order_by(seq).limit(most)
    return [Entry(**row) for row in connection.execute(query).mappings()]


def _named(connection: Connection, start: str) -> sa.ColumnElement[bool]:
    """That an entry's subject has a name, or one that goes on with a slash; as each database's index finds it."""
    name = table.c.subject_name
    if connection.dialect.name == "sqlite":
        below = sa.and_(name >= f"{start}/", name < f"{start}0")  # what follows a slash in ASCII
    else:
        below = name.like(start.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "/%", escape="!")
    return sa.or_(name == start, below) if start != "models:/" else below  # as chain.keys_of: no model has no name


def read_nodes(connection: Connection, names: Sequence[bytes]) -> dict[bytes, bytes]:
    """Nodes by their hashes, as the database has them."""
    found = {}
    for start in range(0, len(names), _BATCH):
        part = [name.hex() for name in names[start : start + _BATCH]]
        for row in connection.execute(sa.select(index).where(index.c.hash.in_(part))):
            try:
                found[bytes.fromhex(row.hash)] = bytes.fromhex(row.node)
            except (TypeError, ValueError):
                continue
    return found


def write_nodes(connection: Connection, made: Mapping[bytes, bytes]) -> None:
    """Keep nodes that are not there yet."""
    rows = ({"hash": name.hex(), "node": text.hex()} for name, text in made.items())
    while part := list(islice(rows, 10 * _BATCH)):
        connection.execute(_PUT, part)


class Audit:
    """A walk that makes tree and index again from the entries, and holds against them what promotions and checkpoints
    say.

    :param said: what promotions say of the ledger
    :param marks: what checkpoints say; those that name no index say nothing here
    """

    def __init__(self, said: Iterable[Claim], marks: Iterable[Head] = ()) -> None:
        self.tree, self.newest, self._now = HashTree(), IndexMap(), IndexMap()
        """The tree, and the index at the newest of the sizes that a promotion speaks of."""
        self._said: dict[int, list[Claim]] = {}
        for claim in said:
            self._said.setdefault(claim.mark.size, []).append(claim)
        self._kept_at = max(self._said, default=0)
        for mark in marks:
            if mark.index_root:
                self._said.setdefault(mark.size, []).append(Claim(0, mark))
        self._last = max(self._said, default=0)
        self._marks: dict[str, Mark] = {}
        self._touched: set[str] = set()

    def take(self, entry: Entry, trail: Trail) -> None:
        """The next entry, which a trail has taken.

        :raises EvidenceError: a promotion says that tree or index were something else (``index.root_wrong``)
        """
        self.tree.add(bytes.fromhex(entry.hash))
        if entry.seq > self._last:
            return
        mark_entry(self._marks, entry)
        self._touched.update(keys_of(entry))
        for claim in self._said.get(entry.seq, ()):
            for key in self._touched:
                self._now.put(key, self._marks[key])
            self._touched.clear()
            now = trail.head._replace(index_root=self._now.root.hex())
            if not now.bears_out(claim.mark) or now.index_root != claim.mark.index_root:
                raise EvidenceError(
                    f"{claim.by} is signed over a tree or an index that the first {claim.mark.size} entries do "
                    "not have: whoever has its key has helped to hide entries, or it was signed over another ledger",
                    code="index.root_wrong",
                )
        if entry.seq == self._kept_at:
            self.newest = self._now if self._kept_at == self._last else self._now.copy()

    def require_kept(self, connection: Connection) -> bool:
        """Refuse a kept tree that is not that of the entries, and a kept index that lacks a node of the newest root
        that a promotion speaks of, or has another one.

        Returns whether a tree is kept: one of before is made by :meth:`rebuild`, and by the next promotion.

        :raises EvidenceError: so it is (``tree.node_missing``, ``index.node_missing`` …)
        """
        if not sa.inspect(connection).has_table(index.name) or (
            self.tree.size > 1 and self.newest.root == EMPTY and not has_nodes(connection)
        ):
            return False
        require_tree(connection, self.tree)
        IndexMap(self.newest.root, lambda names: read_nodes(connection, names)).require(self.newest.fresh)
        return True

    def rebuild(self, connection: Connection) -> None:
        """Throw away what is kept, and keep what was made."""
        connection.execute(nodes.delete())
        connection.execute(index.delete())
        fill(connection, self.tree)
        write_nodes(connection, self.newest.fresh)
