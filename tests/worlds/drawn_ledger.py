"""A ledger of every kind of statement about subjects of the oddest names, drawn from a seed, and what may be asked of
it; and whoever owns its database, drawn too."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from securesystemslib.signer import CryptoSigner

from airflow_mlgov.evidence import statements as st
from airflow_mlgov.evidence.chain import Entry, Head, Verified
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.proven import ProvenLedger
from airflow_mlgov.evidence.signing import TrustRoot, duties, sign_statement
from airflow_mlgov.evidence.verification import collect, quarantined
from airflow_mlgov.release.obligations import list_obligations
from airflow_mlgov.release.timeline import evidence_for
from airflow_mlgov.results import Subject
from tests.worlds.samples import LATER, STATEMENTS, TERMS

REGISTRY = "http://mlflow"
MODELS = (
    "credit_risk", "Credit_Risk", "credit_risk ", "credit_risk\u200b", "сredit_risk", "credit%risk", "credit_ris_",
    "credit_risk/7", "credit_risk0", "credit_risk.", "/credit_risk", "", "models:", "models:/credit_risk", "é",
    "e\u0301",
    "'; DROP TABLE mlgov_ledger; --", "a\nb", "\U0001f916", "x" * 3_000,
)  # fmt: skip
DATA = (
    "train.csv", "models:/credit_risk/3", "models:/credit_risk", "models:/", "models:", "MODELS:/credit_risk/3",
    " models:/credit_risk/3", "models://credit_risk/3", "kind:promotion", "digest:" + "a" * 64,
)  # fmt: skip
DIGESTS = tuple(sign * 64 for sign in "abcdefA")
VERSIONS = ("1", "3", "7", "03", "champion", "3/4", " 3")
Answers = dict[str, Any]


@dataclass
class DrawnLedger:
    """Its ledger, the keys that are trusted, and one that is not."""

    draw: Random
    folder: Path

    def __post_init__(self) -> None:
        self.key, self.stranger = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
        self.trust = TrustRoot().with_key(self.key.public_key, list(duties()))
        self.ledger = open_ledger(f"sqlite:///{self.folder / 'ledger.db'}")
        self._made: list[str] = []

    def write(self, count: int) -> None:
        """Entries at random: signed by the key, now and then by a stranger, or put in once more."""
        for _ in range(count):
            what = self.draw.random()
            if what < 0.1 and self._made:
                self.ledger.append(self.draw.choice(self._made))
            elif what < 0.2:
                self._promote()
            else:
                self._attest(self._statement())

    def promote(self) -> None:
        """What is read by proofs from then on."""
        self._promote(self.key)

    def _promote(self, key: CryptoSigner | None = None) -> None:
        said = STATEMENTS["promotion"]()
        about = self._about(said) if key is None else replace(said, context=self._context())
        records = self.ledger.walk() if self.draw.random() < 0.5 else self.proven()
        mark = self.ledger.keep_index(records).mark
        self._attest(replace(about, checkpoint=mark), key)  # type: ignore[call-arg]

    def proven(self, *checkpoints: Head) -> Verified:
        return ProvenLedger(self.ledger, self.trust).walk(checkpoints)

    def _attest(self, statement: st.Signed, key: CryptoSigner | None = None) -> None:
        size, head = self.ledger.last()
        signed = replace(statement, ledger=st.LedgerMark(size, head)).as_json()
        key = key or (self.stranger if self.draw.random() < 0.1 else self.key)
        envelope = sign_statement(signed, key)
        self.ledger.append(envelope, statement.texts().values())
        self._made.append(envelope)

    def _statement(self) -> st.Signed:
        made = {**STATEMENTS, **LATER}
        name = self.draw.choice(sorted(set(made) - {"promotion"}))
        if name == "quarantine" and self._made:
            entries = self.ledger.walk().entries()
            entry = self.draw.choice(entries)
            person = st.Person("olga", "olga")
            return st.QuarantineStatement.of(
                entry.seq, entry.envelope_sha256, "a stranger's", person, "looked at it", self._context()
            )
        statement = self._about(made[name]())
        if isinstance(statement, st.WaiverStatement):
            return replace(statement, terms=replace(TERMS, observed=self.draw.choice((0.7, 0.71))))
        return statement

    def _about(self, statement: st.Signed) -> st.Signed:
        """The same about another subject, or about what it was about."""
        old = statement.subject
        digest, subject = self.draw.choice(DIGESTS), old
        if old.kind == "model":
            subject = Subject("model", self.draw.choice(MODELS), digest, self.draw.choice(VERSIONS), REGISTRY)
        elif old.kind == "dataset":
            subject = Subject("dataset", self.draw.choice(DATA), digest)
        about: dict[str, Any] = {"subject": subject, "context": self._context()}
        if isinstance(statement, st.GateStatement):
            return st.GateStatement.of(replace(statement.result, subject=subject), about["context"])
        return replace(statement, **about)

    def _context(self) -> st.Context:
        environment = self.draw.choice(("prod", "prod", "test"))
        return st.Context(environment, issued_at=datetime.now(UTC).replace(microsecond=0), lifetime=timedelta(days=90))


def questions(trust: TrustRoot) -> dict[str, Callable[[Verified], Any]]:
    """All that duties ask of a ledger, by words."""
    kinds = sorted({one.kind for one in st.CLASSES.values()})
    asked: dict[str, Callable[[Verified], Any]] = {}
    for digest in DIGESTS:
        asked[f"digest {digest[:2]}"] = lambda records, d=digest: seen(records, trust, [d])
        asked[f"approvals of {digest[:2]}"] = lambda records, d=digest: seen(records, trust, [d], kind="approval")
    asked["two digests"] = lambda records: seen(records, trust, DIGESTS[:2])
    asked["no digest"] = lambda records: seen(records, trust, [])
    for kind in (*kinds, "nothing"):
        asked[f"kind {kind}"] = lambda records, k=kind: seen(records, trust, kind=k)
    for name in (*MODELS, *DATA, "%", "_", "credit_risk\x00"):
        asked[f"model {name[:40]!r}"] = lambda records, n=name: seen(records, trust, model=n)
        asked[f"promotions of {name[:40]!r}"] = lambda records, n=name: seen(records, trust, kind="promotion", model=n)
    for name in MODELS[:6]:
        for digest in DIGESTS[:3]:
            subject = Subject("model", name, digest, "3", REGISTRY)
            asked[f"dossier of {name} {digest[:2]}"] = lambda records, s=subject: dossier(records, trust, s)
    asked["quarantined"] = lambda records: quarantined(records, trust)
    asked["owed"] = lambda records: list_obligations(records, trust, datetime(2027, 1, 1, tzinfo=UTC))
    return asked


def seen(records: Verified, trust: TrustRoot, digests: Any = None, **given: Any) -> Any:
    """Entries as they are, and what verifies of them and what does not; what people typed is apart."""
    good, bad = collect(records, trust, digests, **given)
    entries: list[Entry] = records.entries(digests, **given)
    return entries, [(item.seq, item.statement_sha256) for item in good], bad


def dossier(records: Verified, trust: TrustRoot, model: Subject) -> Any:
    found = evidence_for(records, trust, model, "prod")
    return [item.seq for item in found.good], found.bad, [item.seq for item in found.history]


def answers(records: Verified, trust: TrustRoot) -> Answers:
    return {words: ask(records) for words, ask in questions(trust).items()}


def drop_triggers(raw: sqlite3.Connection) -> None:
    for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        raw.execute(f"DROP TRIGGER {name}")


class Owner:
    """Of the database: no trigger stops them. They hold no key."""

    TABLES = ("mlgov_ledger", "mlgov_ledger", "mlgov_ledger_index", "mlgov_ledger_nodes")
    ROW: ClassVar = {
        "mlgov_ledger": "seq",
        "mlgov_ledger_index": "hash",
        "mlgov_ledger_nodes": "1000000 * level + place",
    }
    ODD = (None, "", b"\xff\xfe", 0, -1, 2**62, 1.5, "0" * 64, "zz", "promotion", "é", "[" * 5_000, "{}")

    def __init__(self, draw: Random, path: Path) -> None:
        self.draw, self.path = draw, path

    def spoil(self) -> str:
        """Do one thing; what it was."""
        with closing(sqlite3.connect(self.path)) as raw, raw:
            drop_triggers(raw)
            raw.execute("PRAGMA ignore_check_constraints = ON")
            table = self.draw.choice(self.TABLES)
            rows = [row for (row,) in raw.execute(f"SELECT {self.ROW[table]} FROM {table} ORDER BY 1")]
            columns = [row[1] for row in raw.execute(f"PRAGMA table_info({table})")]
            if len(rows) < 2:
                return "nothing"
            row, other, column = self.draw.choice(rows), self.draw.choice(rows), self.draw.choice(columns)
            for said, statement, values in self._ways(table, row, other, column, columns):
                try:
                    raw.execute(statement, values)
                    return f"{said} {table} {row} {column}"
                except (sqlite3.IntegrityError, OverflowError):
                    continue
        return "nothing"

    def _ways(
        self, table: str, row: Any, other: Any, column: str, columns: list[str]
    ) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
        odd = self.draw.choice(self.ODD)
        at = self.ROW[table]
        like = f"(SELECT {column} FROM {table} WHERE {at} = ?)"
        rest = ", ".join(name for name in columns if name != columns[0])
        ways: list[tuple[str, str, tuple[Any, ...]]] = [
            ("delete", f"DELETE FROM {table} WHERE {at} = ?", (row,)),
            ("delete after", f"DELETE FROM {table} WHERE {at} > ?", (row,)),
            ("delete before", f"DELETE FROM {table} WHERE {at} < ?", (row,)),
            (f"odd {odd!r:.20}", f"UPDATE {table} SET {column} = ? WHERE {at} = ?", (odd, row)),
            (f"like {other}", f"UPDATE {table} SET {column} = {like} WHERE {at} = ?", (other, row)),
            ("again", f"INSERT INTO {table} ({columns[0]}, {rest}) SELECT ?, {rest} FROM {table} WHERE {at} = ?",
             (self.draw.choice((0, -1, 2**40)), row)),
            ("upper", f"UPDATE {table} SET {column} = upper({column}) WHERE {at} = ?", (row,)),
            ("space", f"UPDATE {table} SET {column} = {column} || ' ' WHERE {at} = ?", (row,)),
        ]  # fmt: skip
        self.draw.shuffle(ways)
        yield from ways
