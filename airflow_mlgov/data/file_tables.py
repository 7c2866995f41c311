"""Opens csv and parquet files as one table in an embedded DuckDB, bounded in memory and bound to the files' bytes.
Refuses files that change while they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data import csv_files
from airflow_mlgov.data.duck import Duck, DuckTable, kind_of, our_errors
from airflow_mlgov.data.files import FileSet, Store, is_csv, opened, public_name
from airflow_mlgov.data.limits import require_memory
from airflow_mlgov.data.quoting import file_literal, identifier, literal
from airflow_mlgov.data.relation import MEMORY_LIMIT, Batch, ColumnKind
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    from concurrent.futures import Future

    import duckdb
    import pandas as pd


_TEXT_IN_MEMORY = 3
"""A text file as a frame is about so many times as large."""


@dataclass(frozen=True)
class Files:
    """csv or parquet files as a source."""

    data: str | FileSet
    """As :func:`airflow_mlgov.data.pandas_files.read_table` takes it, or files that are open already."""
    store: Store | None = field(default=None, repr=False, compare=False)
    """Of a URL the file system that has it, with its credentials, and the path in it; made from the URL if omitted."""

    @property
    def name(self) -> str:
        """The path or URL, without credentials."""
        return self.data.data if isinstance(self.data, FileSet) else public_name(self.data)

    @contextmanager
    def open(self, *, memory_limit: str = MEMORY_LIMIT) -> Iterator[FileTable]:
        """The files as the view ``data``; see :func:`open_table`. What DuckDB makes of them is found out by the first
        question because pandas may read what it refuses."""
        with Duck(memory_limit) as duck, self.open_in(duck, "data") as table:
            yield table

    @contextmanager
    def open_in(self, duck: Duck, view: str) -> Iterator[FileTable]:
        """The files as a view beside others."""
        with _hashed(self.data, duck.memory_limit, self.store) as hashed:
            yield FileTable(duck, view, hashed)


class FileTable(DuckTable):
    """Files as a view, ``data`` unless named otherwise."""

    def __init__(self, duck: Duck, view: str, hashed: _Hashed) -> None:
        super().__init__(duck, view, hashed.files.data)
        self.files = hashed.files
        self._hashed = hashed

    @property
    def subject(self) -> Subject:
        """The dataset bound to its bytes; waits until they are hashed, which began when the table was opened."""
        return self._hashed.subject.result()

    @property
    def sources(self) -> Mapping[Path, str]:
        """A SELECT of each file's rows alone."""
        return self._made.sources

    @property
    def loosely_written(self) -> bool:
        """Whether a csv may have spaces between quotes and the ends of fields, or carriage returns alone: DuckDB and
        pandas take them differently."""
        return self._made.loosely_written.result()

    @property
    def is_text(self) -> bool:
        """Whether a file holds text (csv), so that a column's type is no more than what all its values look like."""
        return any(map(is_csv, self.files.files))

    def as_files(self) -> FileTable:
        """Itself."""
        return self

    def prepare(self) -> None:
        """Make the view.

        :raises ConfigurationError: an unreadable file, unlike columns, a header that names a column twice
        """
        self._made  # noqa: B018 - made once

    def frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The named columns, if they fit into memory.

        :raises MemoryShortError: they do not
        """
        self.require(*(columns or ()))
        require_memory(self._size_in_memory(columns), self.name)
        return super().frame(columns)

    def _size_in_memory(self, columns: Sequence[str] | None) -> int:
        """About how many bytes the columns take as a frame: of text files a multiple of their size."""
        share = 1.0 if columns is None else len(set(columns)) / max(1, len(self.types))
        texts = sum(path.stat().st_size for path in self.files.files if is_csv(path))
        stored = [path for path in self.files.files if not is_csv(path)]
        size = int(texts * share * _TEXT_IN_MEMORY)
        if stored:
            rows = sum(self.rows(f"SELECT count(*) FROM ({self.sources[path]})")[0][0] for path in stored)  # noqa: S608
            size += rows * sum(_width(self.types[name]) for name in (self.types if columns is None else set(columns)))
        return size

    def frame_as_stored(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The named columns as pandas reads them, with the types that it noted itself."""
        from airflow_mlgov.data.pandas_files import read_files

        return read_files(self.files, columns)

    @contextmanager
    def handed_over(self, columns: Sequence[str] | None = None) -> Iterator[Batch]:
        """The rows as pandas reads them; whoever opened the files sees to it that they are unchanged."""
        frame = self.frame_as_stored(columns)
        types = {str(name): str(kind) for name, kind in frame.dtypes.items()}
        yield Batch(frame, "pandas", len(frame), tuple(types), types)

    @cached_property
    def _made(self) -> _View:
        with our_errors(self.name):
            texts = _texts(self.files)
            loosely_written = self._hashed.thread.submit(lambda: any(map(csv_files.loosely_written, texts)))
            sources = _sources(self.files, self.connection, texts)
            self.connection.execute(f"CREATE VIEW {identifier(self._view)} AS {_union(self.files, sources)}")
        return _View(sources, loosely_written)


