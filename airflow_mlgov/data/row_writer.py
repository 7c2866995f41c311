"""Writes rows to a parquet file, each column with the narrowest type that holds all its values. Refuses a column whose
values no one type holds exactly."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow_mlgov.data.fetching import batched
from airflow_mlgov.data.limits import deadline
from airflow_mlgov.data.memory import allowed_memory
from airflow_mlgov.data.names import require_apart
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.progress import counted

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_ROWS, _GROUP_BYTES = 120_000, 64_000_000
"""A row group ends when it has either."""
_INEXACT = "holds values that no one type of at most 38 digits holds exactly"

_KINDS: dict[str, type | tuple[type, ...]] = {
    "truth values": bool,
    "whole numbers": int,
    "floats": float,
    "decimals": Decimal,
    "texts": str,
    "timestamps": datetime,
    "dates": date,
    "times": time,
    "bytes": (bytes, bytearray, memoryview),
    "intervals": timedelta,
    "UUIDs": UUID,
    "arrays or JSON": (list, tuple, dict),
}
"""What a column may hold; a value is of the first that fits."""
_ZONED = " with a zone"
_TOGETHER = ({"whole numbers", "floats"}, {"whole numbers", "decimals"})


def write_rows(name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], target: Path) -> None:
    """Rows as one parquet file, with the types that :class:`RowWriter` gives them.

    :param name: of the data set, for messages
    :raises ConfigurationError: the values of a column are of several types, or fit into none exactly
    """
    with (
        TemporaryDirectory(prefix="parts-", dir=target.parent) as folder,
        RowWriter(name, columns, Path(folder)) as copy,
    ):
        for _ in copy.passing(rows):
            pass
        copy.as_one_file().rename(target)


class RowWriter:
    """Writes rows as they pass. Which type holds a whole column is known at its end only: where a batch needs a wider
    one, the next file begins, and several files become one at the end."""

    def __init__(self, name: str, columns: Sequence[str], folder: Path) -> None:
        _require_apart(name, columns)
        self._columns = [_Column(name, column) for column in columns]
        self._folder = folder
        self._paths: list[Path] = []
        self._file: _File | None = None

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def passing(self, rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """The rows, each written before it is handed on."""
        until = deadline()
        for batch in batched(counted(rows, "rows are copied")):
            until.check("copying rows")
            arrays = [
                column.take(values) for column, values in zip(self._columns, zip(*batch, strict=True), strict=True)
            ]
            file = self._file
            if file is None or file.schema != self._schema():
                file = self._begin()
            file.write(self._fitted(arrays))
            yield from batch

    def as_one_file(self) -> Path:
        """The file of all rows, once they have passed."""
        import pyarrow.parquet as pq

        self._close()
        parts = list(self._paths)
        if len(parts) == 1:
            return parts[0]
        whole = self._begin()
        for part in parts:
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches():
                    whole.write(self._fitted(batch.columns))
            part.unlink()
        self._close()
        return self._paths[-1]

    def _schema(self) -> pa.Schema:
        import pyarrow as pa

        return pa.schema([(column.name, column.type) for column in self._columns])

    def _begin(self) -> _File:
        self._close()
        self._paths.append(self._folder / f"{len(self._paths)}.parquet")
        self._file = _File(self._paths[-1], self._schema())
        return self._file

    def _fitted(self, arrays: Sequence[pa.Array]) -> list[pa.Array]:
        return [column.fit(array) for column, array in zip(self._columns, arrays, strict=True)]

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


class _File:
    """A parquet file whose row groups are larger than the batches that it is given."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self.schema = schema
        self._writer = pq.ParquetWriter(path, schema)
        self._pending: list[pa.RecordBatch] = []

    def write(self, arrays: Sequence[pa.Array]) -> None:
        import pyarrow as pa

        self._pending.append(pa.RecordBatch.from_arrays(arrays, schema=self.schema))
        rows, size = (sum(getattr(batch, name) for batch in self._pending) for name in ("num_rows", "nbytes"))
        if rows >= _GROUP_ROWS or size >= min(_GROUP_BYTES, allowed_memory() // 4):
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        pending, self._pending = self._pending, []
        if pending:
            self._writer.write_table(pa.Table.from_batches(pending))


class _Column:
    """One column, and the narrowest type that holds every value so far."""

    def __init__(self, table: str, name: str) -> None:
        self.name = name
        self.type = _no_value()
        self._table = table
        self._kinds: set[str] = set()

    def take(self, values: Sequence[Any]) -> pa.Array:
        """The values as Arrow has them.

        :raises ConfigurationError: they are of another type than those before
        """
        import pyarrow as pa

        kinds = _kinds(values)
        self._kinds |= kinds
        if len(self._kinds) > 1 and self._kinds not in _TOGETHER:
            raise self._refusal(f"holds values of several types ({', '.join(sorted(self._kinds))})")
        if not kinds:
            return pa.nulls(len(values), _no_value())
        try:
            array = _array(self._kinds, values)
            self.type = _wider(self.type, array.type)
        except (ValueError, OverflowError):  # pyarrow's errors quote the value
            raise self._refusal(_INEXACT) from None
        return array

    def fit(self, array: pa.Array) -> pa.Array:
        """An array that was taken, as the column's type.

        :raises ConfigurationError: a whole number is too large to be a float
        """
        import pyarrow as pa

        if array.type == self.type:
            return array
        if array.null_count == len(array):
            return pa.nulls(len(array), self.type)
        try:
            return array.cast(self.type)
        except pa.ArrowInvalid:
            raise self._refusal(_INEXACT) from None

    def _refusal(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            f'the column "{self.name}" of {self._table} {why}: cast it to one type in a query, or leave it out there',
            code="column.mixed",
        )


def _require_apart(name: str, columns: Sequence[str]) -> None:
    """Refuse columns that DuckDB cannot tell apart."""
    if not columns:
        raise ConfigurationError(f"{name} has no columns", code="data.no_columns")
    require_apart(columns, name)


def _kinds(values: Sequence[Any]) -> set[str]:
    found = set()
    for cls in set(map(type, values)) - {type(None)}:
        kind = next((kind for kind, classes in _KINDS.items() if issubclass(cls, classes)), cls.__name__)
        if issubclass(cls, datetime | time):
            zones = {value.tzinfo is not None for value in values if isinstance(value, cls)}
            found |= {kind + _ZONED if zoned else kind for zoned in zones}
        else:
            found.add(kind)
    return found


def _array(kinds: set[str], values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    types = {
        "truth values": pa.bool_(),
        "floats": pa.float64(),
        "texts": pa.string(),
        "timestamps": pa.timestamp("us"),
        "timestamps" + _ZONED: pa.timestamp("us", "UTC"),
        "dates": pa.date32(),
        "times": pa.time64("us"),
        "bytes": pa.binary(),
    }
    for kind in kinds & types.keys():
        return pa.array(values, types[kind])
    if "decimals" in kinds:
        return _decimals(values)
    if "whole numbers" in kinds:
        try:
            return pa.array(values, pa.int64())
        except OverflowError:
            return _decimals(values)
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _decimals(values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    exact = [None if value is None else Decimal(value) for value in values]
    if not all(value is None or value.is_finite() for value in exact):
        raise ValueError("NaN or infinity")
    return pa.array(exact)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return value.isoformat() if isinstance(value, time) else str(value)


def _no_value() -> pa.DataType:
    """The type of a column without values: text to DuckDB, and of no kind where its kind would matter."""
    import pyarrow as pa

    return pa.dictionary(pa.int32(), pa.string())


def _wider(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """The type that holds the values of both, which are of kinds that go together."""
    import pyarrow as pa

    if not pa.types.is_decimal(other) and one in (other, _no_value()):
        return other
    if pa.types.is_float64(one) or pa.types.is_float64(other):
        return pa.float64()
    digits = [
        (kind.precision - kind.scale, kind.scale) if pa.types.is_decimal(kind) else (19, 0)
        for kind in (one, other)
        if kind != _no_value()
    ]
    whole, scale = (max(part) for part in zip(*digits, strict=True))
    return pa.decimal128(whole + scale, scale)  # DuckDB has none wider, nor has this
