"""Opens csv and parquet files as one table in an embedded DuckDB, bounded in memory and bound to the files' bytes.
Refuses the network, extensions, and files that change while they are read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data import csv_files
from airflow_mlgov.data.files import FileSet, is_csv, opened, unchanged
from airflow_mlgov.data.names import require_columns
from airflow_mlgov.data.quoting import file_literal, identifier, literal
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    from concurrent.futures import Future

    import duckdb

MEMORY_LIMIT = "512MB"
"""What a query may hold in memory before it spills to disk. DuckDB is no slower with it than with 1 GB: 10
million groups are spilled and merged in the time that a larger hash table takes to grow."""


_SIZE = re.compile(r"[0-9]+(\.[0-9]+)? ?([KMGT]i?)?B", re.IGNORECASE)


class MemoryLimitError(ConfigurationError):
    """A query needs more than its memory limit and cannot spill; a retry does not help, a higher limit does."""


@dataclass(frozen=True)
class FileTable:
    """Files as a view of a connection, ``data`` unless named otherwise. Read it within :func:`open_table`."""

    connection: duckdb.DuckDBPyConnection
    columns: dict[str, str]
    """Name -> DuckDB's type, in the order of the first file."""
    name: str
    """The path or URL, for messages."""
    files: FileSet
    sources: Mapping[Path, str]
    """A SELECT of each file's rows alone."""
    _subject: Future[Subject]
    _loosely_written: Future[bool]

    @property
    def subject(self) -> Subject:
        """The dataset bound to its bytes; waits until they are hashed, which began when the table was opened."""
        return self._subject.result()

    @property
    def loosely_written(self) -> bool:
        """Whether a csv may have spaces between quotes and the ends of fields, or carriage returns alone: DuckDB and
        pandas take them differently."""
        return self._loosely_written.result()

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a SELECT over ``data`` gives.

        :raises ConfigurationError: a file is not what its name says, or a value is not of its column's type
        """
        with _our_errors(self.name):
            return self.connection.execute(query, list(parameters)).fetchall()

    def arrays(self, query: str) -> dict[str, Any]:
        """The same as NumPy arrays by column (masked where a value may be missing)."""
        with _our_errors(self.name):
            return self.connection.execute(query).fetchnumpy()

    def require(self, *columns: str) -> None:
        """Refuse columns that are not there.

        :raises ConfigurationError: one is missing; the message has the nearest name
        """
        require_columns(self.columns, columns, self.name)


@contextmanager
def open_table(data: str | FileSet, *, memory_limit: str = MEMORY_LIMIT) -> Iterator[FileTable]:
    """The files of ``data`` as one table.

    :param data: as :func:`airflow_mlgov.data.pandas_files.read_table` takes it, or files that are open already and
        that the caller watches; columns are matched by name, and a folder of ``key=value`` folders has its keys as
        columns. A csv column is BOOLEAN, BIGINT or DOUBLE where all its values are, otherwise text
    :param memory_limit: such as ``500MB``; what does not fit spills to a folder that goes away at the end
    :raises ConfigurationError: no such file, an unreadable one, unlike columns, a header that names a column twice
    :raises AccessError: the file system refuses to read it
    :raises DependencyError: a file changed while it was being read
    """
    with open_tables({"data": data}, memory_limit=memory_limit) as tables:
        yield tables["data"]


@contextmanager
def open_tables(
    data: Mapping[str, str | FileSet], *, memory_limit: str = MEMORY_LIMIT
) -> Iterator[dict[str, FileTable]]:
    """Several sets of files as views of one connection, so that a query can join them.

    :param data: name of the view -> files; the rest as for :func:`open_table`
    """
    import duckdb

    require_memory_limit(memory_limit)
    with ExitStack() as stack:
        hashed = {view: stack.enter_context(_hashed(files)) for view, files in data.items()}
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="mlgov-duckdb-")))
        settings = {
            "memory_limit": memory_limit,
            "temp_directory": str(scratch / "spill"),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "preserve_insertion_order": "false",
        }
        connection = stack.enter_context(duckdb.connect(":memory:", config=settings))  # type: ignore[arg-type]
        connection.execute("SET enable_progress_bar = false")  # it is for a terminal, and not a log
        tables = {}
        for view, files in hashed.items():
            stack.enter_context(_our_errors(files.files.data))
            tables[view] = _viewed(view, files, connection, scratch)
        yield tables


def require_memory_limit(text: str) -> None:
    """Refuse a limit that DuckDB would not understand.

    :raises ConfigurationError: it is not a number with a unit
    """
    if not isinstance(text, str) or not _SIZE.fullmatch(text):
        raise ConfigurationError(f"memory_limit must be a size such as 512MB or 2GB, not {text!r}")


@dataclass(frozen=True)
class _Hashed:
    """Files whose bytes are being hashed, which takes about as long as a query over them."""

    files: FileSet
    subject: Future[Subject]
    thread: ThreadPoolExecutor


@contextmanager
def _hashed(data: str | FileSet) -> Iterator[_Hashed]:
    with ExitStack() as stack:
        files = data if isinstance(data, FileSet) else stack.enter_context(opened(data))
        if not isinstance(data, FileSet):
            stack.enter_context(unchanged(files))  # so that its look at the files comes after the hashing
        thread = stack.enter_context(ThreadPoolExecutor(1))
        yield _Hashed(files, thread.submit(lambda: files.subject), thread)


def _viewed(view: str, hashed: _Hashed, connection: duckdb.DuckDBPyConnection, scratch: Path) -> FileTable:
    files = hashed.files
    plain = _plain(files, scratch / view)
    loosely_written = hashed.thread.submit(lambda: any(map(csv_files.loosely_written, plain.values())))
    sources = _sources(files, connection, plain)
    connection.execute(f"CREATE VIEW {identifier(view)} AS {_union(files, sources)}")
    described = connection.execute(f"SELECT name, type FROM pragma_table_info({literal(view)})").fetchall()  # noqa: S608
    return FileTable(connection, dict(described), files.data, files, sources, hashed.subject, loosely_written)


def _plain(file_set: FileSet, scratch: Path) -> dict[Path, Path]:
    """The csv files, each with the copy of it that DuckDB can read."""
    for path in file_set.files:
        if path.stat().st_size == 0:
            raise ConfigurationError(f"{path} is empty (0 bytes): it has not even a header")
    texts = filter(is_csv, file_set.files)
    return {path: csv_files.readable(path, scratch / f"{at}.csv") for at, path in enumerate(texts)}


def _sources(file_set: FileSet, connection: duckdb.DuckDBPyConnection, plain: Mapping[Path, Path]) -> dict[Path, str]:
    """A SELECT for each file, its partition's keys behind its own columns."""
    headers = {
        path: csv_files.header_of(path) if is_csv(path) else _stored(path, connection) for path in file_set.files
    }
    partitions = file_set.partitions
    _require_alike(file_set, headers, next(iter(partitions.values())))
    types = csv_files.types_of(connection, {plain[path]: headers[path] for path in plain}) if plain else {}
    sources = {}
    for path, header in headers.items():
        rows = (
            csv_files.select(plain[path], {name: types.get(name, "VARCHAR") for name in header})
            if path in plain
            else f"SELECT * FROM {_parquet([path])}"  # noqa: S608 - quoted
        )
        sources[path] = _with_keys(rows, partitions[path])
    return sources


