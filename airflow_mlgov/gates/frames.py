"""Names a pandas DataFrame in memory, or a Spark DataFrame, by a fingerprint of its rows. Refuses values without a
canonical form to hash."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.sql_source import TableFingerprint, _encode, fingerprint_rows

if TYPE_CHECKING:
    import pandas as pd

_CHUNK = 100_000


def is_frame(data: Any) -> bool:
    """Whether ``data`` is a pandas DataFrame, told without importing pandas."""
    pandas: Any = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def is_spark_frame(data: Any) -> bool:
    """Whether ``data`` is a DataFrame of Spark (or Spark Connect), told without importing PySpark."""
    return any(
        part.__name__ == "DataFrame" and part.__module__.startswith("pyspark.sql") for part in type(data).__mro__
    )


def fingerprint_spark(frame: Any) -> TableFingerprint:
    """Bind a Spark DataFrame to its rows, in any order: see :func:`airflow_mlgov.gates.sql_source.fingerprint`. Every
    row passes through this process, one partition at a time.

    :raises ConfigurationError: two columns of one name, or a value without a canonical form
    """
    names = tuple(map(str, frame.columns))
    _require_single(names)
    return fingerprint_rows(names, frame.toLocalIterator())


def fingerprint_frame(frame: pd.DataFrame) -> TableFingerprint:
    """Bind a frame to its rows, in their order. The index is left out, for no expectation sees it.

    ``sha256("mlgov-frame-v1" || JSON [[column name, kind], …, row count] || each column's values)``. Whole numbers are
    written as 8-byte little-endian integers (kind ``i`` or ``u``), truth values as single bytes (``b``), floats as
    IEEE-754 doubles with one NaN (``f``); of any other kind (``v``) each value is a type letter, an 8-byte length and
    its canonical bytes, as in :func:`airflow_mlgov.gates.sql_source.fingerprint`, a missing value being null.

    :raises ConfigurationError: two columns of one name, or a value without a canonical form
    """
    names = [str(name) for name in frame.columns]
    _require_single(names)
    columns = [frame.iloc[:, at] for at in range(len(names))]
    kinds = [_kind(column) for column in columns]
    digest = hashlib.sha256(b"mlgov-frame-v1")
    digest.update(json.dumps([list(zip(names, kinds, strict=True)), len(frame)], separators=(",", ":")).encode())
    for name, kind, column in zip(names, kinds, columns, strict=True):
        for start in range(0, len(column), _CHUNK):
            digest.update(_bytes(name, kind, column.iloc[start : start + _CHUNK]))
    return TableFingerprint(digest.hexdigest(), tuple(names), len(frame))


def _require_single(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"the frame has more than one column named {', '.join(map(repr, twice))}; rename them")


def _kind(column: pd.Series) -> str:
    import numpy as np

    kind = str(column.dtype.kind) if isinstance(column.dtype, np.dtype) else "v"
    return kind if kind in "iufb" and column.dtype.itemsize <= 8 else "v"


def _bytes(name: str, kind: str, column: pd.Series) -> bytes:
    import numpy as np

    if kind == "v":
        missing = column.isna().to_numpy()
        pairs = zip(column.astype(object), missing, strict=True)
        return b"".join(_encode(None if null else _plain(value), name) for value, null in pairs)
    values = column.to_numpy().astype({"i": "<i8", "u": "<u8", "f": "<f8", "b": "u1"}[kind])
    if kind == "f":
        values[np.isnan(values)] = np.nan
    return bytes(values.tobytes())


def _plain(value: Any) -> Any:
    """A NumPy scalar or a timestamp of pandas as Python's own."""
    if hasattr(value, "to_pydatetime"):  # Python's own has no nanoseconds
        return [value.isoformat()] if value.nanosecond else value.to_pydatetime()
    return value.item() if hasattr(value, "dtype") and hasattr(value, "item") else value
