"""The ledger's database bent so that it hides a row, swallows one, or leads its reader elsewhere: nothing is decided on
what was not walked, nothing counts as written that cannot be read back, and ``mlgov doctor`` says what was bent."""

import os
import sqlite3
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from airflow_mlgov.cli import main
from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, EvidenceError
from airflow_mlgov.evidence.chain import link
from airflow_mlgov.evidence.checkpoints import head_to_keep
from airflow_mlgov.evidence.ledger import Ledger, open_ledger
from airflow_mlgov.evidence.ledger_schema import table
from airflow_mlgov.evidence.signing import TrustRoot, open_signer, sign_statement
from airflow_mlgov.evidence.verification import believer
from airflow_mlgov.urls import shown_database
from tests.codes import raises_code
from tests.fixtures.postgres import PASSWORD
from tests.worlds.pages import ROOT, blocks
from tests.worlds.statements import make_statement

INDEX = "ix_mlgov_ledger_subject_digest"


@pytest.fixture
def envelope(tmp_path: Path) -> str:
    return sign_statement(make_statement().as_json(), open_signer(f"local:{tmp_path / 'key.pem'}", make_key=True))


@pytest.fixture
def ledger(tmp_path: Path, envelope: str) -> Ledger:
    """Three entries about one digest."""
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    for _ in range(3):
        ledger.append(envelope)
    return ledger


