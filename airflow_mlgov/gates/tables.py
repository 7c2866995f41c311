"""Opens csv and parquet files as one table in an embedded DuckDB, bounded in memory and bound to the files' bytes.
Refuses the network, extensions, and files that change while they are read."""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.inputs import FileSet, opened, require_columns, unchanged
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    from concurrent.futures import Future

    import duckdb

MEMORY_LIMIT = "1GB"
"""What a query may hold in memory before it spills to disk."""

NULLS = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
"""What a csv field holds where there is no value; pandas' own list, so that both readers agree."""

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


@dataclass(frozen=True)
class FileTable:
    """Files as a view of a connection, ``data`` unless named otherwise. Read it within :func:`open_table`."""

    connection: duckdb.DuckDBPyConnection
    columns: dict[str, str]
    """Name -> DuckDB's type, in the order of the first file."""
    name: str
    """The path or URL, for messages."""
    _subject: Future[Subject]

    @property
    def subject(self) -> Subject:
        """The dataset bound to its bytes; waits until they are hashed, which began when the table was opened."""
        return self._subject.result()

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a SELECT over ``data`` gives.

        :raises ConfigurationError: a file is not what its name says, or a value is not of its column's type
        """
        with _our_errors(self.name):
            return self.connection.execute(query, list(parameters)).fetchall()

    def require(self, *columns: str) -> None:
        """Refuse columns that are not there.

        :raises ConfigurationError: one is missing; the message has the nearest name
        """
        require_columns(self.columns, columns, self.name)


@contextmanager
def open_table(data: str, *, text: bool = False, memory_limit: str = MEMORY_LIMIT) -> Iterator[FileTable]:
    """The files of ``data`` as one table.

    :param data: as :func:`airflow_mlgov.gates.inputs.read_table` takes it; columns are matched by name, and a folder of
        ``key=value`` folders has its keys as columns
    :param text: csv columns stay text; otherwise a column is BOOLEAN, BIGINT or DOUBLE where all its values are
    :param memory_limit: such as ``500MB``; what does not fit spills to a folder that goes away at the end
    :raises ConfigurationError: no such file, an unreadable one, unlike columns, a header that names a column twice
    :raises AccessError: the file system refuses to read it
    :raises DependencyError: a file changed while it was being read
    """
    with open_tables({"data": data}, text=text, memory_limit=memory_limit) as tables:
        yield tables["data"]


@contextmanager
def open_tables(
    data: Mapping[str, str], *, text: bool = False, memory_limit: str = MEMORY_LIMIT
) -> Iterator[dict[str, FileTable]]:
    """Several sets of files as views of one connection, so that a query can join them.

    :param data: name of the view -> files; the rest as for :func:`open_table`
    """
    import duckdb

    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="mlgov-duckdb-")))
        settings = {
            "memory_limit": memory_limit,
            "temp_directory": str(scratch / "spill"),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "preserve_insertion_order": "false",
        }
        connection = stack.enter_context(duckdb.connect(":memory:", config=settings))  # type: ignore[arg-type]
        tables = {}
        for view, files in data.items():
            tables[view] = stack.enter_context(_opened(view, files, connection, scratch, text))
        yield tables


@contextmanager
def _opened(
    view: str, data: str, connection: duckdb.DuckDBPyConnection, scratch: Path, text: bool
) -> Iterator[FileTable]:
    with (
        opened(data) as file_set,
        unchanged(file_set),  # so that its look at the files comes after the hashing
        ThreadPoolExecutor(1) as hashing,
        _our_errors(file_set.data),
    ):
        subject = hashing.submit(lambda: file_set.subject)
        source = _source(file_set, connection, scratch / view, text)
        connection.execute(f"CREATE VIEW {identifier(view)} AS {source}")
        described = connection.execute(f"SELECT name, type FROM pragma_table_info({literal(view)})").fetchall()  # noqa: S608
        yield FileTable(connection, dict(described), file_set.data, subject)


def identifier(name: str) -> str:
    """A column's name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def _source(file_set: FileSet, connection: duckdb.DuckDBPyConnection, scratch: Path, text: bool) -> str:
    """One SELECT over all the files."""
    parquet = [path for path in file_set.files if path.name.lower().endswith((".parquet", ".pq"))]
    others = [path for path in file_set.files if path not in parquet]
    for path in file_set.files:
        if path.stat().st_size == 0:
            raise ConfigurationError(f"{path} is empty (0 bytes): it has not even a header")
    headers = {path: _header(path) for path in others} | {path: _stored(path, connection) for path in parquet}
    _require_alike(file_set, headers)
    parts = []
    if parquet:
        parts.append(f"SELECT * FROM read_parquet([{_listed(parquet)}], union_by_name=true)")  # noqa: S608 - quoted
    if others:
        readable = [_readable(path, scratch / f"{number}.csv") for number, path in enumerate(others)]
        kinds = "all_varchar=true" if text else (
            "sample_size=-1, auto_type_candidates=['BOOLEAN', 'BIGINT', 'DOUBLE', 'VARCHAR']"
        )  # fmt: skip
        nulls = ", ".join(map(literal, NULLS))
        parts.append(
            f"SELECT * FROM read_csv([{_listed(readable)}], header=true, delim=',', quote='\"', escape='\"', "  # noqa: S608
            f"nullstr=[{nulls}], union_by_name=true, {kinds})"
        )
    return " UNION ALL BY NAME ".join(parts)


