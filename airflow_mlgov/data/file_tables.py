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
from airflow_mlgov.data.aggregates import count_where
from airflow_mlgov.data.duck import Duck, DuckTable, in_order
from airflow_mlgov.data.files import FileSet, Store, is_csv, opened, parquet_errors, public_name
from airflow_mlgov.data.names import require_apart
from airflow_mlgov.data.quoting import file_literal, identifier, literal
from airflow_mlgov.data.reading import PLAIN, Reading, word_of
from airflow_mlgov.data.relation import MEMORY_LIMIT, bytes_of
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.progress import followed
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    from concurrent.futures import Future

    import duckdb
    import pandas as pd

_MOST_TOLD = 300
"""Columns whose types evidence names; of more, those that are declared."""

_FILE = "file_index"
"""DuckDB's virtual column: which of the files a row is of. A column of that name hides it."""

_TEXT_IN_MEMORY = 3
"""A text file as a frame is about so many times as large."""


@dataclass(frozen=True)
class Files:
    """csv or parquet files as a source."""

    data: str | FileSet
    """As :func:`airflow_mlgov.data.pandas_files.read_table` takes it, or files that are open already."""
    store: Store | None = field(default=None, repr=False, compare=False)
    """Of a URL the file system that has it, with its credentials, and the path in it; made from the URL if omitted."""
    reading: Reading = PLAIN
    """How csv is read."""

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
            yield FileTable(duck, view, hashed, self.reading)