@dataclass(frozen=True)
class _View:
    sources: Mapping[Path, str]
    loosely_written: Future[bool]


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
    with Files(data).open(memory_limit=memory_limit) as table:
        table.prepare()
        yield table


@dataclass(frozen=True)
class _Hashed:
    """Files whose bytes are being hashed, which takes about as long as a query over them."""

    files: FileSet
    subject: Future[Subject]
    thread: ThreadPoolExecutor


@contextmanager
def _hashed(data: str | FileSet, memory_limit: str, store: Store | None) -> Iterator[_Hashed]:
    with ExitStack() as stack:
        files = (
            data
            if isinstance(data, FileSet)
            else stack.enter_context(opened(data, memory_limit=memory_limit, store=store))
        )
        thread = stack.enter_context(ThreadPoolExecutor(1))
        yield _Hashed(files, thread.submit(lambda: files.subject), thread)


def _texts(file_set: FileSet) -> list[Path]:
    """The csv files, none of the files being empty."""
    for path in file_set.files:
        if path.stat().st_size == 0:
            raise ConfigurationError(f"{path} is empty (0 bytes): it has not even a header", code="data.empty")
    return [path for path in file_set.files if is_csv(path)]


def _sources(file_set: FileSet, connection: duckdb.DuckDBPyConnection, texts: Sequence[Path]) -> dict[Path, str]:
    """A SELECT for each file, its partition's keys behind its own columns."""
    headers = {
        path: csv_files.header_of(path) if is_csv(path) else _stored(path, connection) for path in file_set.files
    }
    partitions = file_set.partitions
    _require_alike(file_set, headers, next(iter(partitions.values())))
    types = csv_files.types_of(connection, {path: headers[path] for path in texts}) if texts else {}
    sources = {}
    for path, header in headers.items():
        rows = (
            csv_files.select(path, {name: types.get(name, "VARCHAR") for name in header})
            if path in texts
            else f"SELECT * FROM {_parquet([path])}"  # noqa: S608 - quoted
        )
        sources[path] = _with_keys(rows, partitions[path])
    return sources


def _union(file_set: FileSet, sources: Mapping[Path, str]) -> str:
    """One SELECT over all the files in their order; neighbouring parquet files of one partition are one scan."""
    parts = []
    for (is_text, pairs), found in groupby(file_set.partitions.items(), lambda item: (is_csv(item[0]), item[1])):
        paths = [path for path, _ in found]
        if is_text:
            parts += [sources[path] for path in paths]
        else:
            parts.append(_with_keys(f"SELECT * FROM {_parquet(paths)}", pairs))  # noqa: S608 - quoted
    return " UNION ALL BY NAME ".join(parts)


def _parquet(paths: Sequence[Path]) -> str:
    listed = ", ".join(map(file_literal, paths))
    return f"read_parquet([{listed}], union_by_name=true, hive_partitioning=false)"


def _width(stored: str) -> int:
    """About how many bytes a value of a DuckDB type takes in a frame."""
    if stored in ("BOOLEAN", "TINYINT", "UTINYINT"):
        return 1
    return 64 if kind_of(stored) in (ColumnKind.TEXT, ColumnKind.NESTED, ColumnKind.BINARY) else 8


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
                f"{path} has more than one column named {', '.join(map(repr, twice))}; rename them", code="column.twice"
            )
        names = [name.lower() for name in (*header, *keys)]
        alike = sorted({name for name in (*header, *keys) if names.count(name.lower()) > 1})
        if alike:
            raise ConfigurationError(
                f"{path} has columns (or key=value folders) whose names differ in case alone, or not at all: "
                f"{', '.join(alike)}; rename them",
                code="column.twice",
            )
        unlike = sorted(set(header) ^ set(headers[first]))
        if unlike:
            raise ConfigurationError(
                f"the files of {file_set.data} have unlike columns: {', '.join(unlike)} not in both {first.name} and "
                f"{path.name}",
                code="column.unlike",
            )
