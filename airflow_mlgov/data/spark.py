"""A table, a path or a query of a Spark that is reached by Spark Connect, and DataFrames of Spark: asked where their
rows are, and frozen before the first question, unless it is the only one. Refuses to show a token, and to bring over
more than an answer needs."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

from airflow_mlgov.data.duck import Cells, Duck, DuckTable
from airflow_mlgov.data.limits import deadline, stopped_at
from airflow_mlgov.data.memory import MemoryLimitError
from airflow_mlgov.data.names import require_apart
from airflow_mlgov.data.quoting import file_literal, identifier
from airflow_mlgov.data.relation import MEMORY_LIMIT
from airflow_mlgov.data.spark_digest import fingerprint_of_parts, fingerprint_query
from airflow_mlgov.data.spark_errors import spark_errors
from airflow_mlgov.data.spark_sql import Source, duckdb_type, quoted, write
from airflow_mlgov.errors import ConfigurationError, DependencyError, not_installed

if TYPE_CHECKING:
    from airflow_mlgov.data.fingerprint import TableFingerprint
    from airflow_mlgov.results import Subject

SCHEME = "sc://"
_PORT = 15002
_PATIENCE = 10.0
"""Seconds to wait for the server to take a connection."""
_TRIES = 4
"""Of a call that ends because the server cannot be reached; a task is tried again as its own retries say."""
_MOST_ROWS = 2_000_000
"""That an answer may have."""
_AT_ONCE = 50
"""Columns that are counted in one pass."""
_SETTINGS = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "false",
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.groupByOrdinal": "true",
    "spark.sql.orderByOrdinal": "true",
}
"""What the queries of :mod:`airflow_mlgov.data.spark_sql` mean depends on these."""
_READERS = {".orc": "orc", ".json": "json", ".jsonl": "json", ".avro": "avro"}
_TEXT_FILES = (".csv", ".tsv", ".txt")
_AT_VERSION = re.compile(r"(delta|iceberg):(.+?)(?:@(\w+))?")


@dataclass(frozen=True, repr=False)
class SparkSource:
    """A table, a path or a query of a Spark Connect server.

    :raises ConfigurationError: not exactly one of ``table``, ``path`` and ``query``, or a URL that is none of Spark
        Connect
    """

    url: str = field(repr=False)
    """``sc://host:15002/;use_ssl=true``; better without a token in it."""
    table: str | None = None
    """``name``, ``schema.name`` or ``catalog.schema.name``."""
    path: str | None = None
    """What Spark reads as parquet or, by its ending, as ORC or JSON lines; ``delta:PLACE@VERSION``, or
    ``iceberg:TABLE@SNAPSHOT``."""
    query: str | None = None
    """One SELECT (or WITH … SELECT) of Spark's SQL."""
    token: str | None = field(default=None, repr=False)
    """Bearer token."""
    user: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if sum(map(bool, (self.table, self.path, self.query))) != 1:
            raise ConfigurationError(
                "a SparkSource needs one of a table, a path and a query", code="source.table_or_query"
            )
        parts = urlsplit(self.url)
        try:
            sound = parts.scheme == "sc" and parts.hostname and (parts.port is None or parts.port > 0)
        except ValueError:
            sound = False
        if not sound or parts.query or parts.fragment:
            raise ConfigurationError(
                "the address of a Spark Connect server looks like sc://host:15002 or sc://host:15002/;use_ssl=true "
                "(not shown here: it may hold a token)",
                code="source.address",
            )

    def __repr__(self) -> str:
        return f"SparkSource({self.name!r})"

    @property
    def name(self) -> str:
        """The server, then the table, the path or the SHA-256 of the query."""
        if self.table:
            return f"{self._server}#table={self.table}"
        if self.path:
            return f"{self._server}#path={self.path}"
        return f"{self._server}#query=sha256:{hashlib.sha256((self.query or '').encode()).hexdigest()}"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return str(parts.hostname), parts.port or _PORT

    @property
    def _server(self) -> str:
        host, port = self.address
        return f"{SCHEME}{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def connection(self) -> str:
        """The URL with the token in it: for a client object, never for a message."""
        known = [part for part in urlsplit(self.url).path.strip("/").split(";") if part]
        return f"{self._server}/;{';'.join([*known, *self._added()])}"

    def _added(self) -> list[str]:
        from urllib.parse import quote

        given = {"token": self.token, "user_id": self.user}
        return [f"{name}={quote(value, safe='')}" for name, value in given.items() if value]

    def place(self, name: str) -> SparkSource:
        """Another table or path of the same server.

        :param name: a path if it has a slash or names a format, a table otherwise
        """
        if "/" in name or _AT_VERSION.fullmatch(name):
            return replace(self, table=None, query=None, path=name)
        return replace(self, path=None, query=None, table=name)

    @contextmanager
    def together(self, memory_limit: str) -> Iterator[SparkEngine]:
        """A session in which this and others of the same server can be asked."""
        with SparkEngine(self, memory_limit) as engine:
            yield engine

    @contextmanager
    def open(self, *, memory_limit: str = MEMORY_LIMIT) -> Iterator[SparkTable]:
        """The rows, where they are. Nothing is asked before the first question.

        :param memory_limit: of what is brought over
        """
        with self.together(memory_limit) as engine, self.open_in(engine, "data") as table:
            yield table

    @contextmanager
    def open_in(self, duck: Duck, view: str) -> Iterator[SparkTable]:
        """The rows as a view beside others of the same server.

        :raises ConfigurationError: the others are not of that server
        """
        if not isinstance(duck, SparkEngine) or duck.source.address != self.address:
            raise ConfigurationError(
                f"{self.name} is compared where its rows are, and the other data is not there: give a table or a path "
                "that the same Spark reads",
                code="spark.elsewhere",
            )
        yield SparkTable(duck, view, self.name, self)

    def frame_in(self, session: Any) -> Any:
        """What Spark makes of it, not computed yet."""
        if self.table:
            return session.table(".".join(quoted(part) for part in self.table.split(".")))
        if self.query:
            return session.sql(f"SELECT * FROM (\n{self.query.strip().rstrip(';')}\n) AS mlgov_query")  # noqa: S608
        path = str(self.path)
        if found := _AT_VERSION.fullmatch(path):
            kind, place, version = found.groups()
            reader = session.read.format(kind)
            if version is not None:
                reader = reader.option("versionAsOf" if kind == "delta" else "snapshot-id", version)
            return reader.load(place)
        ending = re.search(r"[.]\w+$", path.lower())
        if ending and ending[0] in _TEXT_FILES:
            raise ConfigurationError(
                f"{self.name} is text, whose types Spark would guess: give a table, parquet, or a query that casts",
                code="spark.path",
            )
        return session.read.format(_READERS.get(ending[0] if ending else "", "parquet")).load(path)

    @property
    def is_fixed(self) -> bool:
        """Whether its rows are the same whenever they are read."""
        found = _AT_VERSION.fullmatch(self.path or "")
        return bool(found and found[3])


