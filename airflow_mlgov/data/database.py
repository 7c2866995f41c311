"""Names a SQL table or query, asks it for aggregates where it is, and streams its rows. Refuses to show a user name or
a password: not in a name, not in a repr, not in an error."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from airflow_mlgov.data.fetching import fetched
from airflow_mlgov.data.fingerprint import TableFingerprint
from airflow_mlgov.data.limits import deadline, stopped_at
from airflow_mlgov.data.memory import exceeded
from airflow_mlgov.data.names import require_columns
from airflow_mlgov.data.relation import MEMORY_LIMIT, ColumnKind
from airflow_mlgov.data.remote import RemoteRelation, copied, fingerprint_of
from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError
from airflow_mlgov.extras import bringing
from airflow_mlgov.urls import database_url, shown_database

if TYPE_CHECKING:
    import sqlalchemy as sa

    from airflow_mlgov.data.duck import Duck, DuckTable

_SECRET = re.compile(r"pass|pwd|secret|token|key|cred|extra", re.IGNORECASE)
_MYSQL_TEXT = frozenset({15, 247, 248, *range(249, 255)})
"""Type codes of MySQL's protocol: VARCHAR, ENUM, SET, the TEXTs, VAR_STRING and STRING."""


@dataclass(frozen=True, repr=False)
class SqlSource:
    """A table or a query in a database that SQLAlchemy reaches.

    :raises ConfigurationError: not exactly one of ``table`` and ``query``, or a text that is no URL
    """

    url: str = field(repr=False)
    """SQLAlchemy URL; better without a password in it."""
    table: str | None = None
    """``name``, ``schema.name`` or ``project.schema.name``."""
    query: str | None = None
    """One SELECT (or WITH … SELECT)."""
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    engine: sa.Engine | None = field(default=None, repr=False, compare=False)
    """What connects, where a URL is not all that it takes (a key, a token); ``url`` then names the database."""

    def __post_init__(self) -> None:
        if bool(self.table) == bool(self.query):
            raise ConfigurationError("a SqlSource needs a table or a query, and not both", code="source.table_or_query")
        self.sa_url()

    def __repr__(self) -> str:
        return f"SqlSource({self.name!r})"

    @property
    def name(self) -> str:
        """The URL without user, password and parameters, then the table or the SHA-256 of the query."""
        url = self.sa_url()
        where = shown_database(url, url.get_backend_name())
        if self.table:
            return f"{where}#table={self.table}"
        return f"{where}#query=sha256:{hashlib.sha256((self.query or '').encode()).hexdigest()}"

    def sa_url(self) -> sa.URL:
        """The URL with the credentials in it: for a client object, never for a message."""
        url = database_url(self.url)
        if url is None:
            raise ConfigurationError(
                "the data source's URL is not a SQLAlchemy URL; it looks like postgresql+psycopg://host:5432/database "
                "or sqlite:///file.db (not shown here: it may hold a password)",
                code="source.address",
            )
        if self.username is not None:
            url = url.set(username=self.username)
        return url if self.password is None else url.set(password=self.password)

    @contextmanager
    def open(self, *, memory_limit: str = MEMORY_LIMIT) -> Iterator[DatabaseRelation]:
        """The table or query, where it is. Nobody logs in before the first question.

        :param memory_limit: of :meth:`DatabaseRelation.in_duckdb`
        """
        with DatabaseRelation(self, memory_limit) as relation:
            yield relation

    @contextmanager
    def open_in(self, duck: Duck, view: str) -> Iterator[DuckTable]:
        """Its rows, copied to a temporary file, as a view of DuckDB."""
        with copied(self, duck, view) as table:
            yield table

    @contextmanager
    def stream(self) -> Iterator[tuple[tuple[str, ...], Iterator[Sequence[Any]]]]:
        """The columns and, while the context is open, the rows, once; errors as of :func:`fingerprint`."""
        with _connection(self) as connection:
            result = connection.execution_options(stream_results=True).exec_driver_sql(_select(self, connection))
            columns = tuple(result.keys())
            twice = sorted({name for name in columns if columns.count(name) > 1})
            if twice:
                raise ConfigurationError(
                    f"{self.name} gives more than one column named {', '.join(twice)}; name them", code="column.twice"
                )
            yield columns, fetched(result.fetchmany)

    def schema_and_table(self) -> tuple[str | None, str]:
        """``schema.name`` taken apart; the schema is None if the name has none."""
        schema, _, name = (self.table or "").rpartition(".")
        return schema or None, name

    def subquery(self) -> str:
        """The query as the one SELECT that both the fingerprint and Great Expectations read; wrapped, so that nothing
        but a query gets through."""
        return f"SELECT * FROM (\n{(self.query or '').strip().rstrip(';')}\n) AS mlgov_query"  # noqa: S608

    def scrub(self, text: str) -> str:
        """``text`` without this source's credentials, however they are quoted."""
        secrets: list[str | None] = []
        for url in [self.sa_url()] if self.engine is None else [self.sa_url(), self.engine.url]:
            secrets += [url.password, url.username, *(str(url.query[key]) for key in secret_parameters(url))]
        forms = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""), quote_plus(secret))}
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, "***")
        return text


