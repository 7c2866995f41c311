"""Whoever owns the ledger's database: may drop the triggers, rewrite every row and compute every hash anew, and holds
no key."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from airflow_mlgov.evidence.chain import GENESIS, Entry, link
from tests.worlds.guarded import Guarded

Rows = list[dict[str, Any]]
COLUMNS = tuple(Entry.__dataclass_fields__)
DERIVED = ("seq", "prev", "hash")


def relinked(rows: Rows) -> Rows:
    """The rows as a chain again: numbers, hashes and the envelopes' digests computed anew; an envelope that is withheld
    keeps its digest."""
    prev, found = GENESIS, []
    for seq, row in enumerate(rows, 1):
        new = dict(row)
        if row["envelope"]:
            new["envelope_sha256"] = hashlib.sha256(str(row["envelope"]).encode()).hexdigest()
        bound = {name: new[name] for name in COLUMNS if name not in (*DERIVED, "envelope")}
        new |= {"seq": seq, "prev": prev, "hash": link(prev, seq, bound)}
        prev = new["hash"]
        found.append(new)
    return found


def database(guarded: Guarded) -> Path:
    return Path(guarded.ledger_url.removeprefix("sqlite:///"))


def rewrite(guarded: Guarded, change: Callable[[Rows], Rows], *, relink: bool = True) -> None:
    """Replace the ledger's rows."""
    rows = change([asdict(entry) for entry in guarded.ledger.entries()])
    with closing(sqlite3.connect(database(guarded))) as raw, raw:
        triggers = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute("DELETE FROM mlgov_ledger")
        marks = ", ".join("?" * len(COLUMNS))
        for row in relinked(rows) if relink else rows:
            raw.execute(f"INSERT INTO mlgov_ledger ({', '.join(COLUMNS)}) VALUES ({marks})", [row[c] for c in COLUMNS])
        for _, sql in triggers:
            raw.execute(sql)


def copied(guarded: Guarded, folder: Path) -> Guarded:
    """The same model with the same keys, and a ledger of its own to spoil."""
    shutil.copytree(guarded.folder, folder)
    return Guarded(folder, guarded.server, guarded.model)