@dataclass(frozen=True, eq=False)
class SparkFrame:
    """A DataFrame of Spark, or of Spark Connect, as a source; it is asked in its own session."""

    data: Any
    name: str = "Spark DataFrame"
    is_fixed = False
    address = None

    @contextmanager
    def together(self, memory_limit: str) -> Iterator[SparkEngine]:
        """The frame's own session."""
        with SparkEngine(self, memory_limit) as engine:
            yield engine

    @contextmanager
    def open(self, *, memory_limit: str = MEMORY_LIMIT) -> Iterator[SparkTable]:
        """The frame, asked in Spark."""
        with self.together(memory_limit) as engine:
            yield SparkTable(engine, "data", self.name, self)

    @contextmanager
    def open_in(self, duck: Duck, view: str) -> Iterator[SparkTable]:
        """The frame as a view beside others of its session."""
        if not isinstance(duck, SparkEngine) or duck.session is not self.data.sparkSession:
            raise ConfigurationError(
                "a DataFrame of Spark is compared in its own session, and the other data is not there: give a "
                "DataFrame of the same session",
                code="spark.elsewhere",
            )
        yield SparkTable(duck, view, self.name, self)

    def place(self, name: str) -> SparkFrame:
        """Another table or path that its session reads."""
        found = SparkSource("sc://localhost", table="t").place(name)
        return SparkFrame(found.frame_in(self.data.sparkSession), name)

    def frame_in(self, session: Any) -> Any:  # noqa: ARG002 - it has one
        """Itself."""
        return self.data


