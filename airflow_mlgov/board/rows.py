"""What pages are listed, sorted and filtered by: rows in a private SQLite file, made from entries that were walked.

It finds rows quickly and says nothing of its own: a verdict in it is a copy, with the moment at which it was judged.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_mlgov.board.readers import Reader
from airflow_mlgov.evidence.chain import Entry
from airflow_mlgov.evidence.headlines import headline, model_in, own_part
from airflow_mlgov.evidence.statements import PARTS, ErasureStatement

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE entry (
    seq INTEGER PRIMARY KEY, recorded_at TEXT, kind TEXT, model TEXT, version TEXT, digest TEXT, name TEXT,
    environment TEXT, what TEXT, outcome TEXT, person TEXT, dag_id TEXT, run_id TEXT, task_id TEXT,
    policy TEXT
);
CREATE INDEX entry_model ON entry (model, seq);
CREATE INDEX entry_kind ON entry (kind, seq);
CREATE INDEX entry_person ON entry (person, seq) WHERE person != '';
CREATE INDEX entry_run ON entry (dag_id, run_id, seq);
CREATE INDEX entry_policy ON entry (policy, seq);
CREATE INDEX entry_digest ON entry (digest);
CREATE TABLE made_from (digest TEXT, model TEXT, PRIMARY KEY (digest, model)) WITHOUT ROWID;
CREATE TABLE model_dag (model TEXT, dag_id TEXT, PRIMARY KEY (model, dag_id)) WITHOUT ROWID;
CREATE TABLE model (name TEXT PRIMARY KEY, last INTEGER, stale INTEGER) WITHOUT ROWID;
CREATE INDEX model_stale ON model (stale, name);
CREATE TABLE board (
    model TEXT, environment TEXT, target TEXT, role TEXT, version TEXT, state TEXT, rank INTEGER, age REAL, due REAL,
    owners TEXT, changes REAL, judged REAL, shown TEXT, PRIMARY KEY (model, environment, target, role)
) WITHOUT ROWID;
CREATE INDEX board_rank ON board (rank, model);
CREATE INDEX board_age ON board (age);
CREATE INDEX board_due ON board (due);
"""
_PREFIX, _HELD = "mlgov-board-", "held"
SORTS = {
    "attention": "rank, board.model, target, role",
    "model": "board.model, environment, target, role",
    "oldest": "age IS NULL, age, board.model",
    "due": "due IS NULL, due, board.model",
}
"""How the board can be sorted -> by what."""
STATES = ("deny", "overdue", "blocked", "waiting", "ready", "allow")
"""How a row can stand, what needs somebody first."""
URGENT = ("deny", "overdue", "waiting")
"""What needs somebody, whatever its dates."""


