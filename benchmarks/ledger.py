"""Contenders of what a decision reads of a ledger: about one model, in a ledger of few entries or of many."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from base64 import b64encode
from collections.abc import Iterator
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
    signer = open_signer(f"local:{half / 'key.pem'}")
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
    from airflow_mlgov.evidence.ledger_schema import table
    from airflow_mlgov.evidence.ledger_tree import grow
    from airflow_mlgov.evidence.signing import sign_statement

    signed = json.loads(sign_statement(_result("NAME", "0" * 64, 0).as_json(), signer))
    text = json.dumps(_result("NAME", "0" * 64, 0).as_json())

    def rows() -> Iterator[dict[str, Any]]:
        at, prev = ledger.last()
        for seq in range(at + 1, size + 1):
            name, digest = f"model_{seq // RESULTS}", hashlib.sha256(str(seq // RESULTS).encode()).hexdigest()
            said = text.replace("NAME", name).replace("0" * 64, digest)
            envelope = json.dumps(signed | {"payload": b64encode(said.encode()).decode()})
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