def is_table_name(name: str) -> bool:
    """Whether a dataset's name is that of a database's or Spark's rows, and not a path's."""
    return "://" in name and any(mark in name for mark in ("#table=", "#path=", "#query=sha256:"))


def secret_parameters(url: sa.URL) -> list[str]:
    """The names of those parameters of a URL that may hold a credential."""
    return [name for name in url.query if _SECRET.search(name)]


class DatabaseRelation(RemoteRelation):
    """A table or query that is asked where it is. Use it within :meth:`SqlSource.open`."""

    def __init__(self, source: SqlSource, memory_limit: str = MEMORY_LIMIT) -> None:
        super().__init__(source, memory_limit)
        self.source = source

    @property
    def sql(self) -> str:
        """What stands after FROM."""
        return self._opened[1]

    @property
    def columns(self) -> dict[str, ColumnKind]:
        """As the database spells them; of what kinds, drivers do not say alike."""
        return dict.fromkeys(self._opened[2], ColumnKind.UNKNOWN)

    @property
    def has_grouping_sets(self) -> bool:
        """PostgreSQL does; SQLite and MySQL do not."""
        return self._opened[0].dialect.name == "postgresql"

    def quote(self, column: str) -> str:
        """A column's name as this database's SQL."""
        connection, *_ = self._opened
        return _quoted(self._spelt(column), connection)

    def require(self, *columns: str) -> None:
        """Refuse columns that are not there.

        :raises ConfigurationError: one is missing; the message has the nearest name
        """
        require_columns(self.columns, tuple(map(self._spelt, columns)), self.name)

    def rows(self, select: str) -> list[tuple[Any, ...]]:
        """What a SELECT gives."""
        connection, *_ = self._opened
        with _our_errors(self.source), _in_time(self.source, connection):
            return [tuple(row) for row in connection.exec_driver_sql(select)]

    @cached_property
    def _opened(self) -> tuple[sa.Connection, str, tuple[str, ...]]:
        """The connection, what stands after FROM, and the columns.

        :raises ConfigurationError: no such table or column, bad SQL, an unknown driver
        :raises AccessError: wrong password, or no right to read
        :raises DependencyError: the database is down
        """
        source = self.source
        connection = self._stack.enter_context(_connection(source))
        with _our_errors(source), _in_time(source, connection):
            relation = f"({source.subquery()})" if source.query else _table_name(source, connection)
            probe = connection.exec_driver_sql(f"SELECT * FROM {relation} c WHERE 1 = 0")  # noqa: S608 - the source's
            described = [(str(name), kind) for name, kind, *_ in probe.cursor.description]
            probe.close()
            if connection.dialect.name in ("mysql", "mariadb"):
                relation = _by_code_point(relation, described, connection)
        return connection, relation, tuple(name for name, _ in described)

    def _spelt(self, column: str) -> str:
        connection, _, columns = self._opened
        return column if column in columns else _folded(column, connection)