@dataclass(frozen=True)
class Page:
    """Some rows of a list, and how many there are."""

    rows: list[dict[str, Any]]
    total: int
    number: int
    size: int

    @property
    def last(self) -> int:
        """Number of the last page."""
        return max(1, -(-self.total // self.size))


class Rows:
    """The file, and what is asked of it."""

    def __init__(self) -> None:
        _remove_what_was_left()
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX)
        self._held = (Path(self._folder.name) / _HELD).open("w")
        fcntl.flock(self._held, fcntl.LOCK_EX)
        self._path = Path(self._folder.name) / "rows.db"
        self._local = threading.local()
        self._connection.executescript(_SCHEMA)

    # -- written while the ledger is walked ---------------------------------------------------------------------------

    def add(self, entries: Sequence[tuple[Entry, Mapping[str, Any]]]) -> None:
        """Entries that were walked, each with its statement."""
        rows = [_row(entry, statement) for entry, statement in entries]
        made = [
            (str(item["digest"]), model_in(entry.subject_name))
            for entry, statement in entries
            if entry.kind == "provenance"
            for part in PARTS
            for item in own_part(statement).get(part, ())
        ]
        with self._write() as connection:
            connection.executemany(f"INSERT INTO entry VALUES ({', '.join('?' * 15)})", rows)
            connection.executemany("INSERT OR IGNORE INTO made_from VALUES (?, ?)", made)
            touched = [(row[3], row[0]) for row in rows if row[3]]
            connection.executemany(
                "INSERT INTO model VALUES (?, ?, 1) ON CONFLICT (name) DO UPDATE SET last = excluded.last, stale = 1",
                touched,
            )
            connection.executemany(
                "UPDATE model SET stale = 1 WHERE name IN (SELECT model FROM made_from WHERE digest = ?)",
                [(row[5],) for row in rows if not row[3]],
            )
            if any(entry.kind == ErasureStatement.kind for entry, _ in entries):  # no row may show what was erased
                connection.execute("UPDATE model SET stale = 1")

    def belongs(self, model: str, dag_id: str) -> None:
        """A model's verified evidence was made by a DAG."""
        with self._write() as connection:
            connection.execute("INSERT OR IGNORE INTO model_dag VALUES (?, ?)", (model, dag_id))

    def judged(self, model: str, rows: Sequence[Mapping[str, Any]], moment: float) -> None:
        """How a model stands.

        :param rows: with the columns of ``board``; ``shown`` is what the page needs, as JSON values
        """
        with self._write() as connection:
            connection.execute("DELETE FROM board WHERE model = ?", (model,))
            connection.executemany(
                "INSERT OR REPLACE INTO board VALUES (:model, :environment, :target, :role, :version, :state, :rank, "
                ":age, :due, :owners, :changes, :judged, :shown)",
                [{**row, "judged": moment, "shown": json.dumps(row["shown"])} for row in rows],
            )
            connection.execute("UPDATE model SET stale = 0 WHERE name = ?", (model,))

    def all_stale(self) -> None:
        """Whatever was judged has to be judged again: the policy or the trust root is another."""
        with self._write() as connection:
            connection.execute("UPDATE model SET stale = 1")

    # -- asked by the pages -------------------------------------------------------------------------------------------

    def stale(self, most: int) -> list[str]:
        """Models that have not been judged as they are now."""
        return [row["name"] for row in self._all("SELECT name FROM model WHERE stale LIMIT ?", (most,))]

    def waiting(self) -> int:
        """How many there are of them."""
        return int(self._all("SELECT count(*) AS n FROM model WHERE stale", ())[0]["n"])

    def models(self, reader: Reader) -> list[str]:
        """Every model that somebody may read."""
        seen, given = _may_read(reader, "name")
        return [row["name"] for row in self._all(f"SELECT name FROM model WHERE {seen} ORDER BY name", given)]

    def may_read(self, reader: Reader, model: str) -> bool:
        """Whether somebody may read a model, which has to be there."""
        seen, given = _may_read(reader, "name")
        return bool(self._all(f"SELECT 1 FROM model WHERE name = :model AND {seen}", {**given, "model": model}))

    def board(
        self,
        reader: Reader,
        *,
        search: str = "",
        owner: str = "",
        state: str = "",
        sort: str = "attention",
        page: int = 1,
        size: int = 25,
    ) -> Page:
        """Rows of the board."""
        seen, given = _may_read(reader, "board.model")
        wheres = [seen]
        if search:
            wheres.append("instr(lower(board.model), lower(:search)) > 0")
        if owner:
            wheres.append("instr(owners, :owner) > 0")
        if state:
            wheres.append("state = :state")
        given |= {"search": search, "owner": f"\n{owner}\n", "state": state}
        where = " AND ".join(wheres)
        found = self._standing(
            f"SELECT * FROM board WHERE {where} ORDER BY {SORTS[sort]} LIMIT :most OFFSET :skip",
            {**given, "most": size, "skip": (page - 1) * size},
        )
        total = self._all(f"SELECT count(*) AS n FROM board WHERE {where}", given)[0]["n"]
        return Page(found, total, page, size)

    def urgent(self, reader: Reader, soon: float, size: int = 8) -> Page:
        """Rows that need somebody, the worst first.

        :param soon: something that falls due or runs out by this moment needs somebody too
        """
        seen, given = _may_read(reader, "model")
        states = ", ".join(f"'{state}'" for state in URGENT)
        where = f"{seen} AND (state IN ({states}) OR due <= :soon)"
        found = self._standing(
            f"SELECT *, count(*) OVER () AS total FROM board WHERE {where} ORDER BY {SORTS['attention']} LIMIT :most",
            {**given, "soon": soon, "most": size},
        )
        return Page(found, found[0]["total"] if found else 0, 1, size)

    def summary(self, reader: Reader) -> dict[str, int]:
        """How many rows of the board stand how."""
        seen, given = _may_read(reader, "model")
        found = self._all(f"SELECT state, count(*) AS n FROM board WHERE {seen} GROUP BY state", given)
        return {row["state"]: row["n"] for row in found}

    def owed(self, reader: Reader) -> list[dict[str, Any]]:
        """Rows with something that runs out or falls due, soonest first."""
        seen, given = _may_read(reader, "model")
        return self._standing(f"SELECT * FROM board WHERE due IS NOT NULL AND {seen} ORDER BY due LIMIT 1000", given)

    def owners(self, reader: Reader) -> list[str]:
        """Everybody who owns a model that somebody may read."""
        seen, given = _may_read(reader, "model")
        found = self._all(f"SELECT DISTINCT owners FROM board WHERE {seen}", given)
        return sorted({owner for row in found for owner in row["owners"].split("\n") if owner})

    def entries(
        self, reader: Reader, wanted: Mapping[str, str], *, page: int = 1, size: int = 50, most: int | None = None
    ) -> Page:
        """Entries of the ledger, newest first.

        :param wanted: ``model``, ``kind``, ``person``, ``since``, ``until``, ``dag_id``, ``run_id``, ``task_id``
        :param most: as many at once, for an export
        """
        wheres, given = _entry_filter(reader, wanted)
        where = " AND ".join(wheres)
        found = self._all(
            f"SELECT * FROM entry WHERE {where} ORDER BY seq DESC LIMIT :most OFFSET :skip",
            {**given, "most": most or size, "skip": 0 if most else (page - 1) * size},
        )
        total = self._all(f"SELECT count(*) AS n FROM entry WHERE {where}", given)[0]["n"]
        return Page(found, total, page, size)

    def environments(self, model: str) -> list[str]:
        """The environments that a model has evidence of."""
        query = "SELECT DISTINCT environment FROM entry WHERE model = ? AND environment != '' ORDER BY 1"
        return [row["environment"] for row in self._all(query, (model,))]

    def versions(self, model: str) -> list[dict[str, Any]]:
        """Version, digest and first entry of each version of a model, newest first."""
        return self._all(
            "SELECT version, digest, max(seq) AS last, min(seq) AS first FROM entry WHERE model = ? "
            "AND kind IN ('provenance', 'gate', 'promotion') GROUP BY version ORDER BY first DESC LIMIT 200",
            (model,),
        )

    def dags(self, model: str) -> list[str]:
        """The DAGs that made a model's evidence."""
        query = "SELECT dag_id FROM model_dag WHERE model = ? ORDER BY 1"
        return [row["dag_id"] for row in self._all(query, (model,))]

    def policy_since(self, sha256: str) -> str:
        """When the first statement was written that was made under a policy; empty if none was."""
        query = "SELECT recorded_at FROM entry WHERE policy = ? ORDER BY seq LIMIT 1"
        return next((row["recorded_at"] for row in self._all(query, (sha256,))), "")

    def close(self) -> None:
        """Remove the file."""
        self._held.close()
        self._folder.cleanup()

    @property
    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._local, "connection"):
            self._local.connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
            self._local.connection.row_factory = sqlite3.Row
            self._local.connection.execute("PRAGMA secure_delete = ON")
        return self._local.connection  # type: ignore[no-any-return]

    def _all(self, query: str, given: Sequence[Any] | Mapping[str, Any]) -> list[dict[str, Any]]:
        return [dict(row) for row in self._connection.execute(query, given)]

    def _standing(self, query: str, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Rows of the board, each with what is shown of it."""
        return [{**row, "shown": json.loads(row["shown"])} for row in self._all(query, given)]

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.commit()
        except BaseException:
            connection.rollback()
            raise


def _remove_what_was_left() -> None:
    """The folders of processes that were killed: nobody holds them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError), (folder / _HELD).open() as held:  # there may be somebody else's
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def _may_read(reader: Reader, column: str) -> tuple[str, dict[str, Any]]:
    """The condition under which somebody may read a model, and its parameters."""
    if reader.everything:
        return "1", {}
    return (
        f"({column} IN (SELECT model FROM model_dag WHERE dag_id IN (SELECT value FROM json_each(:dags))) "
        f"OR {column} IN (SELECT value FROM json_each(:theirs)))",
        {"dags": json.dumps(sorted(reader.dags)), "theirs": json.dumps(sorted(reader.models))},
    )


