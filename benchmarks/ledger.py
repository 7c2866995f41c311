"""Contenders of what a decision reads of a ledger, about one model, in one of few entries or of many; and of what it
costs to append, beside the bare insert and commit of the same bytes."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contender import Steps

if TYPE_CHECKING:
    from airflow_mlgov.evidence.ledger import Ledger

DIGEST, OF_OTHERS = "a" * 64, "b" * 64
RESULTS, SINCE = 40, 20
"""Entries about the model that is asked for, and entries since the newest promotion."""
_BATCH = 5000


def read(path: str, proven: bool, times: int) -> Steps:
    """All evidence about one model, read and verified, by a process that knows nothing of the ledger before."""
    from airflow_mlgov.evidence.ledger import open_ledger
    from airflow_mlgov.evidence.proven import ProvenLedger
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.release.timeline import evidence_for
    from airflow_mlgov.results import Subject

    model = Subject("model", "m", DIGEST, "1", "http://mlflow")
    yield None
    for _ in range(times):
        trust, ledger = TrustRoot.load(f"{path}/trust.json"), open_ledger(f"sqlite:///{path}/ledger.db", create=False)
        records = (ProvenLedger(ledger, trust) if proven else ledger).walk()
        dossier = evidence_for(records, trust, model, "bench")
        assert not dossier.bad
        ledger.close()
    return {"results": len(dossier.good)}


def many_models(folder: Path, entries: int) -> Path:
    """A ledger with a few results of one model among the entries of all others; made once. Those of the others bear one
    signature, for nobody asks what it is worth."""
    from airflow_mlgov.evidence.ledger import open_ledger
    from airflow_mlgov.evidence.signing import TrustRoot, open_signer
    from airflow_mlgov.evidence.statements import Context, PromotionStatement
    from airflow_mlgov.evidence.verification import believer
    from airflow_mlgov.results import Subject

    made = folder / f"models-{entries}"
    if made.exists():
        return made
    folder.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(dir=folder))
    half.chmod(0o700)
    signer = open_signer(f"local:{half / 'key.pem'}", make_key=True)
    TrustRoot().with_key(signer.public_key, ["performance", "promotion"]).save(half / "trust.json")
    ledger = open_ledger(f"sqlite:///{half / 'ledger.db'}")
    for number in range(RESULTS):
        ledger.attest(_result("m", DIGEST, number), signer)
        _fill(ledger, signer, (entries - SINCE - 1) * (number + 1) // RESULTS)
    promotion = PromotionStatement(
        Subject("model", "other", OF_OTHERS, "1", "http://mlflow"),
        Context("bench"),
        target="production",
        action="promote",
        decision=OF_OTHERS,
        intent=OF_OTHERS,
        moved={},
        replaces=None,
        reason="",
        checkpoint=ledger.keep_index(ledger.walk()).mark,
    )
    ledger.attest(promotion, signer)
    _fill(ledger, signer, entries)
    ledger.audit((), (), believer(None))
    os.replace(half, made)
    return made


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


def _result(name: str, digest: str, number: int) -> Any:
    from airflow_mlgov.evidence.statements import Context, GateStatement
    from airflow_mlgov.results import Bound, Check, GateResult, Subject

    auc, bound = 0.8 + number / 1000, Bound(min=0.75)
    checks = (Check("roc_auc", bound.judge(auc), auc, bound),)
    subject = Subject("model", name, digest, "1", "http://mlflow")
    return GateStatement.of(GateResult("performance", subject, checks, evaluation_digest="e" * 64), Context("bench"))


def _fill(ledger: Ledger, signer: Any, size: int) -> None:
    """With results of other models, 40 each, until it has so many entries."""
    from airflow_mlgov.evidence.chain import link, read_envelope
    from airflow_mlgov.evidence.digests import canonical_json
    from airflow_mlgov.evidence.ledger_schema import table
    from airflow_mlgov.evidence.ledger_tree import grow
    from airflow_mlgov.evidence.signing import sign_statement

    signed = json.loads(sign_statement(_result("NAME", "0" * 64, 0).as_json(), signer))
    text = canonical_json(_result("NAME", "0" * 64, 0).as_json()).decode()

    def rows() -> Iterator[dict[str, Any]]:
        at, prev = ledger.last()
        for seq in range(at + 1, size + 1):
            name, digest = f"model_{seq // RESULTS}", hashlib.sha256(str(seq // RESULTS).encode()).hexdigest()
            said = text.replace("NAME", name).replace("0" * 64, digest)
            envelope = canonical_json(signed | {"payload": b64encode(said.encode()).decode()}).decode()
            bound = {
                **read_envelope(envelope)[0],
                "recorded_at": "2026-01-01T00:00:00+00:00",
                "envelope_sha256": hashlib.sha256(envelope.encode()).hexdigest(),
            }
            own = link(prev, seq, bound)
            yield {"seq": seq, "prev": prev, "hash": own, "envelope": envelope, **bound}
            prev = own

    with ledger.beside() as connection:
        for row in rows():
            connection.execute(table.insert(), row)
            grow(connection, row["seq"], row["prev"], row["hash"])