def bend(tmp_path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as raw:
        for statement in statements:
            raw.execute(statement)


# -- SQLite -----------------------------------------------------------------------------------------------------------


def test_a_row_left_out_of_an_index_that_looks_whole(ledger: Ledger, tmp_path: Path) -> None:
    digest = ledger.get(2).subject_digest
    text = f"CREATE INDEX {INDEX} ON mlgov_ledger (subject_digest)"
    bend(
        tmp_path,
        f"DROP INDEX {INDEX}",
        f"{text} WHERE seq <> 2",
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_master SET sql = '{text}' WHERE name = '{INDEX}'",
    )
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw:
        by_index = f"SELECT seq FROM mlgov_ledger INDEXED BY {INDEX} WHERE subject_digest = ?"
        assert raw.execute(by_index, [digest]).fetchall() == [(1,), (3,)]
    assert [entry.seq for entry in ledger.walk().entries([digest])] == [1, 2, 3]
    assert any("an index leaves rows out" in oddity for oddity in ledger.oddities())


@pytest.mark.parametrize(
    "trigger",
    [
        "BEFORE INSERT ON mlgov_ledger BEGIN SELECT RAISE(IGNORE); END",
        "AFTER INSERT ON mlgov_ledger BEGIN DELETE FROM mlgov_ledger WHERE seq = NEW.seq; END",
        "AFTER INSERT ON mlgov_ledger BEGIN UPDATE mlgov_ledger SET kind = 'policy' WHERE seq = NEW.seq; END",
    ],
)
def test_an_entry_that_is_swallowed_or_changed(ledger: Ledger, tmp_path: Path, envelope: str, trigger: str) -> None:
    bend(tmp_path, "DROP TRIGGER mlgov_ledger_no_delete", "DROP TRIGGER mlgov_ledger_no_update")
    bend(tmp_path, f"CREATE TRIGGER quiet {trigger}")
    with raises_code(EvidenceError, "ledger.not_kept"):
        ledger.append(envelope)
    assert "has a foreign trigger quiet" in ledger.oddities()
    assert ledger.verify().size == 3


def test_a_trigger_that_keeps_its_name_alone(ledger: Ledger, tmp_path: Path) -> None:
    name = "mlgov_ledger_no_delete"
    bend(tmp_path, f"DROP TRIGGER {name}", f"CREATE TRIGGER {name} BEFORE DELETE ON mlgov_ledger BEGIN SELECT 1; END")
    assert ledger.oddities() == [f"has the trigger {name} altered"]


def test_a_view_in_place_of_the_table(ledger: Ledger, tmp_path: Path, envelope: str) -> None:
    view = "CREATE VIEW mlgov_ledger AS SELECT * FROM kept WHERE seq <> 2"
    bend(tmp_path, "ALTER TABLE mlgov_ledger RENAME TO kept", view)
    with raises_code(EvidenceError, "ledger.entry_missing", "entry 2 "):
        ledger.walk()
    with raises_code(EvidenceError, "ledger.altered"):
        ledger.append(envelope)
    assert ledger.oddities() == ["is no table but a view"]
    bend(tmp_path, "DROP VIEW mlgov_ledger")
    with raises_code(EvidenceError, "ledger.altered"):
        ledger.walk()


def test_what_was_walked_is_gone_on_with_and_not_believed_again(ledger: Ledger, tmp_path: Path, envelope: str) -> None:
    first = ledger.walk()
    assert ledger.walk(since=first).head == first.head
    entry = ledger.append(envelope)
    second = ledger.walk(since=first)
    assert (second.head, second.get(4), first.head.size) == (ledger.verify(), entry, 3)
    bend(tmp_path, "DROP TRIGGER mlgov_ledger_no_delete", "DELETE FROM mlgov_ledger WHERE seq >= 3")
    with raises_code(EvidenceError, "ledger.entry_changed"):
        ledger.walk(since=second)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_lock_file_that_is_something_else(ledger: Ledger, tmp_path: Path, kind: str) -> None:
    lock, precious = tmp_path / "ledger.db.lock", tmp_path / "trust.json"
    precious.write_text("precious")
    if kind == "link":
        lock.symlink_to(precious)
    elif kind == "pipe":
        os.mkfifo(lock)
    else:
        lock.mkdir()
    with raises_code(AccessError, "ledger.lock"), ledger.exclusive("the model m", 0.5):
        pass
    assert precious.read_text() == "precious"


def test_a_lock_file_is_never_emptied(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "ledger.db.lock").write_text("kept")
    with ledger.exclusive("the model m", 0.5):
        pass
    assert (tmp_path / "ledger.db.lock").read_text() == "kept"


# -- a ledger that is not there, a URL that says too much -------------------------------------------------------------

READING = {
    "verify": "ledger verify --ledger {url}",
    "show": "ledger show 1 --ledger {url}",
    "checkpoint": "ledger checkpoint --ledger {url} --sign local:{folder}/key.pem --out {folder}/checkpoint",
    "export": "ledger export --ledger {url} --model models:/m/1 --out {folder}/pack.zip --registry http://127.0.0.1:9",
    "obligations": "obligations --ledger {url} --trust {folder}/trust.json",
    "replay": "replay --ledger {url} --trust {folder}/trust.json",
    "explain": "verify models:/m/1 --ledger {url} --trust {folder}/trust.json --registry http://127.0.0.1:9",
}


@pytest.mark.parametrize("command", READING)
@pytest.mark.parametrize("name", ["gone/ledger.db", "empty.db"])
def test_whoever_reads_makes_no_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    TrustRoot().save(tmp_path / "trust.json")
    (tmp_path / "empty.db").write_bytes(b"")
    open_signer(f"local:{tmp_path / 'key.pem'}", make_key=True)
    before = {path: path.stat().st_size for path in tmp_path.iterdir()}
    words = READING[command].format(url=f"sqlite:///{tmp_path}/{name}", folder=tmp_path).split()
    monkeypatch.setattr(sys, "argv", ["mlgov", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert f"there is no ledger at sqlite:///{tmp_path}/{name}" in capsys.readouterr().err
    assert {path: path.stat().st_size for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://u:geheim@db:5432/mlgov?password=geheim", "postgresql+psycopg://db:5432/mlgov"),
        ("postgresql+psycopg://db/mlgov?sslkey=geheim&host=geheim", "postgresql+psycopg://db/mlgov"),
        ("postgresql+psycopg://u:ge@heim@db/mlgov", "postgresql+psycopg://db/mlgov"),
        ("postgresql+psycopg://u:g@e/heim@db/mlgov", "postgresql+psycopg://e/db/mlgov"),
        ("postgresql+psycopg://[::1]:5/mlgov?geheim", "postgresql+psycopg://[::1]:5/mlgov"),
        ("sqlite:////a/l.db?password=geheim", "sqlite:////a/l.db"),
        ("sqlite:///file:/a/l.db?mode=ro&uri=true&key=geheim", "sqlite:///file:/a/l.db"),
    ],
)
def test_a_url_is_shown_without_what_may_be_a_secret(url: str, shown: str) -> None:
    said = shown_database(sa.make_url(url))
    assert "heim" not in said
    assert said == shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://u:geheim@h:port/db",
        "geheim",
        "geheim://h/db",
        "postgresql+geheim://u:geheim@h/db",
    ],
)
def test_a_url_that_does_not_open_tells_no_secret(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_ledger(url, timeout=1)
    assert caught.value.code in ("ledger.address", "ledger.unusable")
    assert "u:geheim" not in str(caught.value)
    assert "password" not in str(caught.value)


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


@pytest.fixture
def owner(postgres: str) -> Iterator[sa.Engine]:
    """The owner of a database of its own."""
    server, name = sa.make_url(postgres).set(password=PASSWORD), f"bent_{uuid.uuid4().hex[:8]}"
    with sa.create_engine(server, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
        connection.execute(sa.text(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'"))
    engine = sa.create_engine(server.set(database=name), isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


def writer(owner: sa.Engine, envelope: str) -> Ledger:
    """The ledger as its writer sees it, who owns nothing: three entries about one digest."""
    ledger = open_ledger(owner.url)
    for _ in range(3):
        ledger.append(envelope)
    role = owner.url.database
    page = next(block for block in blocks(ROOT / "docs" / "upgrade.md") if block.language == "sql")
    run(owner, page.text.replace("ledger, ledger_reader", role).replace("TO ledger;", f"TO {role};"))
    return open_ledger(owner.url.set(username=role))


def run(owner: sa.Engine, *statements: str) -> None:
    with owner.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_postgresql_as_it_was_made(owner: sa.Engine, envelope: str) -> None:
    ledger = writer(owner, envelope)
    assert ledger.oddities() == []
    assert ledger.append(envelope).seq == ledger.walk().head.size == 4


@pytest.mark.parametrize(
    ("statement", "oddity"),
    [
        ("CREATE RULE quiet AS ON INSERT TO mlgov_ledger DO INSTEAD NOTHING", "has a foreign rule quiet"),
        (
            "CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; "
            "CREATE TRIGGER quiet BEFORE INSERT ON mlgov_ledger FOR EACH ROW EXECUTE FUNCTION quiet()",
            "has a foreign trigger quiet",
        ),
        (
            "CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.kind = 'policy'; RETURN NEW; END "
            "$$; CREATE TRIGGER quiet BEFORE INSERT ON mlgov_ledger FOR EACH ROW EXECUTE FUNCTION quiet()",
            "has a foreign trigger quiet",
        ),
    ],
)
def test_postgresql_swallows_or_changes_an_entry(owner: sa.Engine, envelope: str, statement: str, oddity: str) -> None:
    ledger = writer(owner, envelope)
    run(owner, statement)
    with raises_code(EvidenceError, "ledger.not_kept"):
        ledger.append(envelope)
    assert oddity in ledger.oddities()
    assert ledger.verify().size == 3


def test_postgresql_hides_a_row_by_a_policy(owner: sa.Engine, envelope: str) -> None:
    ledger = writer(owner, envelope)
    run(
        owner,
        "ALTER TABLE mlgov_ledger ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY hide ON mlgov_ledger USING (seq <> 2)",
    )
    with raises_code(EvidenceError, "ledger.entry_missing", "entry 2 "):
        ledger.walk()
    assert ledger.oddities() == ["has row-level security, which hides rows", "has a foreign policy hide"]


def test_postgresql_leads_elsewhere_by_search_path(owner: sa.Engine, envelope: str) -> None:
    ledger = writer(owner, envelope)
    role = owner.url.database
    run(
        owner,
        "CREATE SCHEMA aside",
        "CREATE VIEW aside.mlgov_ledger AS SELECT * FROM public.mlgov_ledger WHERE seq <> 2",
        f"GRANT USAGE ON SCHEMA aside TO {role}",
        f"GRANT SELECT, INSERT ON aside.mlgov_ledger TO {role}",
        f"ALTER ROLE {role} SET search_path = aside, public",
    )
    ledger.close()
    with raises_code(EvidenceError, "ledger.entry_missing", "entry 2 "):
        ledger.walk()
    view, elsewhere = ledger.oddities()
    assert view == "is no table but a view"
    assert "search_path" in elsewhere


def test_postgresql_hides_a_row_from_an_index(owner: sa.Engine, envelope: str) -> None:
    ledger = writer(owner, envelope)
    run(owner, f"DROP INDEX {INDEX}", f"CREATE INDEX {INDEX} ON mlgov_ledger (subject_digest) WHERE seq <> 2")
    assert ledger.oddities() == [f"has the index {INDEX} altered"]
    run(owner, f"UPDATE pg_index SET indpred = NULL WHERE indexrelid = '{INDEX}'::regclass")
    digest = ledger.get(2).subject_digest
    assert [entry.seq for entry in ledger.walk().entries([digest])] == [1, 2, 3]
    run(owner, f"DROP INDEX {INDEX}", "CREATE TABLE child () INHERITS (mlgov_ledger)")
    foreign, lacking = ledger.oddities()
    assert "inherits" in foreign
    assert lacking == f"lacks the index {INDEX}"


def test_postgresql_with_a_trigger_that_refuses_nothing(owner: sa.Engine, envelope: str) -> None:
    ledger = writer(owner, envelope)
    run(
        owner,
        "CREATE OR REPLACE FUNCTION mlgov_ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN NULL; END $$",
    )
    ours, of_texts = ledger.oddities()
    assert ours == "has the trigger mlgov_ledger_no_change altered"
    assert "mlgov_ledger_texts_no_change" in of_texts


# -- who writes there -------------------------------------------------------------------------------------------------


def test_postgresql_takes_one_entry_of_a_number(owner: sa.Engine, envelope: str) -> None:
    """Somebody writes without the lock that writers queue for: of two entries of one number one is kept."""
    ledger = writer(owner, envelope)
    last = ledger.get(3)
    row = {"recorded_at": "2026", "kind": "gate", "subject_digest": "a" * 64, "subject_name": "m"}
    row["envelope_sha256"] = "b" * 64
    forged = {**row, "seq": 4, "prev": last.hash, "hash": link(last.hash, 4, row), "envelope": "{}"}
    with owner.connect().execution_options(isolation_level="READ COMMITTED") as other, ThreadPoolExecutor() as pool:
        other.execute(table.insert(), forged)
        answer = pool.submit(ledger.append, envelope)
        while not other.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            assert not answer.done()
        other.rollback()
        assert answer.result(60).seq == 4
        other.execute(table.insert(), {**forged, "seq": 5, "prev": ledger.get(4).hash})
        answer = pool.submit(ledger.append, envelope)
        while not other.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            assert not answer.done()
        other.commit()
        with raises_code(DependencyError, "ledger.down", match="duplicate key"):
            answer.result(60)
    assert ledger.last()[0] == 5
    with raises_code(EvidenceError, "ledger.entry_changed", match="entry 5 "):
        ledger.walk()  # whoever may insert may put in what does not follow, and stops the ledger so


@pytest.mark.parametrize("what", ["SELECT", "INSERT"])
@pytest.mark.parametrize("name", ["mlgov_ledger", "mlgov_ledger_nodes"])
def test_postgresql_lacks_a_grant(owner: sa.Engine, envelope: str, name: str, what: str) -> None:
    ledger = writer(owner, envelope)
    run(owner, f"REVOKE {what} ON {name} FROM {owner.url.database}")
    with raises_code(AccessError, "ledger.refused", match=f"table {name}"):
        ledger.append(envelope)
    run(owner, f"GRANT {what} ON {name} TO {owner.url.database}")
    assert ledger.append(envelope).seq == 4
    assert ledger.audit((), (), believer(None))[1]


def test_postgresql_grants_too_much(owner: sa.Engine, envelope: str) -> None:
    """A writer who may update and delete: the ledger and its texts refuse, the tree's nodes are found out."""
    ledger = writer(owner, envelope)
    run(owner, f"GRANT UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO {owner.url.database}")
    with sa.create_engine(owner.url.set(username=owner.url.database), isolation_level="AUTOCOMMIT").connect() as theirs:
        for statement in (
            "UPDATE mlgov_ledger SET kind = 'x'",
            "DELETE FROM mlgov_ledger",
            "TRUNCATE mlgov_ledger",
        ):
            with pytest.raises(sa.exc.DBAPIError, match="append-only"):
                theirs.exec_driver_sql(statement)
        theirs.exec_driver_sql("UPDATE mlgov_ledger_nodes SET hash = repeat('0', 64)")
    assert ledger.append(envelope).seq == ledger.walk().head.size == 4
    with raises_code(EvidenceError, "tree.node_wrong"):
        ledger.audit((), (), believer(None))
    owned = open_ledger(owner.url)
    owned.rebuild((), believer(None))
    assert ledger.append(envelope).seq == 5
    assert ledger.audit((), (), believer(None))[1]


def test_postgresql_forgets_what_was_prepared(owner: sa.Engine, envelope: str) -> None:
    """As behind a pool that hands a session to another server process."""
    ledger = writer(owner, envelope)
    ledger.append(envelope)
    with ledger.beside() as connection:
        connection.exec_driver_sql("DEALLOCATE ALL")
    assert ledger.append(envelope).seq == 5
    ledger.close()
    assert ledger.append(envelope).seq == 6


def test_a_statement_over_an_older_head_is_taken_and_over_another_ledger_refused(
    owner: sa.Engine, envelope: str, tmp_path: Path
) -> None:
    ledger, signer = writer(owner, envelope), open_signer(f"local:{tmp_path / 'k.pem'}", make_key=True)
    seen = ledger.verify()
    ledger.append(envelope)
    assert ledger.attest(make_statement(), signer, seen).seq == 5
    for other in (seen._replace(head="0" * 64), seen._replace(size=9), seen._replace(size=-1), seen._replace(size=0)):
        with raises_code(EvidenceError, "ledger.history_rewritten"):
            ledger.attest(make_statement(), signer, other)
    assert ledger.walk().head.size == 5


def test_postgresql_of_schema_3_for_those_who_may_not_create(owner: sa.Engine, envelope: str, tmp_path: Path) -> None:
    """It is read and signed as ever; who writes is told that its owner brings it over."""
    ledger, role = writer(owner, envelope), owner.url.database
    run(
        owner,
        "DROP TABLE mlgov_ledger_nodes, mlgov_ledger_index",
        "DROP INDEX ix_mlgov_ledger_kind",
        "DELETE FROM mlgov_ledger_schema WHERE version > 3",
    )
    reader = open_ledger(owner.url.set(username=role), create=False)
    assert reader.walk().head.size == 3
    assert reader.audit((), (), believer(None))[1] is False
    assert head_to_keep(reader) == reader.verify()
    for asked in (lambda: open_ledger(owner.url.set(username=role)), lambda: reader.append(envelope)):
        with raises_code(AccessError, "ledger.refused", match="schema 3.*permission denied.*mlgov ledger rebuild"):
            asked()
    assert reader.verify().size == 3
    open_ledger(owner.url).rebuild((), believer(None))
    run(owner, f"GRANT SELECT, INSERT ON mlgov_ledger_nodes, mlgov_ledger_index TO {role}")
    assert reader.append(envelope).seq == 4
    assert ledger.audit((), (), believer(None))[1]
