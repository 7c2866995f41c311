"""Names a SQL table or query and fingerprints its rows as a stream. Refuses to show a user name or a password: not in
a name, not in a repr, not in an error."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus
from uuid import UUID

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError
from airflow_mlgov.gates.inputs import require_columns
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    import sqlalchemy as sa

_MODULUS_BYTES = 512
_CHUNK = 5_000


@dataclass(frozen=True, repr=False)
class SqlSource:
    """A table or a query in a database that SQLAlchemy reaches.

    :raises ConfigurationError: not exactly one of ``table`` and ``query``, or a URL that is none
    """

    url: str = field(repr=False)
    """SQLAlchemy URL; better without a password in it."""
    table: str | None = None
    """``name`` or ``schema.name``."""
    query: str | None = None
    """One SELECT (or WITH … SELECT)."""
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if bool(self.table) == bool(self.query):
            raise ConfigurationError("a SqlSource needs a table or a query, and not both")
        self.sa_url()

    def __repr__(self) -> str:
        return f"SqlSource({self.name!r})"

    @property
    def name(self) -> str:
        """The URL without user, password and parameters, then the table or the SHA-256 of the query."""
        url = self.sa_url()
        host = f"{url.host or ''}:{url.port}" if url.port else url.host or ""
        where = f"{url.get_backend_name()}://{host}/{url.database or ''}"
        if self.table:
            return f"{where}#table={self.table}"
        return f"{where}#query=sha256:{hashlib.sha256((self.query or '').encode()).hexdigest()}"

    def sa_url(self) -> sa.URL:
        """The URL with the credentials in it: for a client object, never for a message."""
        import sqlalchemy as sa

        try:
            url = sa.make_url(self.url)
        except (sa.exc.ArgumentError, ValueError):
            raise ConfigurationError(
                "the data source's URL is not a SQLAlchemy URL; it looks like postgresql+psycopg://host:5432/database "
                "or sqlite:///file.db (not shown here: it may hold a password)"
            ) from None
        if self.username is not None:
            url = url.set(username=self.username)
        return url if self.password is None else url.set(password=self.password)

    def schema_and_table(self) -> tuple[str | None, str]:
        """``schema.name`` taken apart; the schema is None where none is written."""
        schema, _, name = (self.table or "").rpartition(".")
        return schema or None, name

    def subquery(self) -> str:
        """The query as the one SELECT that both the fingerprint and Great Expectations read; wrapped, so that nothing
        but a query gets through."""
        return f"SELECT * FROM (\n{(self.query or '').strip().rstrip(';')}\n) AS mlgov_query"  # noqa: S608

    def scrub(self, text: str) -> str:
        """``text`` without this source's credentials, however they are quoted."""
        url = self.sa_url()
        secrets = [url.password, url.username, *(str(value) for key, value in url.query.items() if "pass" in key)]
        forms = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""), quote_plus(secret))}
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, "***")
        return text


