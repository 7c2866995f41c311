"""Contenders of the board: its first byte over a great ledger, and that of the same page with no row. Each page is
asked for when everything was walked and judged; the seconds are the median of the answers."""

from __future__ import annotations

import hashlib
import http.client
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contender import Steps

if TYPE_CHECKING:
    from airflow_mlgov.board.readers import Reader

ASKED = 60
VERSIONS_OF_A_MODEL = 20
REGISTRY = "https://mlflow.example"
SECTION = """\
  model_{number:04}:
    owners: [team{team}@bank.example]
    gates: {{performance: {{label: y, score: s, roc_auc: {{min: 0.75}}}}}}
    targets: {{production: {{alias: champion, requires: [performance]}}}}
"""


def board(folder: str, versions: int, entries: int) -> Steps:
    """The board itself."""
    return _first_byte(Path(folder), versions, entries, "/board?page=3")


def empty(folder: str, versions: int, entries: int) -> Steps:
    """The same page with no row."""
    return _first_byte(Path(folder), versions, entries, "/board?q=there_is_none")


def _first_byte(folder: Path, versions: int, entries: int, page: str) -> Steps:
    import uvicorn  # noqa: F401 - what both begin with

    from airflow_mlgov.board.app import Door, make_board
    from airflow_mlgov.board.keeper import Source
    from airflow_mlgov.evidence.ledger import open_ledger

    place = _ledger(folder / f"board-{versions}-{entries}", versions, entries)
    source = Source(
        lambda: open_ledger(f"sqlite:///{place / 'ledger.db'}", create=False),
        place / "trust.json",
        place / "mlgov.yaml",
    )
    with _served(make_board(source, Door(_everybody))) as port:
        began = time.monotonic()
        while b'http-equiv="refresh"' in _ask(port, page)[1]:
            time.sleep(0.2)
        ready = time.monotonic() - began
        for _ in range(3):
            _ask(port, page)
        yield None
        seconds = statistics.median(_ask(port, page)[0] for _ in range(ASKED))
        yield seconds
        return {"ready_after": round(ready, 1)}


def _ask(port: int, page: str) -> tuple[float, bytes]:
    """Seconds to the first byte, and the page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.connect()
    began = time.perf_counter()
    connection.request("GET", page)
    answer = connection.getresponse()
    first = answer.read(1)
    seconds = time.perf_counter() - began
    content = first + answer.read()
    connection.close()
    return seconds, content


async def _everybody(_: Any) -> Reader:
    from airflow_mlgov.board.readers import EVERYTHING

    return EVERYTHING


@contextmanager
def _served(app: Any) -> Iterator[int]:
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def _ledger(place: Path, versions: int, entries: int) -> Path:
    """A ledger of gates' results, made once: written in bulk, chained as the ledger chains."""
    if (place / "complete").exists():
        return place
    from airflow_mlgov.evidence.chain import GENESIS, link, read_envelope
    from airflow_mlgov.evidence.ledger import open_ledger
    from airflow_mlgov.evidence.ledger_schema import table
    from airflow_mlgov.evidence.signing import TrustRoot, duties, open_signer, sign_statement

    place.mkdir(parents=True, exist_ok=True)
    models = max(1, versions // VERSIONS_OF_A_MODEL)
    sections = "".join(SECTION.format(number=number, team=number % 10) for number in range(models))
    (place / "mlgov.yaml").write_text(f"version: 1\nregistry_id: {REGISTRY}\nmodels:\n{sections}")
    (place / "ledger.db").unlink(missing_ok=True)
    signer = open_signer(f"local:{place / 'key.pem'}", make_key=True)
    TrustRoot().with_key(signer.public_key, duties()).save(place / "trust.json")
    ledger, prev, batch = open_ledger(f"sqlite:///{place / 'ledger.db'}"), GENESIS, list[dict[str, Any]]()
    for seq, statement in enumerate(_statements(models, versions, entries), 1):
        envelope = sign_statement(statement, signer)
        index = read_envelope(envelope)[0]
        row = {
            **index,
            "recorded_at": datetime.now(UTC).isoformat(),
            "envelope_sha256": hashlib.sha256(envelope.encode()).hexdigest(),
        }
        made = link(prev, seq, row)
        batch.append({"seq": seq, "prev": prev, "hash": made, "envelope": envelope, **row})
        prev = made
        if len(batch) == 5000 or seq == entries:
            with ledger._engine.begin() as connection:
                connection.execute(table.insert(), batch)
            batch = []
    (place / "complete").touch()
    return place


def _statements(models: int, versions: int, entries: int) -> Iterator[Any]:
    """Of each version its provenance and, again and again, the result of a gate."""
    from airflow_mlgov.evidence.statements import Context, GateStatement, ProvenanceStatement
    from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Subject

    each = entries // versions
    data = Subject("dataset", "train.csv", "d" * 64)
    for version in range(versions):
        name, number = f"model_{version % models:04}", str(version // models + 1)
        model = Subject("model", name, hashlib.sha256(f"{name}/{number}".encode()).hexdigest(), number, REGISTRY)
        context = Context("test", {}, {"dag_id": f"{name}_retraining", "run_id": number, "task_id": "gate"})
        yield ProvenanceStatement(
            model, context, (replace(data, digest=model.digest[::-1]),), ("tom",), {"run_id": "r"}
        )
        checks = (Check("roc_auc", Outcome.PASS, 0.8, Bound(min=0.75)),)
        for row in range(each - 1):
            yield GateStatement.of(GateResult("performance", model, checks, evaluation_digest=f"{row:064x}"), context)


if __name__ == "__main__":
    import sys

    steps = _first_byte(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    try:
        while True:
            print(next(steps))
    except StopIteration as end:
        print(end.value)