class FileTable(DuckTable):
    """Files as a view, ``data`` unless named otherwise."""

    def __init__(self, duck: Duck, view: str, hashed: _Hashed, reading: Reading = PLAIN) -> None:
        super().__init__(duck, view, hashed.files.data)
        self.reading = reading
        self.files = hashed.files
        self._hashed = hashed
        self._as_written: set[str] = set()
        self._looked: csv_files.Looked | None = None
        self._like_numbers: dict[str, tuple[int, int]] = {}
        self._remarks: dict[str, str] = {}

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

        :raises ConfigurationError: an unreadable file, unlike columns, a header that names a column twice, values that
            are not of their declared type
        """
        self._made  # noqa: B018 - made once

    def _size_as_frame(self, columns: Sequence[str] | None) -> int:
        """Of text files a multiple of their size, if that is little; otherwise all are read for it."""
        texts = sum(path.stat().st_size for path in self.files.files if is_csv(path))
        if self.is_text and texts * _TEXT_IN_MEMORY < bytes_of(self.duck.memory_limit):
            return texts * _TEXT_IN_MEMORY
        return super()._size_as_frame(columns)

    @property
    def read_as(self) -> dict[str, Any]:
        """What the columns of csv were read as, and what was declared of it; nothing of other files."""
        if not self.is_text:
            return {}
        types = {name: word_of(kind) for name, kind in self.types.items()}
        if len(types) > _MOST_TOLD:
            types = {name: kind for name, kind in types.items() if name in self.reading.types}
        return {"columns": types, "declared": self.reading.said}

    def guessed(self, column: str) -> bool:
        """Whether a column's type is what its values look like, so that they can be had as written too."""
        return column in self._made.guessed

    def extent_of(self, column: str) -> csv_files.Extent | None:
        """Of a csv's whole numbers what is known without asking; None of other columns, and if not all rows are of
        csv."""
        known = self._looked is not None and all(map(is_csv, self.files.files)) and column not in self._as_written
        return self._looked.extents.get(column) if known and self._looked else None

    def writes_one_value_in_two_ways(self, column: str) -> bool:
        """Whether more texts stand in a guessed column than it has values, such as 1.10 and 1.1."""
        if self.types[column] not in ("DOUBLE", "BOOLEAN") or not self.guessed(column):
            return False
        name = identifier(column)
        value = csv_files.plain_number(name, self.reading) if self.types[column] == "DOUBLE" else name
        (texts, values) = self.rows(
            f"SELECT count(DISTINCT {name}), count(DISTINCT CAST({value} AS {self.types[column]})) "  # noqa: S608
            f"FROM ({self.written}) WHERE {name} IS NOT NULL"
        )[0]
        return bool(texts > values)

    def read_as_written(self, column: str) -> None:
        """Have a guessed column as text, as it is written, from now on."""
        if not self.guessed(column) or self.types[column] == "VARCHAR":
            return
        self._as_written.add(column)
        for name in ("_made", "types", "columns"):
            self.__dict__.pop(name, None)
        self.prepare()

    @property
    def written(self) -> str:
        """A SELECT of the csv's own columns as they are written."""
        return self._made.written

    def remark(self, column: str) -> str:
        """Why a csv's column is text though nearly all its values are numbers, with the declaration that mends it;
        empty if there is nothing to remark."""
        if column not in self._made.guessed or self.types.get(column) != "VARCHAR" or column in self._as_written:
            return ""
        if column not in self._remarks:
            most, there = self._like_numbers.get(column, (1, 1))
            self._remarks[column] = self._remark(column) if most and 2 * most >= there else ""
        return self._remarks[column]

    def may_be_numbers(self, column: str, most: int, there: int) -> None:
        """Spare :meth:`remark` a look at a column of text where too few of its values can be numbers.

        :param most: how many values of all rows begin as numbers do
        :param there: how many values there are
        """
        if all(map(is_csv, self.files.files)):
            self._like_numbers[column] = most, there

    def _remark(self, column: str) -> str:
        name = identifier(column)
        look = csv_files.look_of(name, self.reading)
        numbers, there = self.rows(f"SELECT {count_where(look)}, count({name}) FROM ({self.written})")[0]  # noqa: S608
        if 2 * numbers < there or not numbers:
            return ""
        odd = self.rows(
            f"SELECT {name}, count(*) FROM ({self.written}) "  # noqa: S608 - quoted
            f"WHERE {name} IS NOT NULL AND NOT {look} "
            "GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3"
        )
        return csv_files.remark_on(column, odd, numbers, self.reading)

    def frame_as_stored(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The named columns with the types that pandas noted itself; of csv, which notes none, as DuckDB reads them,
        and whole numbers with gaps as floats, which is what a model that was trained on csv has seen."""
        if self.is_text:
            frame = self.frame(columns)
            gaps = [name for name, kind in frame.dtypes.items() if str(kind).startswith(("Int", "UInt"))]
            return frame.astype(dict.fromkeys(gaps, "float64"))
        from airflow_mlgov.data.pandas_files import read_files

        return read_files(self.files, columns)

    @cached_property
    def _made(self) -> _View:
        with self._queried():
            plain = _plain(self.files, self.duck.scratch / self._view, self.reading)
            loosely_written = self._hashed.thread.submit(lambda: any(map(csv_files.loosely_written, plain.values())))
            stored = _schemas(self.connection, [path for path in self.files.files if path not in plain])
            headers = _headers(self.files, plain, stored, self.reading)
            if not plain and (told := followed()):
                told.has_rows(self.name, _rows_of(self.connection, self.files.files))
            looked = self._looked_at(headers, plain).types
            types = {**looked} | self.reading.stored_types | dict.fromkeys(self._as_written, "VARCHAR")
            sources = _sources(self.files, headers, plain, types, self.reading)
            written = csv_files.texts({plain[path]: headers[path] for path in plain}, self.reading)
            self._require_declared(headers, written)
            view = identifier(self._view)
            self.connection.execute(f"CREATE OR REPLACE VIEW {view} AS {_union(self.files, sources, stored)}")
        return _View(sources, loosely_written, frozenset(looked), written)

    def _looked_at(self, headers: Mapping[Path, list[str]], plain: Mapping[Path, Path]) -> csv_files.Looked:
        """The csv columns that nobody declared, looked at once."""
        if self._looked is None:
            of_texts = {plain[path]: headers[path] for path in plain}
            found = csv_files.look_at(self.connection, of_texts, self.reading) if plain else csv_files.Looked({}, {})
            self._looked = found
        return self._looked

    def _require_declared(self, headers: Mapping[Path, list[str]], written: str) -> None:
        """Refuse values that are not of their declared type."""
        declared = self.reading.stored_types
        names = next(iter(headers.values()))
        if not self.is_text:
            return
        counted = [(name, stored) for name, stored in declared.items() if name in names and stored != "VARCHAR"]
        if not counted:
            return
        wrong = [csv_files.misfits(identifier(name), stored, self.reading) for name, stored in counted]
        asked = ", ".join(map(count_where, wrong))
        found = self.connection.execute(f"SELECT {asked} FROM ({written})").fetchall()[0]  # noqa: S608 - quoted
        for (name, _), sql, count in zip(counted, wrong, found, strict=True):
            if count:
                column = identifier(name)
                often = self.connection.execute(
                    f"SELECT {column}, count(*) FROM ({written}) WHERE {sql} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3"  # noqa: S608
                ).fetchall()
                raise ConfigurationError(
                    f'the column "{name}" of {self.name} is declared as {self.reading.types[name]}, and {count} '
                    f"{'value is' if count == 1 else 'values are'} none{csv_files.words_among(often)}: mend them, "
                    "declare what stands for a missing value (missing_values), or declare text",
                    code="column.not_declared_type",
                )


@dataclass(frozen=True)
class _View:
    sources: Mapping[Path, str]
    loosely_written: Future[bool]
    guessed: frozenset[str]
    """The columns of csv whose types nobody declared."""
    written: str
    """A SELECT of the csv's columns as they are written."""


@contextmanager
def open_table(
    data: str | FileSet, *, memory_limit: str = MEMORY_LIMIT, reading: Reading = PLAIN
) -> Iterator[FileTable]:
    """The files of ``data`` as one table.

    :param data: as :func:`airflow_mlgov.data.pandas_files.read_table` takes it, or files that are open already and
        that the caller watches; columns are matched by name, and a folder of ``key=value`` folders has its keys as
        columns. A csv column is of its declared type, or else of the type that all its values are: BOOLEAN, BIGINT,
        HUGEINT, DECIMAL or DOUBLE, otherwise text
    :param memory_limit: such as ``500MB``; what does not fit spills to a folder that goes away at the end
    :raises ConfigurationError: no such file, an unreadable one, unlike columns, a header that names a column twice
    :raises AccessError: the file system refuses to read it
    :raises DependencyError: a file changed while it was being read
    """
    with Files(data, reading=reading).open(memory_limit=memory_limit) as table:
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


def _plain(file_set: FileSet, scratch: Path, reading: Reading) -> dict[Path, Path]:
    """The csv files, each with the copy of it that DuckDB can read."""
    for path in file_set.files:
        if path.stat().st_size == 0:
            raise ConfigurationError(f"{path} is empty (0 bytes): it has not even a header", code="data.empty")
    texts = filter(is_csv, file_set.files)
    return {
        path: csv_files.readable(path, scratch / f"{at}{path.suffix.lower()}", reading) for at, path in enumerate(texts)
    }


def _headers(
    file_set: FileSet, plain: Mapping[Path, Path], stored: Mapping[Path, _Schema], reading: Reading
) -> dict[Path, list[str]]:
    """File -> the names of its columns; of parquet as the file names them: DuckDB would call ``ID`` beside ``Id``
    ``ID_1``."""
    headers = {
        path: csv_files.header_of(path, reading) if path in plain else list(stored[path].names)
        for path in file_set.files
    }
    _require_alike(file_set, headers, next(iter(file_set.partitions.values())))
    return headers


def _sources(
    file_set: FileSet,
    headers: Mapping[Path, list[str]],
    plain: Mapping[Path, Path],
    types: Mapping[str, str],
    reading: Reading,
) -> dict[Path, str]:
    """A SELECT for each file, its partition's keys behind its own columns."""
    partitions = file_set.partitions
    sources = {}
    for path, header in headers.items():
        rows = (
            csv_files.select(plain[path], {name: types.get(name, "VARCHAR") for name in header}, reading)
            if path in plain
            else f"SELECT * FROM {_parquet([path], alike=True)}"  # noqa: S608 - quoted
        )
        sources[path] = _with_keys(rows, partitions[path])
    return sources


def _union(file_set: FileSet, sources: Mapping[Path, str], stored: Mapping[Path, _Schema]) -> str:
    """One SELECT over all the files in their order; neighbouring parquet files are one scan."""
    partitions = file_set.partitions
    parts = []
    for is_text, found in groupby(file_set.files, is_csv):
        paths = list(found)
        if is_text:
            parts += [sources[path] for path in paths]
        else:
            alike = all(stored[path].is_like(stored[paths[0]]) for path in paths)
            pairs = [partitions[path] for path in paths]
            if pairs.count(pairs[0]) == len(pairs):
                parts.append(_with_keys(f"SELECT * FROM {_parquet(paths, alike)}", pairs[0]))  # noqa: S608 - quoted
            elif any(_FILE in map(str.casefold, stored[path].names) for path in paths):
                parts += [sources[path] for path in paths]
            else:
                parts.append(_with_keys_by_file(_parquet(paths, alike), pairs))
    return " UNION ALL BY NAME ".join(parts)


def _with_keys_by_file(reader: str, partitions: Sequence[Mapping[str, int | str | None]]) -> str:
    """The rows of files, the keys of each file's partition behind its own columns."""
    keys = ", ".join(
        f"[{', '.join(_key(each[key]) for each in partitions)}][{_FILE}::BIGINT + 1] AS {identifier(key)}"
        for key in partitions[0]
    )
    return f"SELECT *, {keys} FROM {reader}"  # noqa: S608 - quoted


def _parquet(paths: Sequence[Path], alike: bool) -> str:
    """What reads the files; unless they are of one schema, each is looked into before the first row is read."""
    listed = ", ".join(map(file_literal, paths))
    return f"read_parquet([{listed}], union_by_name={str(not alike).lower()}, hive_partitioning=false)"


def _with_keys(rows: str, keys: Mapping[str, int | str | None]) -> str:
    if not keys:
        return rows
    values = ", ".join(f"{_key(value)} AS {identifier(key)}" for key, value in keys.items())
    return f"SELECT *, {values} FROM ({rows})"  # noqa: S608 - quoted


def _key(value: int | str | None) -> str:
    """A partition's key as SQL."""
    if value is None:
        return "NULL"
    return literal(value) if isinstance(value, str) else f"{value}::BIGINT"


@dataclass(frozen=True)
class _Schema:
    """What the footer of a parquet file says of its columns."""

    names: tuple[str, ...]
    stored: tuple[tuple[Any, ...], ...]
    """Name and type of every column, those within others too."""

    def is_like(self, other: _Schema) -> bool:
        """Whether the columns are the same ones, in the same order and stored as the same types."""
        return self.stored == other.stored


_OF_A_COLUMN = "name, type, type_length, repetition_type, num_children, converted_type, scale, precision, logical_type"
_CHILDREN = 4


def _rows_of(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> int:
    """How many rows the footers of parquet files say that there are; it is told, and nothing is decided on it."""
    listed = ", ".join(map(file_literal, paths))
    return int(connection.execute(f"SELECT sum(num_rows) FROM parquet_file_metadata([{listed}])").fetchall()[0][0])  # noqa: S608


def _schemas(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> dict[Path, _Schema]:
    """Of every file, in one query: DuckDB names a damaged one in words of its own, so PyArrow is asked which it is.

    :raises ConfigurationError: one is no parquet file, or a damaged one
    """
    import duckdb

    if not paths:
        return {}
    listed = ", ".join(map(file_literal, paths))
    try:
        with in_order(connection):
            found = connection.execute(f"SELECT file_name, {_OF_A_COLUMN} FROM parquet_schema([{listed}])").fetchall()  # noqa: S608 - quoted
    except duckdb.Error:
        for path in paths:
            _require_parquet(path)
        raise
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for name, *column in found:
        rows.setdefault(name, []).append(tuple(column))
    of_paths = {path: rows[str(path.absolute())] for path in paths}
    return {path: _Schema(tuple(_at_the_top(of_file)), tuple(of_file[1:])) for path, of_file in of_paths.items()}


def _at_the_top(rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """The names of the columns that lie in no other; each row is followed by those within it."""
    left = 0
    for row in rows[1:]:
        if not left:
            yield row[0]
        left = max(0, left - 1) + (row[_CHILDREN] or 0)


def _require_parquet(path: Path) -> None:
    import pyarrow.parquet as pq

    with parquet_errors(path):
        pq.read_metadata(path)


def _require_alike(file_set: FileSet, headers: Mapping[Path, list[str]], keys: Mapping[str, Any]) -> None:
    first = file_set.files[0]
    for path, header in headers.items():
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise ConfigurationError(
                f"{path} has more than one column named {', '.join(map(repr, twice))}; rename them", code="column.twice"
            )
        require_apart([*header, *keys], f"{path} (with its key=value folders)" if keys else str(path))
        unlike = sorted(set(header) ^ set(headers[first]))
        if unlike:
            raise ConfigurationError(
                f"the files of {file_set.data} have unlike columns: {', '.join(unlike)} not in both "
                f"{file_set.shown(first)} and {file_set.shown(path)}",
                code="column.unlike",
            )
