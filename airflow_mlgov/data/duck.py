"""An embedded DuckDB, bounded in memory and time, and a view of it as a relation. Refuses network and extensions."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from airflow_mlgov.data.limits import Deadline, deadline, stopped_at
from airflow_mlgov.data.memory import exceeded, require_memory
from airflow_mlgov.data.names import require_columns
from airflow_mlgov.data.quoting import identifier, literal
from airflow_mlgov.data.reading import PLAIN, Reading
from airflow_mlgov.data.relation import MEMORY_LIMIT, ColumnKind, require_memory_limit
from airflow_mlgov.data.scratch import scratch_folder
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.progress import asking, followed

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

    from airflow_mlgov.data.file_tables import FileTable
    from airflow_mlgov.results import Subject

_KINDS = {
    "BOOLEAN": ColumnKind.BOOLEAN,
    "FLOAT": ColumnKind.FLOAT,
    "DOUBLE": ColumnKind.FLOAT,
    "VARCHAR": ColumnKind.TEXT,
    "UUID": ColumnKind.TEXT,
    "DATE": ColumnKind.DATE,
    "INTERVAL": ColumnKind.INTERVAL,
    "BLOB": ColumnKind.BINARY,
    "BIT": ColumnKind.BINARY,
}
_BEGINNINGS = (
    ("DECIMAL", ColumnKind.DECIMAL),
    ("ENUM", ColumnKind.TEXT),
    ("TIMESTAMP", ColumnKind.TIMESTAMP),
    ("TIME", ColumnKind.TIME),
    ("STRUCT", ColumnKind.NESTED),
    ("MAP", ColumnKind.NESTED),
    ("UNION", ColumnKind.NESTED),
)
_EXACT: dict[ColumnKind, Callable[[str], Any]] = {ColumnKind.INTEGER: int, ColumnKind.DECIMAL: Decimal}
"""What makes a Python object of a number that no type of NumPy holds."""
_OBJECTS = {ColumnKind.TEXT, ColumnKind.BINARY, ColumnKind.NESTED, ColumnKind.DECIMAL, ColumnKind.UNKNOWN}
"""What pandas holds as objects of Python."""
_OBJECT = 56
"""Bytes of such an object beside what it holds."""
_INTEGERS = re.compile(r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)")


Cells = tuple[list[int], int]
"""Rows by edge, and how many have a value at all."""


class Duck:
    """An embedded DuckDB that spills to a folder of its own, which goes away at the end. It is started by the first
    question.

    :param memory_limit: such as ``500MB``
    :raises ConfigurationError: the limit is not a size
    """

    def __init__(self, memory_limit: str = MEMORY_LIMIT) -> None:
        require_memory_limit(memory_limit)
        self.memory_limit = memory_limit
        self._stack = ExitStack()
        self._until: Deadline | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @cached_property
    def scratch(self) -> Path:
        """A folder for temporary files."""
        return self._stack.enter_context(scratch_folder("duckdb"))

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The one connection, which is interrupted at the deadline that holds where it is asked for."""
        until = deadline()
        if until is not self._until:
            self._stack.enter_context(stopped_at(until, self._started.interrupt))
            self._until = until
        return self._started

    @cached_property
    def _started(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        settings = {
            "memory_limit": self.memory_limit,
            "temp_directory": str(self.scratch / "spill"),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "preserve_insertion_order": "false",
            # The first answers from a parquet file's footer, where anybody can write that there is no null, and no NaN
            # is. The second keeps all rows beside a count of different values, whatever the memory.
            "disabled_optimizers": "statistics_propagation,distinct_aggregate_rewrite",
        }
        connection = self._stack.enter_context(duckdb.connect(":memory:", config=settings))  # type: ignore[arg-type]
        connection.execute(f"SET enable_progress_bar = {followed() is not None}")
        connection.execute("SET enable_progress_bar_print = false")  # it is for a terminal, and not a log
        connection.execute("SET parquet_metadata_cache = true")  # what is read is a private copy, which stays as it is
        return connection


class DuckTable(ABC):
    """Rows as a view of an embedded DuckDB: a relation."""

    is_local = True
    has_grouping_sets = True
    engine = "duckdb"
    """What answers, as evidence names it."""
    most_cells = 500
    """That one histogram should have."""
    reading: Reading = PLAIN
    """How csv is read."""

    def __init__(self, duck: Duck, view: str, name: str) -> None:
        self.duck = duck
        self.name = name
        self._view = view

    @abstractmethod
    def prepare(self) -> None:
        """Make the view, if it is not there yet."""

    @property
    @abstractmethod
    def subject(self) -> Subject:
        """The data set, bound to its bytes or rows."""

    def frame_as_stored(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The same with the types that were noted where the rows come from; here there are no others."""
        return self.frame(columns)

    def confine(self, columns: Sequence[str], *, one_question: bool = False) -> None:  # noqa: ARG002 - for those that freeze rows
        """Nothing: DuckDB reads what a query names."""
        return

    def in_duckdb(self) -> DuckTable:
        """Itself."""
        return self

    def narrowed(self, columns: Sequence[str]) -> DuckTable:  # noqa: ARG002 - for those whose rows are elsewhere
        """The rows with these columns at least, where DuckDB itself can read them."""
        return self

    @property
    def read_as(self) -> dict[str, Any]:
        """What was read as what, where a file does not say; nothing here."""
        return {}

    def remark(self, column: str) -> str:  # noqa: ARG002 - for those that read text
        """Why a column is not of the type that most of its values look like; empty if there is nothing to remark."""
        return ""

    def as_files(self) -> FileTable | None:
        """Itself if the rows lie in files, whose types a writer chose; None if they lie in memory."""
        return None

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """DuckDB's own."""
        return self.duck.connection

    @property
    def sql(self) -> str:
        """What stands after FROM."""
        self.prepare()
        return identifier(self._view)

    @cached_property
    def types(self) -> dict[str, str]:
        """Column -> DuckDB's type."""
        with our_errors(self.name):
            described = self.connection.execute(f"DESCRIBE SELECT * FROM {self.sql}").fetchall()  # noqa: S608 - quoted
        return {name: kind for name, kind, *_ in described}

    @cached_property
    def columns(self) -> dict[str, ColumnKind]:
        """Column -> what its values are."""
        return {name: kind_of(stored) for name, stored in self.types.items()}

    def quote(self, column: str) -> str:
        """A column's name as SQL."""
        return identifier(column)

    def require(self, *columns: str) -> None:
        """Refuse columns that are not there.

        :raises ConfigurationError: one is missing; the message has the nearest name
        """
        require_columns(self.types, columns, self.name)

    @contextmanager
    def _queried(self) -> Iterator[None]:
        """Errors of ours for a query of the one connection, and how far it has come."""
        with our_errors(self.name), asking(self.name, self.connection.query_progress):
            yield

    def rows(self, select: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a SELECT gives.

        :param parameters: for ``$1`` and so on
        :raises ConfigurationError: a file is not what its name says, or a value is not of its column's type
        """
        self.prepare()
        with self._queried():
            return self.connection.execute(select, list(parameters)).fetchall()

    def arrays(self, select: str) -> Mapping[str, Any] | None:
        """The same as NumPy arrays by column (masked where a value may be missing)."""
        self.prepare()
        with self._queried():
            found: dict[str, Any] = self.connection.execute(select).fetchnumpy()
        return found

    @contextmanager
    def in_zone(self, name: str) -> Iterator[None]:
        """Meanwhile, points in time that say no zone are of this one."""
        self.connection.execute(f"SET TimeZone = {literal(name)}")
        try:
            yield
        finally:
            self.connection.execute("RESET TimeZone")

    def histograms(self, view: str, edges: Mapping[str, tuple[str, Sequence[float]]]) -> tuple[int, dict[str, Cells]]:
        """How many rows there are, and how many have a value of at most each edge and above the one before.

        :param edges: name -> a DOUBLE as SQL, NULL where it counts as missing, and the edges in order
        """
        parts = [f"histogram({value}, ?::DOUBLE[]), count({value})" for value, _ in edges.values()]
        query = f"SELECT count(*), {', '.join(parts)} FROM {view}"  # noqa: S608 - quoted
        rows, *found = self.rows(query, [list(each) for _, each in edges.values()])[0]
        cells = {
            name: ([(counts or {}).get(edge, 0) for edge in each], known)
            for (name, (_, each)), counts, known in zip(edges.items(), found[::2], found[1::2], strict=True)
        }
        return rows, cells

    def batches(self, select: str, rows: int = 100_000) -> Iterator[Any]:
        """The same as Arrow record batches, never many at a time.

        :param rows: of a batch; few where a row may be long
        """
        self.prepare()
        until = deadline()
        with self._queried():
            for batch in self.connection.sql(select).to_arrow_reader(rows):
                until.check(f"reading {self.name}")
                yield batch

    def arrow_schema(self, select: str) -> pa.Schema:
        """The types that :meth:`batches` gives."""
        self.prepare()
        with our_errors(self.name):
            return self.connection.sql(f"SELECT * FROM ({select}) LIMIT 0").to_arrow_table().schema  # noqa: S608 - ours

    def frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The named columns of every row in their order, if they fit into memory; all columns if omitted.

        :raises ConfigurationError: a column is missing
        :raises MemoryLimitError: they do not fit
        """
        import pandas  # noqa: F401 - DuckDB's own words for its absence are those of a damaged file

        self.require(*(columns or ()))
        require_memory(self._size_as_frame(columns), self.name, self.duck.memory_limit)
        names = list(self.types if columns is None else columns)
        exact = {name: _EXACT[kind] for name in names if (kind := self.columns[name]) in _EXACT}
        exact = {name: make for name, make in exact.items() if _is_wide(self.types[name])}
        listing = ", ".join(
            f"{identifier(name)}::VARCHAR AS {identifier(name)}" if name in exact else identifier(name)
            for name in names
        )
        with in_order(self.connection), self._queried():
            found = self.connection.execute(f"SELECT {listing} FROM {self.sql}").df()  # noqa: S608 - quoted
        for name, make in exact.items():
            texts = found[name].astype(object)
            found[name] = texts.map(make, na_action="ignore").astype(object).where(texts.notna(), None)
        return found

    def _size_as_frame(self, columns: Sequence[str] | None) -> int:
        """About how many bytes the columns take as a frame: numbers by their type, other values by what they hold."""
        names = list(dict.fromkeys(self.types if columns is None else columns))
        kinds = {name: self.columns[name] for name in names}
        long = [name for name, kind in kinds.items() if kind in _OBJECTS]
        sizes = ", ".join(f"coalesce(sum(strlen({identifier(name)}::VARCHAR)), 0)" for name in long)
        ((rows, *held),) = self.rows(f"SELECT count(*){', ' * bool(long)}{sizes} FROM {self.sql}")  # noqa: S608 - quoted
        fixed = sum(1 if kind is ColumnKind.BOOLEAN else 8 for kind in kinds.values())
        return int(rows * (fixed + _OBJECT * len(long)) + sum(held))


@contextmanager
def in_order(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Rows come as the files have them, which costs memory."""
    connection.execute("SET preserve_insertion_order = true")
    try:
        yield
    finally:
        connection.execute("SET preserve_insertion_order = false")


def _is_wide(stored: str) -> bool:
    """Whether pandas would make floats of a type's numbers."""
    return stored.endswith("HUGEINT") or stored.startswith("DECIMAL")


def kind_of(stored: str) -> ColumnKind:
    """What the values of a DuckDB type are."""
    if stored.endswith("]"):
        return ColumnKind.NESTED
    if _INTEGERS.fullmatch(stored):
        return ColumnKind.INTEGER
    for beginning, kind in _BEGINNINGS:
        if stored.startswith(beginning):
            return kind
    return _KINDS.get(stored, ColumnKind.UNKNOWN)


@contextmanager
def our_errors(name: str) -> Iterator[None]:
    """DuckDB's errors as ours; their words quote values, so only the kind and the line are kept."""
    import duckdb

    until = deadline()
    until.check(f"a query over {name}")
    try:
        yield
    except duckdb.InterruptException:
        raise until.error(f"a query over {name}") from None
    except (duckdb.OutOfMemoryException, MemoryError):
        raise exceeded(name) from None
    except duckdb.Error as error:
        if "bad_alloc" in str(error) or "llocation failure" in str(error):
            raise exceeded(name) from None
        if "Expected Number of Columns" in str(error):
            raise _ragged(name, str(error)) from None
        line = _line(error)
        where = f" (line {line})" if line else ""
        if "utf-8" in str(error).lower() or "unicode" in str(error).lower():
            raise ConfigurationError(
                f"{name} is not UTF-8 text{where.replace('(', 'in ').replace(')', '')}, though it begins so: name its "
                "encoding, such as encoding: cp1252, or convert it first",
                code="file.not_text",
            ) from None
        raise ConfigurationError(f"{name} cannot be read{where}: {_why(error)}", code="data.unreadable") from None


_WHYS = {
    "ConversionException": "a value is not of its column's type",
    "OutOfRangeException": "a number is too large for its type",
    "TypeMismatchException": "values are of another type than they are used as",
    "IOException": "the file cannot be read, or is not what its name says",
    "SerializationException": "the file is damaged",
    "InvalidInputException": "the file is damaged, or not what its name says",
}


def _why(error: BaseException) -> str:
    """DuckDB's kind of error in our words; its own may quote values, and end here where a quotation may begin."""
    kind = type(error).__name__
    if "unterminated quote" in str(error):
        return "a quoted field does not end as it should"
    words = re.split(r"[^A-Za-z ,.]", str(error).splitlines()[0].partition(": ")[2])[0].strip(" ,.")[:120]
    if kind in _WHYS:
        return _WHYS[kind]
    return words or kind.removesuffix("Exception")


def _line(error: BaseException) -> str:
    found = re.search(r"Line: (\d+)", str(error))
    return found[1] if found else ""


def _ragged(name: str, said: str) -> ConfigurationError:
    """A row that does not fit its header, in our words."""
    counts = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", said)
    line = re.search(r"Line: (\d+)", said)
    where = f"line {line[1]}" if line else "a line"
    what = (
        f"{counts[2]} fields where the header names {counts[1]}" if counts else "more or fewer fields than its header"
    )
    return ConfigurationError(
        f"{name} is not a sound csv file: {where} has {what}; mend the row, or put quotes around a field that "
        "holds the delimiter",
        code="data.dialect",
    )