def fingerprint(source: SqlSource) -> TableFingerprint:
    """Bind a table or query to its rows, in whatever order the database gives them, reading each row once; see
    :func:`airflow_mlgov.data.fingerprint.fingerprint_rows`.

    :raises ConfigurationError: no such table or column, bad SQL, an unknown driver, a type that has no canonical form
    :raises AccessError: wrong password, or no right to read
    :raises DependencyError: the database is down
    """
    return fingerprint_of(source)


def _select(source: SqlSource, connection: sa.Connection) -> str:
    return source.subquery() if source.query else f"SELECT * FROM {_table_name(source, connection)}"  # noqa: S608


def _table_name(source: SqlSource, connection: sa.Connection) -> str:
    return ".".join(_quoted(_folded(part, connection), connection) for part in (source.table or "").split("."))


def _quoted(name: str, connection: sa.Connection) -> str:
    prepare = connection.dialect.identifier_preparer  # whose own function doubles a percent sign, for parameters
    quoted = name.replace(prepare.escape_quote, prepare.escape_to_quote)
    return f"{prepare.initial_quote}{quoted}{prepare.final_quote}"


def _folded(name: str, connection: sa.Connection) -> str:
    """The name as the database stores it when nobody quotes it: upper case in Snowflake and Oracle."""
    dialect = connection.dialect
    return str(dialect.denormalize_name(name)) if dialect.requires_name_normalize else name


def _by_code_point(relation: str, columns: Sequence[tuple[str, Any]], connection: sa.Connection) -> str:
    """The same rows with text that is equal only to itself: MySQL's own order takes "f" and "F" for one group."""
    order = "utf8mb4_nopad_bin" if getattr(connection.dialect, "is_mariadb", False) else "utf8mb4_0900_bin"
    parts = []
    for name, kind in columns:
        quoted = _quoted(name, connection)
        text = f"CONVERT({quoted} USING utf8mb4) COLLATE {order} AS {quoted}"
        parts.append(text if kind in _MYSQL_TEXT else quoted)
    return f"(SELECT {', '.join(parts)} FROM {relation} t)"  # noqa: S608 - the source's own


@contextmanager
def _connection(source: SqlSource) -> Iterator[sa.Connection]:
    """A connection whose errors are ours, with no credential in them and no cause that might hold one."""
    engine = source.engine or _new_engine(source)
    try:
        with _our_errors(source), _connect(source, engine) as connection, _in_time(source, connection):
            yield connection.execution_options(no_parameters=True)  # a percent sign is one
    finally:
        engine.dispose()


@contextmanager
def _our_errors(source: SqlSource) -> Iterator[None]:
    import sqlalchemy as sa

    until = deadline()
    try:
        yield
    except sa.exc.DBAPIError as error:
        if not until.left:
            raise until.error(f"a query over {source.name}") from None
        raise _translate(source, error) from None
    except MemoryError:
        raise exceeded(source.name) from None


@contextmanager
def _in_time(source: SqlSource, connection: sa.Connection) -> Iterator[None]:
    """Statements of the block end at the deadline: in the server, which would go on if nobody told it."""
    until = deadline()
    until.check(f"a query over {source.name}")
    limit = _TIMEOUTS.get("mariadb" if getattr(connection.dialect, "is_mariadb", False) else connection.dialect.name)
    if limit is not None and until.watch is not None:
        connection.exec_driver_sql(limit(until.left + _MARGIN)).close()
    with stopped_at(until, partial(_cancel, connection.connection.driver_connection)):
        yield


_MARGIN = 0.5
"""Seconds after which the server itself stops, so that the deadline is past when it says so."""
_TIMEOUTS: dict[str, Callable[[float], str]] = {
    "mariadb": lambda seconds: f"SET SESSION max_statement_time = {seconds:.3f}",
    "mysql": lambda seconds: f"SET SESSION max_execution_time = {math.ceil(1000 * seconds)}",
    "snowflake": lambda seconds: f"ALTER SESSION SET STATEMENT_TIMEOUT_IN_SECONDS = {math.ceil(seconds)}",
}
"""How a session is told how long a statement may take, where a driver cannot cancel one from another thread."""


