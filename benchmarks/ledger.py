"""Contenders of what a decision reads of a ledger, about one model, in one of few entries or of many; and of what it
costs to append, beside the bare insert and commit of the same bytes."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import tempfile
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contender import Steps

if TYPE_CHECKING:
    from airflow_mlgov.evidence.chain import Entry
    from airflow_mlgov.evidence.ledger import Ledger

DIGEST, OF_OTHERS = "a" * 64, "b" * 64
RESULTS, SINCE = 40, 20
"""Entries about the model that is asked for, and entries since the newest promotion."""
_BATCH = 5000


def read(path: str, proven: bool, times: int) -> Steps:
    """Why one model may serve: all evidence about it, read, verified and judged, by a process that knows nothing of the
    ledger before."""
    from airflow_mlgov.evidence.ledger import open_ledger
    from airflow_mlgov.evidence.proven import ProvenLedger
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.release.explanation import explain_bytes

    yield None
    for _ in range(times):
        trust, ledger = TrustRoot.load(f"{path}/trust.json"), open_ledger(f"sqlite:///{path}/ledger.db", create=False)
        answer = explain_bytes(_model(), ProvenLedger(ledger, trust) if proven else ledger, trust)
        assert answer.allowed, answer.reasons
        ledger.close()
    return {"facts": len(answer.facts)}


def walk(path: str) -> Steps:
    """Form, hashes and chain of every entry, and the tree."""
    from airflow_mlgov.evidence.ledger import open_ledger

    yield None
    return {"entries": open_ledger(f"sqlite:///{path}/ledger.db", create=False).verify().size}


def full(path: str) -> Steps:
    """An auditor's walk that checks tree, index and each signature, as ``mlgov ledger verify --full`` does."""
    from airflow_mlgov.evidence.auditing import Signatures
    from airflow_mlgov.evidence.ledger import open_ledger
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.evidence.verification import believer

    yield None
    trust = TrustRoot.load(f"{path}/trust.json")
    seen = Signatures(trust)
    open_ledger(f"sqlite:///{path}/ledger.db", create=False).audit((), (), believer(trust), seen.take)
    assert not seen.bad
    return {"entries": seen.checked}


def signatures(path: str) -> Steps:
    """The signatures alone, by the library that computes them."""
    import sqlite3

    from airflow_mlgov.evidence.notes import fits
    from airflow_mlgov.evidence.signing import TrustRoot

    yield None
    public, count = bytes.fromhex(TrustRoot.load(f"{path}/trust.json").keys[0].key.keyval["public"]), 0
    for (text,) in sqlite3.connect(f"{path}/ledger.db").execute("SELECT envelope FROM mlgov_ledger ORDER BY seq"):
        envelope = json.loads(text)
        payload, kind = b64decode(envelope["payload"]), envelope["payloadType"].encode()
        said = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
        raw = envelope["signatures"][0]["sig"]
        assert fits(public, b64decode(raw), said)
        count += 1
    return {"entries": count}


def many_models(folder: Path, entries: int) -> Path:
    """A ledger with a few results of one model, which was promoted, among the entries of all others; made once, in
    bulk. Those of the others bear one signature, for nobody asks what it is worth."""
    from airflow_mlgov.evidence.ledger import open_ledger
    from airflow_mlgov.evidence.signing import TrustRoot, duties, open_signer
    from airflow_mlgov.evidence.verification import believer

    made = folder / f"promoted-{entries}"
    if made.exists():
        return made
    folder.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(dir=folder))
    half.chmod(0o700)
    signer = open_signer(f"local:{half / 'key.pem'}", make_key=True)
    TrustRoot().with_key(signer.public_key, duties()).save(half / "trust.json")
    ledger, others = open_ledger(f"sqlite:///{half / 'ledger.db'}"), _others(signer)
    promote(ledger, signer, _model(), _fill(ledger, signer, others, entries - SINCE - 2))
    for _ in range(SINCE):
        ledger.append(others(entries)["envelope"])
    ledger.audit((), (), believer(None))
    os.replace(half, made)
    return made


