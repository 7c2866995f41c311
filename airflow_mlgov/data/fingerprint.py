"""Names rows by one digest: those of a table in any order, those of a DataFrame. Refuses values without a canonical
form to hash."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow_mlgov.data.limits import deadline
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    import pandas as pd

_MODULUS_BYTES = 512
_CHUNK = 100_000
_CHECKED = 4096


@dataclass(frozen=True)
class TableFingerprint:
    """What a table held at one moment."""

    digest: str
    """Lower-case hex SHA-256; see :func:`fingerprint_rows`."""
    columns: tuple[str, ...]
    rows: int

    def subject(self, name: str) -> Subject:
        """The dataset of that name, bound to these rows."""
        return Subject("dataset", name, self.digest)


def fingerprint_rows(columns: tuple[str, ...], rows: Iterable[Sequence[Any]]) -> TableFingerprint:
    """Bind rows that come in any order.

    ``sha256("mlgov-table-v1" || JSON [column names, row count] || sum of SHAKE-256(row, 512 bytes) mod 2**4096)``.
    A row is its values in column order, each as a type letter, an 8-byte length and its canonical bytes (UTF-8 text,
    decimal integers, IEEE-754 doubles, UTC timestamps). The sum makes the order of rows irrelevant and counts
    duplicates; it is 4096 bits wide because sums of 256-bit hashes can be made to collide (Wagner's generalised
    birthday attack), which would let somebody swap rows behind a passed gate.

    :raises ConfigurationError: a value has no canonical form
    """
    modulus = 1 << (8 * _MODULUS_BYTES)
    total = count = 0
    until = deadline()
    for row in rows:
        if count % _CHECKED == 0:
            until.check("reading the rows of a table")
        hashed = hashlib.shake_256(b"".join(map(_encode, row, columns))).digest(_MODULUS_BYTES)
        total = (total + int.from_bytes(hashed)) % modulus
        count += 1
    head = b"mlgov-table-v1" + json.dumps([columns, count], separators=(",", ":")).encode()
    return TableFingerprint(hashlib.sha256(head + total.to_bytes(_MODULUS_BYTES)).hexdigest(), columns, count)


def fingerprint_frame(frame: pd.DataFrame) -> TableFingerprint:
    """Bind a frame to its rows, in their order. The index is left out because no expectation sees it.

    ``sha256("mlgov-frame-v1" || JSON [[column name, kind], …, row count] || each column's values)``. Whole numbers are
    written as 8-byte little-endian integers (kind ``i`` or ``u``), truth values as single bytes (``b``), floats as
    IEEE-754 doubles with one NaN (``f``); of any other kind (``v``) each value is a type letter, an 8-byte length and
    its canonical bytes, as in :func:`fingerprint_rows`, a missing value being null.

    :raises ConfigurationError: two columns of one name, or a value without a canonical form
    """
    names = [str(name) for name in frame.columns]
    require_single(names)
    columns = [frame.iloc[:, at] for at in range(len(names))]
    kinds = [_kind(column) for column in columns]
    digest, until = hashlib.sha256(b"mlgov-frame-v1"), deadline()
    digest.update(json.dumps([list(zip(names, kinds, strict=True)), len(frame)], separators=(",", ":")).encode())
    for name, kind, column in zip(names, kinds, columns, strict=True):
        for start in range(0, len(column), _CHUNK):
            until.check("reading the rows of a frame")
            digest.update(_bytes(name, kind, column.iloc[start : start + _CHUNK]))
    return TableFingerprint(digest.hexdigest(), tuple(names), len(frame))


def _encode(value: Any, column: str) -> bytes:
    kind, data = _canonical(value, column)
    return kind + struct.pack(">Q", len(data)) + data


def _canonical(value: Any, column: str) -> tuple[bytes, bytes]:  # noqa: C901 - one line per type
    match value:
        case None:
            return b"0", b""
        case bool():
            return b"b", b"1" if value else b"0"
        case int():
            return b"i", str(value).encode()
        case float():
            return b"f", b"nan" if value != value else struct.pack(">d", value)
        case str():
            return b"s", value.encode("utf-8", "surrogatepass")
        case Decimal():
            return b"d", str(value).encode()
        case datetime():  # a timestamp with a zone is an instant; the session's zone must not change the digest
            return b"t", (value if value.tzinfo is None else value.astimezone(UTC)).isoformat().encode()
        case date() | time():
            return b"a", value.isoformat().encode()
        case timedelta():
            return b"l", f"{value.days} {value.seconds} {value.microseconds}".encode()
        case bytes() | bytearray() | memoryview():
            return b"y", bytes(value)
        case UUID():
            return b"u", value.bytes
        case list() | tuple() | dict():
            try:
                return b"j", json.dumps(value, sort_keys=True, separators=(",", ":"), default=_nested).encode()
            except TypeError:
                pass
    raise ConfigurationError(
        f'column "{column}" holds values of type {type(value).__name__}, which have no canonical form to hash; '
        "select it as text in a query",
        code="column.kind",
    )


def _nested(value: Any) -> str:
    if isinstance(value, Decimal | datetime | date | time | UUID):
        return str(value)
    raise TypeError


def require_single(names: Sequence[str]) -> None:
    """Refuse two columns of one name."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(
            f"the frame has more than one column named {', '.join(map(repr, twice))}; rename them", code="column.twice"
        )


def aggregate_subject(name: str, table: Sequence[Sequence[Any]]) -> Subject:
    """A database table as far as it was judged: the SHA-256 of the aggregates that were asked of it, sorted."""
    lines = sorted(json.dumps([None if value is None else str(value) for value in row]) for row in table)
    text = json.dumps(["mlgov-aggregates-v2", *lines])
    return Subject("dataset", name, hashlib.sha256(text.encode()).hexdigest())


def _kind(column: pd.Series) -> str:
    import numpy as np

    kind = str(column.dtype.kind) if isinstance(column.dtype, np.dtype) else "v"
    return kind if kind in "iufb" and column.dtype.itemsize <= 8 else "v"


def _bytes(name: str, kind: str, column: pd.Series) -> bytes:
    import numpy as np

    if kind == "v":
        missing = column.isna().to_numpy()
        try:
            pairs = zip(column.astype(object), missing, strict=True)
            values = [None if null else _plain(value) for value, null in pairs]
        except (OverflowError, ValueError):  # Arrow's moments before year 1 and after 9999
            raise ConfigurationError(
                f'the column "{name}" of the frame holds a value that Python has none for, such as a date after 9999: '
                "mend it, or give the rows as a parquet file",
                code="data.unreadable",
            ) from None
        return b"".join(_encode(value, name) for value in values)
    numbers = column.to_numpy().astype({"i": "<i8", "u": "<u8", "f": "<f8", "b": "u1"}[kind])
    if kind == "f":
        numbers[np.isnan(numbers)] = np.nan
    return bytes(numbers.tobytes())


def _plain(value: Any) -> Any:
    """A NumPy scalar or a timestamp of pandas as Python's own."""
    if hasattr(value, "to_pydatetime"):  # Python's own has no nanoseconds
        return [value.isoformat()] if value.nanosecond else value.to_pydatetime()
    return value.item() if hasattr(value, "dtype") and hasattr(value, "item") else value
