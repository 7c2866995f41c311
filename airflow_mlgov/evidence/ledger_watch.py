"""What somebody has added to, altered in, or taken from the ledger's table: triggers, rules, views, policies, indexes.

Nothing is decided on this: a decision rests on what was walked. It tells people that their database is in wrong hands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy.engine import Connection

from airflow_mlgov.evidence.ledger_schema import STEPS, table

_COLUMNS = [column.name for column in table.columns]
_MADE = re.compile(r"CREATE (INDEX|TRIGGER) (\w+)")
_DAMAGE_SHOWN = 3
_BEFORE_ANY_CHANGE = 2 + 8 + 16 + 32
"""``pg_trigger.tgtype`` of BEFORE DELETE OR UPDATE OR TRUNCATE FOR EACH STATEMENT."""
_POSTGRESQL_INDEXES = {
    "mlgov_ledger_pkey": "seq",
    "mlgov_ledger_prev_key": "prev",
    "mlgov_ledger_hash_key": "hash",
    "ix_mlgov_ledger_kind": "kind, seq",
    "ix_mlgov_ledger_subject_digest": "subject_digest",
    "ix_mlgov_ledger_subject_name": "subject_name text_pattern_ops",
}


def look(connection: Connection) -> list[str]:
    """Each thing that is not as the package made it, as what is to be said of the ledger: ``lacks the trigger …``."""
    return list((_sqlite if connection.dialect.name == "sqlite" else _postgresql)(connection))


def _all(connection: Connection, query: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.exec_driver_sql(query).mappings()]


# -- SQLite -----------------------------------------------------------------------------------------------------------


def _sqlite(connection: Connection) -> Iterator[str]:
    (version,) = _all(connection, "SELECT max(version) AS steps FROM mlgov_ledger_schema")
    steps = _sqlite_steps(version["steps"] or 0)
    made = {match[2]: (match[1].lower(), _plain(sql)) for sql in steps if (match := _MADE.match(sql))}
    found = _all(
        connection,
        "SELECT type, name, sql FROM sqlite_master "
        "WHERE lower(tbl_name) IN ('mlgov_ledger', 'mlgov_ledger_texts') ORDER BY name",
    )
    there = {row["name"]: (row["type"], _plain(row["sql"] or "")) for row in found}
    kind, text = there.pop("mlgov_ledger", ("table", ""))
    there.pop("mlgov_ledger_texts", None)
    if kind != "table" or not text.upper().startswith("CREATE TABLE"):
        yield f"is no table but {'a view' if kind == 'view' else 'a virtual table or nothing'}"
        return
    columns = _all(connection, "PRAGMA table_xinfo(mlgov_ledger)")
    if [row["name"] for row in columns] != _COLUMNS or any(row["hidden"] for row in columns):
        yield "has other columns than it was made with"
    yield from _differences(made, there)
    unique = [row for row in _all(connection, "PRAGMA index_list(mlgov_ledger)") if row["origin"] == "u"]
    if len(unique) != 2:
        yield "lacks the constraints that keep prev and hash unique"
    damage = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
    if damage != ["ok"]:
        yield f"is damaged, or an index leaves rows out: {'; '.join(damage[:_DAMAGE_SHOWN])}"


def _sqlite_steps(version: int) -> Iterator[str]:
    for step in STEPS["sqlite"][:version]:
        yield from step


def _differences(made: Mapping[str, tuple[str, str]], there: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    for name, (kind, text) in made.items():
        if name not in there:
            yield f"lacks the {kind} {name}"
        elif there[name] != (kind, text):
            yield f"has the {kind} {name} altered"
    for name, (kind, text) in there.items():
        if name not in made and text:  # the indexes of its own constraints have no text
            yield f"has a foreign {kind} {name}"


def _plain(sql: str) -> str:
    return " ".join(sql.split())


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


def _postgresql(connection: Connection) -> Iterator[str]:
    (found,) = _all(
        connection,
        "SELECT c.relkind::text AS kind, c.relrowsecurity AS guarded, c.relnamespace = s.relnamespace AS together "
        "FROM pg_class c, pg_class s "
        "WHERE c.oid = to_regclass('mlgov_ledger') AND s.oid = to_regclass('mlgov_ledger_schema')",
    ) or [{"kind": "nothing", "guarded": False, "together": True}]
    if found["kind"] != "r":
        kind = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "p": "a partitioned table"}
        yield f"is no table but {kind.get(found['kind'], 'nothing that can be found')}"
    if not found["together"]:
        yield "is found in another schema than its version: search_path leads to something else of its name"
    if found["guarded"]:
        yield "has row-level security, which hides rows"
    for what, query in _FOREIGN.items():
        for name in connection.exec_driver_sql(query).scalars():
            yield f"has a foreign {what} {name}"
    if found["kind"] == "r":
        yield from _triggers(connection)
        yield from _triggers_of_texts(connection)
        yield from _indexes(connection)


_FOREIGN = {
    "rule": "SELECT rulename FROM pg_rewrite WHERE ev_class = to_regclass('mlgov_ledger') AND rulename <> '_RETURN'",
    "policy": "SELECT polname FROM pg_policy WHERE polrelid = to_regclass('mlgov_ledger')",
    "trigger": "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass('mlgov_ledger') AND NOT tgisinternal "
    "AND tgname <> 'mlgov_ledger_no_change'",
    "table that inherits from it or that it inherits from,": "SELECT CASE WHEN inhparent = "
    "to_regclass('mlgov_ledger') THEN inhrelid ELSE inhparent END::regclass::text FROM pg_inherits "
    "WHERE to_regclass('mlgov_ledger') IN (inhparent, inhrelid)",
}
"""What -> the query for the names of those that this package did not make."""


def _triggers(connection: Connection) -> Iterator[str]:
    name = "mlgov_ledger_no_change"
    found = _all(
        connection,
        "SELECT t.tgenabled::text AS enabled, t.tgtype AS type, t.tgqual IS NULL AND p.proname = 'mlgov_ledger_refuse' "
        "AS plain, p.prosrc AS body FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
        "WHERE t.tgrelid = to_regclass('mlgov_ledger') AND t.tgname = 'mlgov_ledger_no_change'",
    )
    if not found:
        yield f"lacks the trigger {name}"
        return
    (trigger,) = found
    if trigger["enabled"] not in ("O", "A"):
        yield f"has the trigger {name} disabled"
    if trigger["type"] != _BEFORE_ANY_CHANGE or not trigger["plain"] or not _refuses(trigger["body"]):
        yield f"has the trigger {name} altered"


_OF_TEXTS = {
    "mlgov_ledger_texts_no_change": "mlgov_ledger_refuse",
    "mlgov_ledger_texts_no_delete": "mlgov_ledger_texts_refuse",
}
"""Triggers of the texts beside the ledger -> what they call."""


def _triggers_of_texts(connection: Connection) -> Iterator[str]:
    if not _all(connection, "SELECT 1 AS there WHERE to_regclass('mlgov_ledger_texts') IS NOT NULL"):
        return
    found = {
        row["name"]: row
        for row in _all(
            connection,
            "SELECT t.tgname AS name, t.tgenabled::text AS enabled, p.proname AS calls, p.prosrc AS body "
            "FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
            "WHERE t.tgrelid = to_regclass('mlgov_ledger_texts') AND NOT t.tgisinternal",
        )
    }
    for name, calls in _OF_TEXTS.items():
        there = found.pop(name, None)
        if there is None:
            yield f"lacks the trigger {name}"
        elif there["enabled"] not in ("O", "A") or there["calls"] != calls or "append-only" not in there["body"]:
            yield f"has the trigger {name} disabled or altered"
    yield from (f"has a foreign trigger {name}" for name in found)


def _refuses(body: str) -> bool:
    return _plain(body) == "BEGIN RAISE EXCEPTION 'the ledger is append-only'; END"


def _indexes(connection: Connection) -> Iterator[str]:
    found = _all(
        connection,
        "SELECT c.relname AS name, pg_get_indexdef(i.indexrelid) AS text, "
        "i.indisvalid AND i.indisready AND i.indislive AND i.indpred IS NULL AS whole "
        "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = to_regclass('mlgov_ledger') "
        "ORDER BY c.relname",
    )
    for index in found:
        columns = _POSTGRESQL_INDEXES.get(index["name"])
        if columns is None:
            yield f"has a foreign index {index['name']}"
        elif not index["whole"] or not index["text"].endswith(f" USING btree ({columns})"):
            yield f"has the index {index['name']} altered"
    there = {index["name"] for index in found}
    yield from (f"lacks the index {name}" for name in _POSTGRESQL_INDEXES if name not in there)
