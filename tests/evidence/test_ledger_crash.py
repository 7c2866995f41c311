"""PostgreSQL ends at once while several write: whoever was told that an entry is recorded finds it afterwards, and each
entry is there with its nodes of the tree, or not at all."""

import multiprocessing
import os
import random
import time
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa

from airflow_mlgov.errors import DependencyError
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.verification import believer
from tests.fixtures.postgres import PASSWORD, crash_postgres, postgres_bindir, start_postgres

WRITERS = 4


def write_on(url: str, envelope: str, told: Connection) -> None:
    """Append until the ledger is down, and tell of each entry."""
    ledger = open_ledger(url)
    try:
        while True:
            entry = ledger.append(envelope)
            told.send((entry.seq, entry.hash))
    except DependencyError as error:
        told.send((0, error.code))


def until_it_crashes(folder: Path, url: str, envelope: str, chance: random.Random) -> dict[int, str]:
    """Number and hash of each entry that a writer was told of, before and while the server ended."""
    context, recorded, left = multiprocessing.get_context("spawn"), dict[int, str](), chance.randint(1, 40)
    ends, writers = [], []
    for _ in range(WRITERS):
        ours, theirs = context.Pipe(duplex=False)
        writers.append(context.Process(target=write_on, args=(url, envelope, theirs)))
        writers[-1].start()
        theirs.close()
        ends.append(ours)
    while ends:
        for end in wait(ends):
            try:
                seq, said = end.recv()
            except EOFError:
                ends.remove(end)
                continue
            if seq:
                recorded[seq] = said
            else:
                assert said == "ledger.down"
            left -= 1
            if left == 0:
                time.sleep(chance.random() / 100)
                crash_postgres(folder)
    for writer in writers:
        writer.join(60)
    return recorded


@pytest.mark.skipif(postgres_bindir() is None, reason="needs PostgreSQL's binaries (initdb)")
@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_what_was_told_to_be_recorded_survives_a_crash(envelope: str) -> None:
    rounds, recorded = min(2 * int(os.environ.get("MLGOV_SOAK", "1")), 60), dict[int, str]()
    chance = random.Random(24 if rounds == 2 else None)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        for _ in range(rounds):
            url = sa.make_url(start_postgres(folder)["url"]).set(password=PASSWORD)
            ledger = open_ledger(url)
            recorded |= until_it_crashes(folder, url.render_as_string(hide_password=False), envelope, chance)
            ledger.close()
            url = url.set(port=sa.make_url(start_postgres(folder)["url"]).port)
            ledger = open_ledger(url)
            found = {entry.seq: entry.hash for entry in ledger.entries()}
            assert {seq: found.get(seq) for seq in recorded} == recorded
            assert ledger.audit((), (), believer(None))[1]
            assert ledger.append(envelope).seq == len(found) + 1
            ledger.close()
            crash_postgres(folder)
    assert len(recorded) > rounds