def _header(path: Path) -> list[str]:
    suffix = path.suffix.lower()
    try:
        with _OPENERS.get(suffix, open)(path, "rt", encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text (byte {error.start}); convert it first") from None
    except (OSError, EOFError, csv.Error, lzma.LZMAError) as error:
        if isinstance(error, PermissionError):
            raise
        raise ConfigurationError(f"{path} is not a readable csv file: {error}") from None


def _stored(path: Path, connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The columns of a parquet file: its own schema's leaves have paths, so the top level is asked for."""
    described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({literal(str(path))})")  # noqa: S608 - quoted
    return [name for name, *_ in described.fetchall()]


def _require_alike(file_set: FileSet, headers: dict[Path, list[str]]) -> None:
    first = file_set.files[0]
    for path, header in headers.items():
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise ConfigurationError(
                f"{path} has more than one column named {', '.join(map(repr, twice))}; rename them"
            )
        unlike = sorted(set(header) ^ set(headers[first]))
        if unlike:
            raise ConfigurationError(
                f"the files of {file_set.data} have unlike columns: {', '.join(unlike)} not in both {first.name} and "
                f"{path.name}"
            )


def _readable(path: Path, target: Path) -> Path:
    """The file itself, or a copy without a compression that DuckDB does not read."""
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None or opener is gzip.open:
        return path
    try:
        target.parent.mkdir(exist_ok=True)
        with opener(path, "rb") as packed, target.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise ConfigurationError(f"{path} is not a readable csv file: {error}") from None
    return target


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(literal(str(path)) for path in paths)


@contextmanager
def _our_errors(name: str) -> Iterator[None]:
    """DuckDB's errors as ours; their words quote values, so only the kind and the line are kept."""
    import re

    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException:
        raise ConfigurationError(
            f"{name} needs more memory than the limit and cannot be spilled: raise memory_limit"
        ) from None
    except duckdb.IOException as error:
        raise ConfigurationError(f"{name} cannot be read: {str(error).splitlines()[0][:200]}") from None
    except duckdb.Error as error:
        line = re.search(r"Line: (\d+)", str(error))
        where = f" (line {line[1]})" if line else ""
        first = str(error).splitlines()[0].split('"')[0][:120]
        raise ConfigurationError(f"{name} cannot be read{where}: {first}") from None