class SparkEngine(Duck):
    """A session of Spark, set as the queries need it, beside a DuckDB that parses them and keeps what is brought over.

    :param memory_limit: of that DuckDB
    """

    def __init__(self, source: SparkSource | SparkFrame, memory_limit: str = MEMORY_LIMIT) -> None:
        super().__init__(memory_limit)
        self.source = source
        self.views: dict[str, Source] = {}

    @cached_property
    def session(self) -> Any:
        """The session; it is closed, or as it was before, at the end.

        :raises ConfigurationError: the client is not installed
        :raises AccessError: the server refuses the token
        :raises DependencyError: it does not answer
        """
        if isinstance(self.source, SparkFrame):
            session = self.source.data.sparkSession
            for name in _SETTINGS:
                self._stack.callback(_set_back, session, name, session.conf.get(name, None))
        else:
            session = _connected(self.source)
            self._stack.callback(_closed, session)
        with spark_errors(self.source.name):
            for name, value in _SETTINGS.items():
                session.conf.set(name, value)
        stop = getattr(session, "interruptAll", None)
        if stop is not None:
            self._stack.enter_context(stopped_at(deadline(), lambda: _quietly(stop)))
        return session

    def add(
        self,
        view: str,
        source: SparkSource | SparkFrame,
        name: str,
        asked_for: Sequence[str] | None = None,
        *,
        freeze: bool = True,
    ) -> dict[str, str]:
        """Freeze rows and give them a name that queries know them by.

        :param asked_for: the columns that queries may name; those that are not there are left out. None: all
        :param freeze: False where one query alone is asked
        :returns: every column with the type that DuckDB has for Spark's
        """
        session = self.session
        with spark_errors(name):
            frame = source.frame_in(session)
            require_apart(frame.columns, name)
            columns = {column: duckdb_type(kind) for column, kind in frame.dtypes}
            kept = columns if asked_for is None else {each: columns[each] for each in asked_for if each in columns}
            if len(kept) < len(columns):
                frame = frame.select(*map(quoted, kept))
            if freeze and not source.is_fixed:
                with _active(session):
                    frame = frame.localCheckpoint()
            temporary = f"mlgov_{uuid4().hex}"
            frame.createTempView(temporary)
        self._stack.callback(_quietly, lambda: session.catalog.dropTempView(temporary))
        self._stack.callback(lambda: frame)  # the server forgets the rows when nobody holds the frame
        self.views[view] = Source(quoted(temporary), kept)
        return columns

    def asked(self, query: str, name: str) -> tuple[Any, tuple[tuple[str, str], ...]]:
        """A query of DuckDB's as a DataFrame of Spark's, with the columns that DuckDB would give.

        :raises UnwrittenError: Spark cannot be asked the same
        """
        found = write(query, self.views, self.connection)
        with spark_errors(name):
            frame = self.session.sql(found.sql)
            return frame.toDF(*(f"c{at}" for at in range(len(found.columns)))), found.columns