def _union(file_set: FileSet, sources: Mapping[Path, str]) -> str:
    """One SELECT over all the files; parquet files of one partition are one scan."""
    by_keys: dict[tuple[tuple[str, int | str | None], ...], list[Path]] = {}
    parts = []
    for path, keys in file_set.partitions.items():
        if is_csv(path):
            parts.append(sources[path])
        else:
            by_keys.setdefault(tuple(keys.items()), []).append(path)
    for pairs, paths in by_keys.items():
        parts.append(_with_keys(f"SELECT * FROM {_parquet(paths)}", dict(pairs)))  # noqa: S608 - quoted
    return " UNION ALL BY NAME ".join(parts)


def _parquet(paths: Sequence[Path]) -> str:
    listed = ", ".join(map(file_literal, paths))
    return f"read_parquet([{listed}], union_by_name=true, hive_partitioning=false)"


def _with_keys(rows: str, keys: Mapping[str, int | str | None]) -> str:
    if not keys:
        return rows
    values = ", ".join(
        f"{'NULL' if value is None else literal(value) if isinstance(value, str) else f'{value}::BIGINT'} "
        f"AS {identifier(key)}"
        for key, value in keys.items()
    )
    return f"SELECT *, {values} FROM ({rows})"  # noqa: S608 - quoted


def _stored(path: Path, connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The columns of a parquet file: its own schema's leaves have paths, so the top level is asked for."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {_parquet([path])}")  # noqa: S608 - quoted
    return [name for name, *_ in described.fetchall()]


def _require_alike(file_set: FileSet, headers: Mapping[Path, list[str]], keys: Mapping[str, Any]) -> None:
    first = file_set.files[0]
    for path, header in headers.items():
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise ConfigurationError(
                f"{path} has more than one column named {', '.join(map(repr, twice))}; rename them"
            )
        names = [name.lower() for name in (*header, *keys)]
        alike = sorted({name for name in (*header, *keys) if names.count(name.lower()) > 1})
        if alike:
            raise ConfigurationError(
                f"{path} has columns (or key=value folders) whose names differ in case alone, or not at all: "
                f"{', '.join(alike)}; rename them"
            )
        unlike = sorted(set(header) ^ set(headers[first]))
        if unlike:
            raise ConfigurationError(
                f"the files of {file_set.data} have unlike columns: {', '.join(unlike)} not in both {first.name} and "
                f"{path.name}"
            )


@contextmanager
def _our_errors(name: str) -> Iterator[None]:
    """DuckDB's errors as ours; their words quote values, so only the kind and the line are kept."""
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException:
        raise MemoryLimitError(
            f"{name} needs more memory than the limit and cannot be spilled: raise memory_limit"
        ) from None
    except duckdb.IOException as error:
        raise ConfigurationError(f"{name} cannot be read: {str(error).splitlines()[0][:200]}") from None
    except duckdb.Error as error:
        line = re.search(r"Line: (\d+)", str(error))
        where = f" (line {line[1]})" if line else ""
        first = str(error).splitlines()[0].split('"')[0][:120]
        raise ConfigurationError(f"{name} cannot be read{where}: {first}") from None