@dataclass(frozen=True)
class OpenDatabase:
    """A source that can be asked for aggregates. Use it within :func:`open_database`."""

    relation: str
    """What stands after FROM, without an alias."""
    columns: tuple[str, ...]
    name: str
    quote: Callable[[str], str]
    """A column's name as this database's SQL."""
    _connection: sa.Connection

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a SELECT gives."""
        result = self._connection.execution_options(no_parameters=True).exec_driver_sql(query)
        return [tuple(row) for row in result]

    def require(self, *columns: str) -> None:
        """Refuse columns that are not there.

        :raises ConfigurationError: one is missing; the message has the nearest name
        """
        require_columns(self.columns, columns, self.name)


@contextmanager
def open_database(source: SqlSource) -> Iterator[OpenDatabase]:
    """Ask a table or query for aggregates, where it is.

    :raises ConfigurationError: no such table or column, bad SQL, an unknown driver
    :raises AccessError: wrong password, or no right to read
    :raises DependencyError: the database is down
    """
    with _connection(source) as connection:
        relation = f"({source.subquery()})" if source.query else _table_name(source, connection)
        probe = connection.exec_driver_sql(f"SELECT * FROM {relation} c WHERE 1 = 0")  # noqa: S608 - the source's own
        quote = connection.dialect.identifier_preparer.quote_identifier
        yield OpenDatabase(relation, tuple(probe.keys()), source.name, quote, connection)


@dataclass(frozen=True)
class TableFingerprint:
    """What a table held at one moment."""

    digest: str
    """Lower-case hex SHA-256; see :func:`fingerprint`."""
    columns: tuple[str, ...]
    rows: int

    def subject(self, source: SqlSource) -> Subject:
        """The dataset, bound to these rows."""
        return Subject("dataset", source.name, self.digest)


def fingerprint(source: SqlSource) -> TableFingerprint:
    """Bind a table or query to its rows, in whatever order the database gives them, reading each row once.

    ``sha256("mlgov-table-v1" || JSON [column names, row count] || sum of SHAKE-256(row, 512 bytes) mod 2**4096)``.
    A row is its values in column order, each as a type letter, an 8-byte length and its canonical bytes (UTF-8 text,
    decimal integers, IEEE-754 doubles, UTC timestamps). The sum makes the order of rows irrelevant and counts
    duplicates; it is 4096 bits wide because sums of 256-bit hashes can be made to collide (Wagner's generalised
    birthday attack), which would let somebody swap rows behind a passed gate.

    :raises ConfigurationError: no such table or column, bad SQL, an unknown driver, a type that has no canonical form
    :raises AccessError: wrong password, or no right to read
    :raises DependencyError: the database is down
    """
    with _connection(source) as connection:
        options = {"stream_results": True, "yield_per": _CHUNK, "no_parameters": True}
        result = connection.execution_options(**options).exec_driver_sql(_select(source, connection))
        columns = tuple(result.keys())
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise ConfigurationError(f"{source.name} gives more than one column named {', '.join(twice)}; name them")
        return fingerprint_rows(columns, result)


def fingerprint_rows(columns: tuple[str, ...], rows: Iterable[Sequence[Any]]) -> TableFingerprint:
    """The same of rows that come from elsewhere, in any order."""
    modulus = 1 << (8 * _MODULUS_BYTES)
    total = count = 0
    for row in rows:
        hashed = hashlib.shake_256(b"".join(map(_encode, row, columns))).digest(_MODULUS_BYTES)
        total = (total + int.from_bytes(hashed)) % modulus
        count += 1
    head = b"mlgov-table-v1" + json.dumps([columns, count], separators=(",", ":")).encode()
    return TableFingerprint(hashlib.sha256(head + total.to_bytes(_MODULUS_BYTES)).hexdigest(), columns, count)


def _select(source: SqlSource, connection: sa.Connection) -> str:
    return source.subquery() if source.query else f"SELECT * FROM {_table_name(source, connection)}"  # noqa: S608


def _table_name(source: SqlSource, connection: sa.Connection) -> str:
    prepare = connection.dialect.identifier_preparer
    return ".".join(prepare.quote_identifier(part) for part in source.schema_and_table() if part)


def _encode(value: Any, column: str) -> bytes:
    kind, data = _canonical(value, column)
    return kind + struct.pack(">Q", len(data)) + data


def _canonical(value: Any, column: str) -> tuple[bytes, bytes]:  # noqa: C901 - one line per type
    match value:
        case None:
            return b"0", b""
        case bool():
            return b"b", b"1" if value else b"0"
        case int():
            return b"i", str(value).encode()
        case float():
            return b"f", b"nan" if value != value else struct.pack(">d", value)
        case str():
            return b"s", value.encode("utf-8", "surrogatepass")
        case Decimal():
            return b"d", str(value).encode()
        case datetime():  # a timestamp with a zone is an instant; the session's zone must not change the digest
            return b"t", (value if value.tzinfo is None else value.astimezone(UTC)).isoformat().encode()
        case date() | time():
            return b"a", value.isoformat().encode()
        case timedelta():
            return b"l", f"{value.days} {value.seconds} {value.microseconds}".encode()
        case bytes() | bytearray() | memoryview():
            return b"y", bytes(value)
        case UUID():
            return b"u", value.bytes
        case list() | tuple() | dict():
            try:
                return b"j", json.dumps(value, sort_keys=True, separators=(",", ":"), default=_nested).encode()
            except TypeError:
                pass
    raise ConfigurationError(
        f'column "{column}" holds values of type {type(value).__name__}, which have no canonical form to hash; '
        "select it as text in a query"
    )


def _nested(value: Any) -> str:
    if isinstance(value, Decimal | datetime | date | time | UUID):
        return str(value)
    raise TypeError


@contextmanager
def _connection(source: SqlSource) -> Iterator[sa.Connection]:
    """A connection whose errors are ours, with no credential in them and no cause that might hold one."""
    import sqlalchemy as sa

    url = source.sa_url()
    _require_sqlite_file(url)
    try:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
    except (sa.exc.ArgumentError, ImportError):
        raise ConfigurationError(
            f"no driver for {url.drivername}:// is installed; PostgreSQL needs psycopg "
            "(pip install 'airflow-provider-mlgov[postgres]') and a URL that begins with postgresql+psycopg://"
        ) from None
    try:
        with engine.connect() as connection:
            yield connection
    except sa.exc.DBAPIError as error:
        raise _translate(source, error) from None
    finally:
        engine.dispose()


def _require_sqlite_file(url: sa.URL) -> None:
    """SQLite would quietly make an empty database where there is none."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database.startswith("file:"):
        return
    if url.database != ":memory:" and not Path(url.database).is_file():
        raise ConfigurationError(f"no such SQLite file: {url.database}")


_REFUSED = re.compile(
    r"authentication failed|no password supplied|permission denied|access denied|role .* does not exist|pg_hba|"
    r"not permitted|unable to open database file: permission",
    re.IGNORECASE,
)
_MISTAKEN = re.compile(
    r"no such (table|column|function)|does not exist|syntax error|not a database|incomplete input|undefined|"
    r"unable to open database|unrecognized token|could not translate host",
    re.IGNORECASE,
)

_AFTERWORDS = re.compile(r" (?:DETAIL|LINE \d+|CONTEXT|HINT):")
"""Where a driver's message begins to quote the statement, or rows."""


def _translate(source: SqlSource, error: sa.exc.DBAPIError) -> Exception:
    """Ours for theirs, by SQLSTATE where there is one and by the driver's words where there is none."""
    import sqlalchemy as sa

    original = error.orig
    state = str(getattr(original, "sqlstate", None) or getattr(original, "pgcode", None) or "")
    words = " ".join(str(original).split())
    said = source.scrub(_AFTERWORDS.split(words)[0])[:300]
    if state.startswith("28") or state == "42501" or _REFUSED.search(words):
        return AccessError(f"{source.name}: the database refused access: {said}")
    if state.startswith("22"):  # a data exception: its words quote the value
        kind = type(original).__name__
        return ConfigurationError(f"{source.name} cannot be read: a value in it made the database stop ({kind})")
    operational = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
    if state[:2] in ("42", "3D", "3F") or _MISTAKEN.search(words) or (not operational and not state):
        return ConfigurationError(f"{source.name} cannot be read: {said}")
    return DependencyError(f"{source.name} cannot be reached: {said}")