class SparkTable(DuckTable):
    """Rows in Spark, under the name that DuckDB's queries have for them: a relation."""

    is_local = False
    engine = "spark"
    most_cells = 64

    def __init__(self, engine: SparkEngine, view: str, name: str, source: SparkSource | SparkFrame) -> None:
        super().__init__(engine, view, name)
        self._engine, self._source = engine, source
        self._asked_for: Sequence[str] | None = None
        self._types: dict[str, str] = {}
        self._loose: Source | None = None

    def confine(self, columns: Sequence[str], *, one_question: bool = False) -> None:
        """Have these columns frozen, and no others; and for one question none."""
        if self._view in self._engine.views:
            return
        self._asked_for = tuple(dict.fromkeys(columns))
        if one_question:
            self._types = self._engine.add(self._view, self._source, self.name, self._asked_for, freeze=False)
            self._loose = self._engine.views.pop(self._view)

    def prepare(self) -> None:
        """Freeze the rows, once."""
        if self._view not in self._engine.views:
            self._types = self._engine.add(self._view, self._source, self.name, self._asked_for)

    @property
    def sql(self) -> str:
        """What stands after FROM."""
        if self._loose is None:
            self.prepare()
        return identifier(self._view)

    def place(self, name: str) -> SparkSource | SparkFrame:
        """Another table or path of the same Spark."""
        return self._source.place(name)

    @property
    def subject(self) -> Subject:
        """The data set, bound to its rows; they are hashed where they are."""
        return self.fingerprint.subject(self.name)

    @cached_property
    def fingerprint(self) -> TableFingerprint:
        """See :func:`fingerprint_query`."""
        self.prepare()
        source = self._engine.views[self._view]
        assert len(source.columns) == len(self._types)  # noqa: S101 - what is confined has no name
        with spark_errors(self.name):
            found = self._engine.session.sql(fingerprint_query(source)).toArrow()
        return fingerprint_of_parts(source.columns, found.to_pylist())

    @cached_property
    def types(self) -> dict[str, str]:
        """Column -> the type that DuckDB has for Spark's."""
        if self._loose is None:
            self.prepare()
        return dict(self._types)

    def rows(self, select: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a SELECT of DuckDB's gives, asked of Spark.

        :raises UnwrittenError: Spark cannot be asked the same
        :raises ConfigurationError: so many rows that they are no answer, or a value that cannot be computed with
        """
        assert not parameters  # noqa: S101 - constants are written into the query
        with self._asked_once() if self._loose is not None else nullcontext():
            self.prepare()
            frame, columns = self._engine.asked(select, self.name)
            with spark_errors(self.name):
                found = frame.limit(_MOST_ROWS + 1).toArrow()
        if found.num_rows > _MOST_ROWS:
            raise MemoryLimitError(
                f"an answer about {self.name} would have more than {_MOST_ROWS} rows: ask for fewer groups",
                code="memory_limit.exceeded",
            )
        listed = [
            _as_duckdb_has(column.to_pylist(), stored)
            for column, (_, stored) in zip(found.columns, columns, strict=True)
        ]
        return list(zip(*listed, strict=True)) if listed else []

    @contextmanager
    def _asked_once(self) -> Iterator[None]:
        """Meanwhile the rows are those that are there now; whatever is asked later freezes them."""
        assert self._loose is not None  # noqa: S101 - the caller has seen it
        self._engine.views[self._view], self._loose = self._loose, None
        try:
            yield
        finally:
            del self._engine.views[self._view]

    def arrays(self, select: str) -> Mapping[str, Any] | None:  # noqa: ARG002 - the rows stay where they are
        """None: the rows stay where they are."""
        return None

    def batches(self, select: str, rows: int = 100_000) -> Iterator[Any]:
        """What a SELECT gives as Arrow record batches, one after the other.

        :param rows: of a batch at most
        """
        import pyarrow as pa

        self.prepare()
        frame, columns = self._engine.asked(select, self.name)
        names = [name or f"c{at}" for at, (name, _) in enumerate(columns)]
        until = deadline()
        with spark_errors(self.name):
            for batch in _batches(frame):
                until.check(f"reading {self.name}")
                named = pa.RecordBatch.from_arrays(batch.columns, names=names)
                yield from (named.slice(start, rows) for start in range(0, max(1, named.num_rows), rows))

    @contextmanager
    def in_zone(self, name: str) -> Iterator[None]:
        """Meanwhile, points in time that say no zone are of this one, in Spark and in the DuckDB of constants."""
        self.prepare()
        with super().in_zone(name), spark_errors(self.name):
            self._engine.session.conf.set("spark.sql.session.timeZone", name)
            try:
                yield
            finally:
                self._engine.session.conf.set("spark.sql.session.timeZone", _SETTINGS["spark.sql.session.timeZone"])

    def histograms(self, view: str, edges: Mapping[str, tuple[str, Sequence[float]]]) -> tuple[int, dict[str, Cells]]:
        """How many rows there are, and how many have a value of at most each edge and above the one before."""
        counted: dict[str, Cells] = {}
        rows = 0
        for start in range(0, len(edges), _AT_ONCE):
            some = dict(list(edges.items())[start : start + _AT_ONCE])
            listing = ", ".join(value for value, _ in some.values())
            self.prepare()
            found = write(f"SELECT {listing} FROM {view}", self._engine.views, self.connection)  # noqa: S608 - ours
            named = ", ".join(f"c{at}" for at in range(len(some)))
            cells = ", ".join(_cell(f"c{at}", each, 0) for at, (_, each) in enumerate(some.values()))
            with spark_errors(self.name):
                answer = self._engine.session.sql(
                    f"SELECT pos, col, count(*) AS n FROM (SELECT posexplode(array({cells})) FROM "  # noqa: S608
                    f"(SELECT {named} FROM ({found.sql}) AS q ({named}))) GROUP BY pos, col"
                ).toArrow()
            by_cell = {(row["pos"], row["col"]): row["n"] for row in answer.to_pylist()}
            for at, (name, (_, each)) in enumerate(some.items()):
                sizes = [by_cell.get((at, cell), 0) for cell in range(len(each) + 1)]
                counted[name] = sizes[:-1], sum(sizes)
                rows = sum(sizes) + by_cell.get((at, None), 0)
        return rows, counted

    def narrowed(self, columns: Sequence[str]) -> DuckTable:
        """Some columns of every row, brought over to a temporary file that DuckDB reads; in no order.

        :raises ConfigurationError: a column is missing
        """
        self.require(*columns)
        wanted = tuple(dict.fromkeys(columns))
        if wanted not in self._narrowed:
            self._narrowed[wanted] = _Narrowed(self, wanted, len(self._narrowed))
        return self._narrowed[wanted]

    @cached_property
    def _narrowed(self) -> dict[tuple[str, ...], DuckTable]:
        return {}

    def frame(self, columns: Sequence[str] | None = None) -> Any:
        """The named columns of every row, brought over; in no order."""
        names = list(self.types if columns is None else columns)
        return self.narrowed(names).frame(names)


class _Narrowed(DuckTable):
    """Columns of a table of Spark's, in a file of this machine."""

    def __init__(self, table: SparkTable, columns: Sequence[str], at: int) -> None:
        super().__init__(table.duck, f"{table._view}_{at}", table.name)
        self._table, self._names = table, tuple(columns)

    @property
    def subject(self) -> Subject:
        """The whole table's."""
        return self._table.subject

    def prepare(self) -> None:
        """Bring the columns over, once."""
        self._made  # noqa: B018 - once

    @cached_property
    def _made(self) -> None:
        import pyarrow.parquet as pq

        path = self.duck.scratch / f"{self._view}.parquet"
        listing = ", ".join(map(identifier, self._names))
        batches = self._table.batches(f"SELECT {listing} FROM {self._table.sql}")  # noqa: S608 - quoted
        first = next(batches, None)
        if first is None:
            first = _nothing(self._names)
        with pq.ParquetWriter(path, first.schema) as file:
            file.write_batch(first)
            for batch in batches:
                file.write_batch(batch.cast(first.schema))
        casts = ", ".join(
            f"{identifier(name)}::{self._table.types[name]} AS {identifier(name)}" for name in self._names
        )
        self.connection.execute(
            f"CREATE VIEW {identifier(self._view)} AS SELECT {casts} FROM {file_literal(path)}"  # noqa: S608 - quoted
        )


def _cell(value: str, edges: Sequence[float], first: int) -> str:
    """Which cell a number lies in, found by halves: as many comparisons as the number of edges has digits in base 2."""
    if not edges:
        return f"CASE WHEN {value} IS NOT NULL THEN {first} END"
    middle = len(edges) // 2
    low, high = _cell(value, edges[:middle], first), _cell(value, edges[middle + 1 :], first + middle + 1)
    edge = f"CAST('{edges[middle]!r}' AS DOUBLE)".replace("'inf'", "'Infinity'").replace("'-inf'", "'-Infinity'")
    return f"CASE WHEN {value} IS NULL THEN NULL WHEN {value} <= {edge} THEN {low} ELSE {high} END"


def _as_duckdb_has(values: list[Any], stored: str) -> list[Any]:
    """A column of an answer as DuckDB hands it out: a sum of whole numbers is one."""
    if stored == "HUGEINT":
        return [None if value is None else int(value) for value in values]
    return values


def _nothing(names: Sequence[str]) -> Any:
    """No rows, of columns whose types a view is to give them."""
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([pa.array([], pa.string()) for _ in names], names=list(names))


def _batches(frame: Any) -> Iterator[Any]:
    """A frame's rows as Arrow record batches; of Spark Connect as they arrive."""
    client = getattr(frame.sparkSession, "client", None)
    if client is None:  # Spark in this process
        yield from frame.toArrow().to_batches()
        return
    import pyarrow as pa

    for found in client.to_table_as_iterator(frame._plan.to_proto(client), frame._plan.observations):
        if isinstance(found, pa.Table):
            yield from found.to_batches()


def _connected(source: SparkSource) -> Any:
    try:
        import grpc
        from pyspark.sql.connect.client.retries import DefaultPolicy
        from pyspark.sql.connect.session import SparkSession
    except ImportError as error:
        raise not_installed(error, "Spark Connect") from None
    host, port = source.address
    patience = min(_PATIENCE, deadline().left)
    try:
        socket.create_connection((host, port), patience).close()  # which is refused at once, and gRPC tries again
        with spark_errors(source.name):
            session = SparkSession(connection=source.connection)
        with ExitStack() as on_failure:
            on_failure.callback(_closed, session, on_server=False)
            grpc.channel_ready_future(session.client._channel).result(timeout=patience)
            on_failure.pop_all()
    except (OSError, grpc.FutureTimeoutError) as error:
        raise DependencyError(
            f"{source.name}: no Spark Connect server answers at {host}:{port} ({type(error).__name__})",
            code="spark.down",
        ) from None
    session.client.set_retry_policies([DefaultPolicy(max_retries=_TRIES)])
    return session


@contextmanager
def _active(session: Any) -> Iterator[None]:
    """Spark Connect's client gives a checkpoint to the thread's active session, whichever session made it."""
    local = getattr(type(session), "_active_session", None)
    if local is None:  # Spark in this process
        yield
        return
    before, local.session = getattr(local, "session", None), session
    try:
        yield
    finally:
        local.session = before


def _closed(session: Any, *, on_server: bool = True) -> None:
    """Stop a session for good, and tell the server that it is over.

    A session that is collected as garbage closes its client once more, and with it the threads that all sessions of the
    process share: at any moment, also where this thread holds the lock that it then waits for.
    """
    session.release_session_on_close = on_server
    _quietly(session.stop)
    session.client.close = lambda: None


def _set_back(session: Any, name: str, value: str | None) -> None:
    _quietly(lambda: session.conf.unset(name) if value is None else session.conf.set(name, value))


def _quietly(act: Any) -> None:
    """At the end, or from another thread: what goes wrong is no news to anybody."""
    with ExitStack() as stack:
        stack.push(lambda kind, *_: kind is not None and issubclass(kind, Exception))
        act()