def _cancel(connection: Any) -> None:
    """What a driver's connection has for it: psycopg, psycopg2 and oracledb ``cancel``, SQLite ``interrupt``."""
    for name in ("cancel_safe", "cancel", "interrupt"):
        stop = getattr(connection, name, None)
        if callable(stop):
            stop()
            return


def _new_engine(source: SqlSource) -> sa.Engine:
    import sqlalchemy as sa

    url = source.sa_url()
    _require_sqlite_file(url)
    try:
        return sa.create_engine(url, poolclass=sa.NullPool)
    except (sa.exc.ArgumentError, ImportError):
        raise ConfigurationError(
            f"no driver for {url.drivername}:// is installed; PostgreSQL needs psycopg ({bringing('postgres')}) and a "
            "URL that begins with postgresql+psycopg://",
            code="connection.no_driver",
        ) from None


def _connect(source: SqlSource, engine: sa.Engine) -> sa.Connection:
    import sqlalchemy as sa

    try:
        connection = engine.connect()
        if source.engine is not None:  # BigQuery's client logs in with the first question
            connection.exec_driver_sql("SELECT 1").close()
        return connection
    except sa.exc.DBAPIError:
        raise
    except Exception as error:  # a cloud's client has errors of its own, whose words may quote a key
        raise AccessError(
            f"{source.name}: logging in ended with {type(error).__name__}; look at the credentials that the connection "
            "names",
            code="database.refused",
        ) from None


def _require_sqlite_file(url: sa.URL) -> None:
    """SQLite would quietly make an empty database where there is none."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database.startswith("file:"):
        return
    if url.database != ":memory:" and not Path(url.database).is_file():
        raise ConfigurationError(f"no such SQLite file: {url.database}", code="file.missing")


_REFUSED = re.compile(
    r"authentication failed|no password supplied|permission denied|access denied|command denied|role .* does not exist|"
    r"pg_hba|incorrect username or password|insufficient privileges|jwt token is invalid|not allowed to connect|"
    r"not permitted|unable to open database file: permission",
    re.IGNORECASE,
)


_MISTAKEN = re.compile(
    r"no such (table|column|function)|does not exist|syntax error|not a database|incomplete input|undefined|"
    r"unable to open database|unrecognized token|could not translate host|unknown (column|database)",
    re.IGNORECASE,
)


_AFTERWORDS = re.compile(r" (?:DETAIL|LINE \d+|CONTEXT|HINT):")
"""Where a driver's message begins to quote the statement, or rows."""


def _translate(source: SqlSource, error: sa.exc.DBAPIError) -> Exception:
    """Ours for theirs, by SQLSTATE where there is one and by the driver's words where there is none."""
    import sqlalchemy as sa

    original = error.orig
    if "out of memory" in str(original).lower() and not getattr(original, "sqlstate", None):  # the client's own
        return exceeded(source.name)
    state = str(getattr(original, "sqlstate", None) or getattr(original, "pgcode", None) or "")
    words = " ".join(str(original).split())
    said = source.scrub(_AFTERWORDS.split(words)[0])[:300]
    if state.startswith("28") or state == "42501" or _REFUSED.search(words):
        return AccessError(f"{source.name}: the database refused access: {said}", code="database.refused")
    if state.startswith("22"):  # a data exception: its words quote the value
        kind = type(original).__name__
        return ConfigurationError(
            f"{source.name} cannot be read: a value in it made the database stop ({kind})", code="data.unreadable"
        )
    operational = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
    if state[:2] in ("42", "3D", "3F") or _MISTAKEN.search(words) or (not operational and not state):
        return ConfigurationError(f"{source.name} cannot be read: {said}", code="database.query")
    return DependencyError(f"{source.name} cannot be reached: {said}", code="database.down")