def promote(ledger: Ledger, signer: Any, model: Any, results: Sequence[Entry]) -> None:
    """A decision that rests on some results, and the promotion that it allows; no registry is asked."""
    from airflow_mlgov.evidence.statements import Context, DecisionDocument, DecisionStatement, PromotionStatement

    context = Context("bench", {"uri": "mlgov.yaml", "sha256": OF_OTHERS})
    document = DecisionDocument({"evidence": [{"seq": entry.seq} for entry in results]}, OF_OTHERS, OF_OTHERS)
    inputs = {entry.reference: entry.envelope_sha256 for entry in results}
    decided = DecisionStatement(model, context, "production", True, (), inputs, document, "bench")
    decision = ledger.attest(decided, signer).envelope_sha256
    mark = ledger.head_with_index().mark
    moved = PromotionStatement(
        model, context, "production", "promote", decision, OF_OTHERS, {}, None, "", checkpoint=mark
    )
    ledger.attest(moved, signer)


def append(backend: str, bare: bool, times: int) -> Steps:
    """Entries by one writer; signing is not counted. The server, if there is one, waits for the disk."""
    with _databases(backend) as url:
        envelope, go = _envelope(), _bare if bare else _ours
        one = go(url, envelope)
        one()
        yield None
        begun = time.perf_counter()
        for _ in range(times):
            one()
        yield time.perf_counter() - begun
    return {"entries": times}


def writers(bare: bool, count: int, times: int) -> Steps:
    """Entries by several writers on PostgreSQL at once, each a process."""
    with _databases("postgresql") as url:
        envelope, context = _envelope(), multiprocessing.get_context("spawn")
        (_bare if bare else _ours)(url, envelope)()
        ready, spans = context.Barrier(count), context.Queue()
        given = (bare, url, envelope, times, ready, spans)
        children = [context.Process(target=_write, args=given) for _ in range(count)]
        yield None
        for child in children:
            child.start()
        found = [spans.get() for _ in children]
        for child in children:
            child.join()
        yield max(end for _, end in found) - min(begin for begin, _ in found)
        if not bare:
            _require_whole(url, 1 + count * (times + 1))
    return {"entries": count * times}


def _write(bare: bool, url: str, envelope: str, times: int, ready: Any, spans: Any) -> None:
    one = (_bare if bare else _ours)(url, envelope)
    one()
    ready.wait()
    begun = time.time()
    for _ in range(times):
        one()
    spans.put((begun, time.time()))


def _require_whole(url: str, size: int) -> None:
    from airflow_mlgov.evidence.ledger import open_ledger
    from airflow_mlgov.evidence.verification import believer

    walked, is_kept = open_ledger(url).audit((), (), believer(None))
    assert (walked.head.size, is_kept) == (size, True)


@contextmanager
def _databases(backend: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if backend == "sqlite":
            yield f"sqlite:///{folder / 'ledger.db'}"
            return
        import sqlalchemy as sa

        from tests.fixtures.postgres import PASSWORD, crash_postgres, start_postgres

        folder.chmod(0o755)
        url = sa.make_url(start_postgres(folder, fsync="on")["url"]).set(password=PASSWORD)
        yield url.render_as_string(hide_password=False)
        crash_postgres(folder)


def _envelope() -> str:
    from airflow_mlgov.evidence.signing import open_signer, sign_statement

    with tempfile.TemporaryDirectory() as folder:
        return sign_statement(_result("m", DIGEST, 0).as_json(), open_signer(f"local:{folder}/key.pem", make_key=True))


def _ours(url: str, envelope: str) -> Callable[[], object]:
    from airflow_mlgov.evidence.ledger import open_ledger

    ledger = open_ledger(url)
    return lambda: ledger.append(envelope)


def _bare(url: str, envelope: str) -> Callable[[], object]:
    """The driver's own insert and commit of the same columns, in a table that has a number and no other index."""
    import sqlalchemy as sa

    engine = sa.create_engine(url)
    is_sqlite = engine.dialect.name == "sqlite"
    number = "INTEGER PRIMARY KEY" if is_sqlite else "BIGSERIAL PRIMARY KEY"
    columns = ["prev", "hash", "recorded_at", "kind", "subject_digest", "subject_name", "envelope_sha256", "envelope"]
    row = [DIGEST, DIGEST, "2026-01-01T00:00:00.000000+00:00", "gate", DIGEST, "models:/m/1", DIGEST, envelope]
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"CREATE TABLE IF NOT EXISTS bare (seq {number}, {', '.join(f'{name} TEXT' for name in columns)})"
        )
    held: Any = engine.raw_connection().driver_connection
    marks = ", ".join(["?" if is_sqlite else "%s"] * len(columns))
    text = f"INSERT INTO bare ({', '.join(columns)}) VALUES ({marks})"
    if is_sqlite:
        held.execute("PRAGMA synchronous=FULL")

    def one() -> None:
        held.execute(text, row)
        held.commit()

    return one


