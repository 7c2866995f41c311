"""Reads csv and parquet files as one pandas DataFrame. Refuses whatever pandas would quietly bend: duplicate headers,
rows longer than the header, files of one set with unlike columns, a ``key=value`` folder whose key is a column too."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_mlgov.data.csv_files import delimiter_of
from airflow_mlgov.data.files import FileSet, first_line, is_csv, opened, parquet_errors
from airflow_mlgov.data.names import require_columns
from airflow_mlgov.errors import AccessError, ConfigurationError
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    import pandas as pd


def read_table(data: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The rows of a csv or parquet file, of a glob of either, or of a folder of either, in the order of file names.

    :param data: a path (``.csv``, also gzip, bz2 or xz; ``.parquet``), a glob, a folder (``key=value`` folders in it
        give a column each), or the same at a URL that fsspec knows (``s3://…``)
    :param columns: read only these, in this order; None reads all
    :raises ConfigurationError: no such file, an empty or unreadable one, an unknown extension, a missing column
    :raises AccessError: the file system refuses to read it
    """
    with opened(data) as file_set:
        return read_files(file_set, columns)


def read_dataset(data: str, columns: Sequence[str] | None = None) -> tuple[pd.DataFrame, Subject]:
    """:func:`read_table` and ``data.files.dataset_subject`` as one step, so that the digest is of the rows read."""
    with opened(data) as file_set:
        return read_files(file_set, columns), file_set.subject


def read_files(file_set: FileSet, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """:func:`read_table` of files that are open already."""
    import pandas as pd

    wanted = None if columns is None else list(dict.fromkeys(columns))
    frames = [_read_part(path, keys, wanted) for path, keys in file_set.partitions.items()]
    _require_same_columns(file_set, frames)
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def _read_part(path: Path, keys: Mapping[str, int | str | None], wanted: list[str] | None) -> pd.DataFrame:
    """One file, with its partition keys as columns behind its own."""
    stored = None if wanted is None else [name for name in wanted if name not in keys]
    table = _read_file(path, stored or None)  # with no column of its own, a frame would have no rows
    for key, value in keys.items():
        if key in table.columns:
            raise ConfigurationError(
                f"{path} has a column {key} and lies in a folder {key}=…; rename one of the two", code="column.twice"
            )
        table[key] = value
    return table if wanted is None else table[wanted]


def _read_file(path: Path, wanted: list[str] | None) -> pd.DataFrame:
    try:
        if path.stat().st_size == 0:
            raise ConfigurationError(f"{path} is empty (0 bytes): it has not even a header", code="data.empty")
        return _read_csv(path, wanted) if is_csv(path) else _read_parquet(path, wanted)
    except PermissionError as error:
        raise AccessError(
            f"may not read {path}: permission denied; give the worker's user read access", code="file.refused"
        ) from error
    except FileNotFoundError as error:
        raise ConfigurationError(f"no such file: {path} (it was there a moment ago)", code="file.missing") from error


def _read_csv(path: Path, wanted: list[str] | None) -> pd.DataFrame:
    import pandas as pd

    sign = delimiter_of(path)
    try:
        first = pd.read_csv(path, sep=sign, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0]
        header = [str(name) for name in first]
        _require_sound_header(path, header, wanted or ())
        with warnings.catch_warnings():
            # pandas only warns when a row is longer than the header, then drops what is too much.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(path, sep=sign, index_col=False, usecols=wanted, low_memory=False)
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path} is not UTF-8 text (byte {error.start}); convert it first", code="file.not_text"
        ) from None
    except pd.errors.ParserWarning:
        raise ConfigurationError(
            f"{path} is not a sound csv file: a row has more fields than the header", code="data.unreadable"
        ) from None
    except pd.errors.EmptyDataError:
        raise ConfigurationError(f"{path} is empty: it has not even a header", code="data.empty") from None
    except (pd.errors.ParserError, EOFError, OSError, ValueError) as error:
        if isinstance(error, ConfigurationError | PermissionError | FileNotFoundError):
            raise
        raise ConfigurationError(
            f"{path} is not a readable csv file: {first_line(error)}", code="data.unreadable"
        ) from None
    return table if wanted is None else table[wanted]


def _read_parquet(path: Path, wanted: list[str] | None) -> pd.DataFrame:
    import pandas as pd
    import pyarrow.parquet as pq

    with parquet_errors(path), pq.ParquetFile(path) as file:
        stored = file.schema_arrow.names
        _require_sound_header(path, stored, ())
        table = file.read(columns=None if wanted is None else [name for name in wanted if name in stored]).to_pandas()
    if any(name is not None for name in table.index.names):
        table = table.reset_index()  # an index is data too: pandas may store it in the metadata alone
    require_columns(dict.fromkeys([*stored, *table.columns]), wanted or (), str(path))
    return pd.DataFrame(table if wanted is None else table[wanted])


def _require_sound_header(path: Path, header: list[str], wanted: Iterable[str]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ConfigurationError(
            f"{path} has more than one column named {', '.join(map(repr, twice))}; rename them", code="column.twice"
        )
    require_columns(header, wanted, str(path))


def _require_same_columns(file_set: FileSet, frames: Sequence[pd.DataFrame]) -> None:
    first = frames[0].columns
    for path, frame in zip(file_set.files, frames, strict=True):
        if set(frame.columns) != set(first):
            unlike = sorted(map(str, set(frame.columns) ^ set(first)))
            raise ConfigurationError(
                f"the files of {file_set.data} have unlike columns: {', '.join(unlike)} "
                f"not in both {file_set.shown(file_set.files[0])} and {file_set.shown(path)}",
                code="column.unlike",
            )
