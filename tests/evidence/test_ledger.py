import multiprocessing
import os
import signal
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, EvidenceError
from airflow_mlgov.evidence import ledger_schema, ledger_writing
from airflow_mlgov.evidence.chain import GENESIS
from airflow_mlgov.evidence.ledger import Ledger, open_ledger
from airflow_mlgov.evidence.verification import believer
from tests.codes import raises_code


def append_many(url: str, envelope: str, count: int) -> None:
    ledger = open_ledger(url, timeout=60)
    for _ in range(count):
        ledger.append(envelope)


def test_entries_are_numbered_chained_and_found(ledger: Ledger, envelope: str) -> None:
    first, second = ledger.append(envelope), ledger.append(envelope)
    assert (first.seq, first.prev, second.seq, second.prev) == (1, GENESIS, 2, first.hash)
    assert ledger.verify()[:2] == (2, second.hash)
    assert ledger.entries(["a" * 64], kind="gate") == [first, second]
    assert ledger.entries(["b" * 64]) == []
    assert ledger.get(2) == second
    assert first.reference.startswith("ledger:1@")


def test_an_unknown_number_is_named(ledger: Ledger) -> None:
    with raises_code(ConfigurationError, "ledger.no_entry"):
        ledger.get(7)


@pytest.mark.parametrize("text", ["", "{}", '{"payload": "e30="}', '{"payload": "%%"}'])
def test_only_envelopes_get_in(ledger: Ledger, text: str) -> None:
    with pytest.raises(EvidenceError):
        ledger.append(text)
    assert ledger.verify()[0] == 0


def test_triggers_refuse_change(ledger: Ledger, envelope: str, tmp_path: Path) -> None:
    ledger.append(envelope)
    raw = sqlite3.connect(tmp_path / "ledger.db")
    for statement in ("UPDATE mlgov_ledger SET kind = 'x'", "DELETE FROM mlgov_ledger"):
        with pytest.raises(sqlite3.DatabaseError, match="append-only"):
            raw.execute(statement)


@pytest.mark.parametrize(
    ("sql", "code", "where"),
    [
        (
            "UPDATE mlgov_ledger SET envelope = replace(envelope, 'payload', 'Payload') WHERE seq = 2",
            "ledger.entry_changed",
            "entry 2",
        ),
        ("UPDATE mlgov_ledger SET subject_digest = 'b' WHERE seq = 2", "ledger.entry_changed", "entry 2"),
        ("UPDATE mlgov_ledger SET recorded_at = '2020' WHERE seq = 2", "ledger.entry_changed", "entry 2"),
        ("UPDATE mlgov_ledger SET kind = X'6761' WHERE seq = 2", "ledger.entry_changed", "entry 2"),
        ("UPDATE mlgov_ledger SET kind = 'approval' WHERE seq = 2", "ledger.entry_changed", "entry 2"),
        ("UPDATE mlgov_ledger SET hash = 'c' WHERE seq = 1", "ledger.entry_changed", "entry 1"),
        ("UPDATE mlgov_ledger SET prev = 'd' WHERE seq = 3", "ledger.chain_broken", "entry 3"),
        ("DELETE FROM mlgov_ledger WHERE seq = 2", "ledger.entry_missing", "entry 2"),
        ("DELETE FROM mlgov_ledger WHERE seq = 1", "ledger.entry_missing", "entry 1"),
    ],
)
def test_whoever_drops_the_triggers_is_found_out(
    ledger: Ledger, envelope: str, tmp_path: Path, sql: str, code: str, where: str
) -> None:
    for _ in range(3):
        ledger.append(envelope)
    raw = sqlite3.connect(tmp_path / "ledger.db")
    raw.executescript("DROP TRIGGER mlgov_ledger_no_update; DROP TRIGGER mlgov_ledger_no_delete")
    raw.execute(sql)
    raw.commit()
    with raises_code(EvidenceError, code, match=where):
        ledger.verify()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_concurrent_writers_leave_no_gap(
    backend: str, tmp_path: Path, envelope: str, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'c.db'}" if backend == "sqlite" else request.getfixturevalue("postgres_url")
    ledger = open_ledger(url)
    before = ledger.verify()[0]
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=append_many, args=(url, envelope, 10)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert ledger.verify()[0] == before + 30