def _entry_filter(reader: Reader, wanted: Mapping[str, str]) -> tuple[list[str], dict[str, Any]]:
    seen, given = _may_read(reader, "model")
    if not reader.everything:
        data = "digest IN (SELECT digest FROM made_from WHERE " + seen + ")"
        own = "dag_id IN (SELECT value FROM json_each(:dags))"
        seen = f"CASE WHEN model != '' THEN {seen} ELSE ({own} OR {data}) END"
    wheres = [seen]
    for name in ("kind", "outcome", "person", "dag_id", "run_id", "task_id"):
        if wanted.get(name):
            wheres.append(f"{name} = :{name}")
    if wanted.get("model"):
        wheres.append("(model = :model OR digest IN (SELECT digest FROM made_from WHERE model = :model))")
    if wanted.get("seq"):
        wheres.append("seq = CAST(:seq AS INTEGER)")
    if wanted.get("since"):
        wheres.append("recorded_at >= :since")
    if wanted.get("until"):
        wheres.append("recorded_at < :until")
    return wheres, {**wanted, **given}


def _row(entry: Entry, statement: Mapping[str, Any]) -> tuple[Any, ...]:
    found = headline(entry, statement)
    about = (found.model, found.version, entry.subject_digest, entry.subject_name)
    return (entry.seq, entry.recorded_at, entry.kind, *about, *found[2:])