def _model() -> Any:
    from airflow_mlgov.results import Subject

    return Subject("model", "m", DIGEST, "1", "http://mlflow")


def _result(name: str, digest: str, number: int) -> Any:
    from airflow_mlgov.evidence.statements import Context, GateStatement
    from airflow_mlgov.results import Bound, Check, GateResult

    auc, bound = 0.8 + number / 1000, Bound(min=0.75)
    checks = (Check("roc_auc", bound.judge(auc), auc, bound),)
    subject = replace(_model(), name=name, digest=digest)
    return GateStatement.of(GateResult("performance", subject, checks, evaluation_digest="e" * 64), Context("bench"))


def _others(signer: Any) -> Callable[[int], dict[str, str]]:
    """Number -> the row of an entry about another model, 40 each, without its place in the chain."""
    from airflow_mlgov.evidence.digests import canonical_json
    from airflow_mlgov.evidence.signing import sign_statement

    signed = json.loads(sign_statement(_result("NAME", "0" * 64, 0).as_json(), signer))
    text = canonical_json(_result("NAME", "0" * 64, 0).as_json()).decode()

    @cache
    def row(model: int) -> dict[str, str]:
        name, digest = f"model_{model}", hashlib.sha256(str(model).encode()).hexdigest()
        said = text.replace("NAME", name).replace("0" * 64, digest)
        return _row(canonical_json(signed | {"payload": b64encode(said.encode()).decode()}).decode())

    return lambda seq: row(seq // RESULTS)


def _row(envelope: str) -> dict[str, str]:
    from airflow_mlgov.evidence.chain import read_envelope

    digest = hashlib.sha256(envelope.encode()).hexdigest()
    found = {"recorded_at": "2026-01-01T00:00:00+00:00", "envelope_sha256": digest, "envelope": envelope}
    return {**read_envelope(envelope)[0], **found}


def _fill(ledger: Ledger, signer: Any, others: Callable[[int], dict[str, str]], size: int) -> list[Entry]:
    """Fill an empty ledger with results of other models, and evenly between them those of the model that is asked for,
    which are returned."""
    from airflow_mlgov.evidence.chain import GENESIS, Entry, link
    from airflow_mlgov.evidence.hash_tree import HashTree
    from airflow_mlgov.evidence.ledger_schema import table
    from airflow_mlgov.evidence.ledger_tree import fill
    from airflow_mlgov.evidence.signing import sign_statement

    numbers = {1 + number * (size // RESULTS): number for number in range(RESULTS)}
    tree, own = HashTree(), list[Entry]()

    def rows() -> Iterator[dict[str, Any]]:
        prev = GENESIS
        for seq in range(1, size + 1):
            about = others(seq)
            if seq in numbers:
                about = _row(sign_statement(_result("m", DIGEST, numbers[seq]).as_json(), signer))
            made = link(prev, seq, {name: text for name, text in about.items() if name != "envelope"})
            row: dict[str, Any] = {"seq": seq, "prev": prev, "hash": made, **about}
            if seq in numbers:
                own.append(Entry(**row))
            tree.add(bytes.fromhex(made))
            yield row
            prev = made

    left = rows()
    with ledger.beside() as connection:
        while batch := list(islice(left, _BATCH)):
            connection.execute(table.insert(), batch)
        fill(connection, tree)
    return own