def test_postgresql_refuses_change(postgres_url: str, envelope: str) -> None:
    ledger = open_ledger(postgres_url)
    entry = ledger.append(envelope)
    assert ledger.get(entry.seq) == entry
    engine = sa.create_engine(postgres_url)
    for statement in ("UPDATE mlgov_ledger SET kind = 'x'", "DELETE FROM mlgov_ledger", "TRUNCATE mlgov_ledger"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(sa.text(statement))
    assert ledger.verify()[0] >= 1


def test_a_locked_ledger_is_a_dependency_that_is_down(tmp_path: Path, envelope: str) -> None:
    url = f"sqlite:///{tmp_path / 'l.db'}"
    ledger = open_ledger(url, timeout=0.2)
    raw = sqlite3.connect(tmp_path / "l.db", isolation_level=None)
    raw.execute("BEGIN EXCLUSIVE")
    with raises_code(DependencyError, "ledger.down", match="takes one writer at a time"):
        ledger.append(envelope)
    raw.execute("ROLLBACK")
    assert ledger.append(envelope).seq == 1


def test_a_commit_that_fails_holds_nothing(tmp_path: Path, envelope: str) -> None:
    """Somebody reads for longer than a writer waits; SQLite says so at the commit."""
    url = f"sqlite:///{tmp_path / 'l.db'}"
    ledger, reader = open_ledger(url, timeout=0.2), sqlite3.connect(tmp_path / "l.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM mlgov_ledger").fetchone()
    with raises_code(DependencyError, "ledger.down"):
        ledger.append(envelope)
    reader.execute("COMMIT")
    assert open_ledger(url, timeout=0).append(envelope).seq == 1
    assert ledger.append(envelope).seq == 2


BACKENDS = ["sqlite", "postgresql", "postgresql+psycopg2"]
"""The last by a driver that cannot have several writers share a write of the disk."""


def url_on(backend: str, folder: Path, request: pytest.FixtureRequest) -> str:
    if backend == "sqlite":
        return f"sqlite:///{folder / 'l.db'}"
    url = sa.make_url(request.getfixturevalue("postgres_url")).set(drivername=backend)
    return url.render_as_string(hide_password=False)


def commits(change: Callable[[Callable[..., Any], bool, tuple[Any, ...]], Any]) -> dict[str, Callable[..., Any]]:
    """What commits an entry, by its name in the module, each in other hands: what was there, whether it commits an
    entry, and its arguments."""
    commit, send = ledger_writing.commit, ledger_writing._send
    return {
        "commit": lambda *given: change(commit, True, given),
        "_send": lambda *given: change(send, given[1] == ledger_writing._MESSAGE, given),
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_commit_whose_answer_was_lost_is_looked_for(
    backend: str, envelope: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_ledger(url_on(backend, tmp_path, request))
    size, answers = ledger.last()[0], [True, False]

    def unanswered(inner: Callable[..., Any], is_commit: bool, given: tuple[Any, ...]) -> Any:
        if not is_commit:
            return inner(*given)
        if answers.pop():
            given[0].rollback()
        else:
            inner(*given)
        raise sa.exc.OperationalError("COMMIT", None, sqlite3.OperationalError("the connection was lost"))

    for name, changed in commits(unanswered).items():
        monkeypatch.setattr(ledger_writing, name, changed)
    found = ledger.append(envelope)
    assert found.seq == size + 1
    with raises_code(DependencyError, "ledger.down"):
        ledger.append(envelope)
    assert ledger.entries()[size:] == [found]


def test_what_was_told_or_settled_is_on_disk(postgres_url: str, envelope: str) -> None:
    """Also where the database waits for no disk, and for a reader that may write nothing."""
    ledger, engine = open_ledger(postgres_url), sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    written, flushed = (sa.text(f"SELECT pg_current_wal_{name}_lsn() - '0/0'") for name in ("insert", "flush"))
    reader = sa.make_url(postgres_url).update_query_dict(
        {"options": "-c default_transaction_read_only=on -c synchronous_commit=off"}
    )
    careless = sa.make_url(postgres_url).update_query_dict({"options": "-c synchronous_commit=off"})
    with engine.connect() as watching:
        watching.exec_driver_sql("SET synchronous_commit = off")
        for writer in (ledger, open_ledger(careless)):
            watching.exec_driver_sql("SELECT pg_logical_emit_message(true, 'tests', 'x')")
            before = watching.scalar(written)
            writer.append(envelope)
            assert watching.scalar(flushed) > before
        watching.exec_driver_sql("SELECT pg_logical_emit_message(true, 'tests', 'x')")
        before = watching.scalar(written)
        open_ledger(reader, create=False).settle()
        assert watching.scalar(flushed) >= before


def append_and_die(url: str, envelope: str, before: bool) -> None:
    """Run in a child: SIGKILL itself right before, or right after, the commit."""
    opened = open_ledger(url)

    def dying(inner: Callable[..., Any], is_commit: bool, given: tuple[Any, ...]) -> Any:
        answer = inner(*given) if not (before and is_commit) else None
        if is_commit:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    vars(ledger_writing).update(commits(dying))
    opened.append(envelope)


@pytest.mark.slow
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("backend", BACKENDS)
def test_who_is_killed_at_the_commit_leaves_all_or_nothing(
    backend: str, before: bool, envelope: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = url_on(backend, tmp_path, request)
    size = open_ledger(url).last()[0]
    child = multiprocessing.get_context("spawn").Process(target=append_and_die, args=(url, envelope, before))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    ledger = open_ledger(url)
    assert ledger.verify().size == size + (not before)
    assert ledger.append(envelope).seq == size + 1 + (not before)
    assert ledger.audit((), (), believer(None))[1]


def test_a_read_only_ledger_says_so(tmp_path: Path, envelope: str) -> None:
    open_ledger(f"sqlite:///{tmp_path / 'l.db'}").append(envelope)
    ledger = open_ledger(f"sqlite:///file:{tmp_path / 'l.db'}?mode=ro&uri=true")
    assert ledger.verify()[0] == 1
    with raises_code(AccessError, "ledger.refused"):
        ledger.append(envelope)


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    folder = tmp_path / "file"
    folder.write_text("")
    folder.chmod(stat.S_IRUSR)
    return folder


def test_ledgers_that_cannot_be(tmp_path: Path, unwritable: Path) -> None:
    for url, error, code in (
        ("nonsense", ConfigurationError, "ledger.address"),
        ("mysql://u:geheim@h/db", ConfigurationError, "ledger.address"),
        (f"sqlite:///{unwritable / 'x' / 'l.db'}", AccessError, "ledger.refused"),
        ("postgresql+psycopg://u:geheim@127.0.0.1:1/db", DependencyError, "ledger.down"),
    ):
        with raises_code(error, code) as caught:
            open_ledger(url, timeout=1)
        assert "geheim" not in str(caught.value)
    (tmp_path / "text.db").write_text("this is no database, it is a text that goes on" * 50)
    with raises_code(ConfigurationError, "ledger.unusable"):
        open_ledger(f"sqlite:///{tmp_path / 'text.db'}")


def test_a_newer_schema_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    raw = sqlite3.connect(tmp_path / "ledger.db")
    raw.execute("INSERT INTO mlgov_ledger_schema VALUES (99)")
    raw.commit()
    with raises_code(ConfigurationError, "ledger.schema_newer"):
        open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


V1 = """
CREATE TABLE mlgov_ledger (seq INTEGER NOT NULL, prev VARCHAR(64) NOT NULL, hash VARCHAR(64) NOT NULL,
    recorded_at VARCHAR(40) NOT NULL, kind VARCHAR(20) NOT NULL, subject_digest VARCHAR(64) NOT NULL,
    subject_name TEXT NOT NULL, envelope_sha256 VARCHAR(64) NOT NULL, envelope TEXT NOT NULL,
    PRIMARY KEY (seq), UNIQUE (prev), UNIQUE (hash));
CREATE INDEX ix_mlgov_ledger_subject_digest ON mlgov_ledger (subject_digest);
CREATE TABLE mlgov_ledger_schema (version INTEGER NOT NULL, PRIMARY KEY (version));
CREATE TRIGGER mlgov_ledger_no_update BEFORE UPDATE ON mlgov_ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER mlgov_ledger_no_delete BEFORE DELETE ON mlgov_ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
INSERT INTO mlgov_ledger_schema VALUES (1);
"""
"""What the first version of this package made."""


def test_a_ledger_of_the_first_schema_is_brought_up_to_date(ledger: Ledger, envelope: str, tmp_path: Path) -> None:
    entries = [ledger.append(envelope), ledger.append(envelope)]
    old = sqlite3.connect(tmp_path / "old.db")
    old.executescript(V1)
    for entry in entries:
        values = list(vars(entry).values())
        old.execute(
            f"INSERT INTO mlgov_ledger ({', '.join(vars(entry))}) VALUES ({', '.join('?' * len(values))})", values
        )
    old.commit()
    for _ in range(2):
        opened = open_ledger(f"sqlite:///{tmp_path / 'old.db'}")
        assert opened.entries() == entries
        assert opened.oddities() == []
    steps = [row[0] for row in old.execute("SELECT version FROM mlgov_ledger_schema ORDER BY version")]
    assert steps == [1, 2, 3, 4, 5]
    assert opened.append(envelope).seq == 3
    assert opened.verify().size == 3


def test_sqlites_replace_is_no_way_around_the_triggers(ledger: Ledger, envelope: str, tmp_path: Path) -> None:
    entry = ledger.append(envelope)
    raw = sqlite3.connect(tmp_path / "ledger.db")
    row = {**vars(entry), "kind": "approval"}
    for verb in ("REPLACE", "INSERT OR REPLACE"):
        with pytest.raises(sqlite3.DatabaseError, match="append-only"):
            raw.execute(f"{verb} INTO mlgov_ledger VALUES ({', '.join('?' * len(row))})", list(row.values()))
    assert ledger.entries() == [entry]


def test_dropped_and_disabled_triggers_are_named(ledger: Ledger, tmp_path: Path, postgres_url: str) -> None:
    raw = sqlite3.connect(tmp_path / "ledger.db")
    raw.execute("DROP TRIGGER mlgov_ledger_no_delete")
    assert ledger.oddities() == ["lacks the trigger mlgov_ledger_no_delete"]
    shared = open_ledger(postgres_url)
    assert shared.oddities() == []
    engine = sa.create_engine(postgres_url)
    for state, missing in (("DISABLE", ["has the trigger mlgov_ledger_no_change disabled"]), ("ENABLE", [])):
        with engine.begin() as connection:
            connection.execute(sa.text(f"ALTER TABLE mlgov_ledger {state} TRIGGER mlgov_ledger_no_change"))
        assert shared.oddities() == missing


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_entries_of_one_model_and_no_other(
    backend: str, ledger: Ledger, signer, request: pytest.FixtureRequest
) -> None:
    from airflow_mlgov.evidence.signing import sign_statement
    from tests.worlds.statements import make_statement

    if backend == "postgresql":
        ledger = open_ledger(request.getfixturevalue("postgres_url"))
    names = ["m_x/1", "m_x/2", "M_X/1", "max/1", "m_x0/1", "m_x", "m%/1"]
    for name in names:
        statement = make_statement().as_json()
        statement["subject"][0]["name"] = f"models:/{name}"
        ledger.append(sign_statement(statement, signer))
    for model, expected in (("m_x", {"m_x/1", "m_x/2"}), ("m%", {"m%/1"})):
        found = {entry.subject_name.removeprefix("models:/") for entry in ledger.entries(model=model)}
        assert found == expected


def hold(url: str, ready: str, seconds: float) -> None:
    import time

    with open_ledger(url).exclusive("the model m"):
        Path(ready).touch()
        time.sleep(seconds)


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_one_at_a_time_and_the_dead_hold_nothing(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    import time

    url = f"sqlite:///{tmp_path / 'x.db'}" if backend == "sqlite" else request.getfixturevalue("postgres_url")
    ledger = open_ledger(url)
    other = multiprocessing.get_context("spawn").Process(target=hold, args=(url, str(tmp_path / "ready"), 120))
    other.start()
    deadline = time.monotonic() + 60
    while not (tmp_path / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with raises_code(DependencyError, "ledger.lock_busy"), ledger.exclusive("the model m", 0.3):
        pass
    if backend == "postgresql":
        with ledger.exclusive("the model n", 0.3) as confirm:
            confirm()
    other.kill()
    other.join(30)
    with ledger.exclusive("the model m", 10) as confirm:
        confirm()


def test_a_connection_that_was_idle_is_asked_first_and_one_in_use_is_not(
    postgres_url: str, envelope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, asked = open_ledger(postgres_url), list[bool]()
    ping = ledger._engine.dialect.do_ping

    def counted(held: Any) -> bool:
        asked.append(False)
        asked[-1] = ping(held)
        return asked[-1]

    monkeypatch.setattr(ledger._engine.dialect, "do_ping", counted)
    for _ in range(3):
        ledger.append(envelope)
    size, _ = ledger.last()
    assert asked == []
    monkeypatch.setattr(ledger_schema, "_IDLE_SECONDS", 0.0)
    ledger.append(envelope)
    assert asked == [True]
    with sa.create_engine(postgres_url).begin() as connection:
        mine = "datname = current_database() AND pid <> pg_backend_pid()"
        connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}"))
    assert ledger.append(envelope).seq == size + 2
    assert asked[:2] == [True, False]


def test_a_lock_that_is_lost_is_noticed(postgres_url: str) -> None:
    ledger = open_ledger(postgres_url)
    with ledger.exclusive("the model m") as confirm:
        confirm()
        with sa.create_engine(postgres_url).begin() as connection:
            connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
                    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            )
        with pytest.raises(DependencyError):
            confirm()
