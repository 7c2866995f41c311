"""Names the rows that a model is judged on, whatever it predicted for them, so that tries on the same rows can be
counted. Refuses to be led astray by another order, another file format or another type of the same values."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.arrow_numbers import array_of, numbers_of
from airflow_mlgov.data.quoting import identifier
from airflow_mlgov.data.ranks import count_by_ranks

if TYPE_CHECKING:
    from airflow_mlgov.data.duck import DuckTable
    from airflow_mlgov.data.relation import Relation

_HEAD = b"mlgov-cases-v3\n"
_MISSING = "-"
_FEW = 200_000
"""Different rows up to which counts leave a database."""
_OFTEN = 4
"""Rows that come as often as this, on the average, are counted first; otherwise all are sorted."""
_REPEATED_AT_ONCE = 65_536
_LINES = 8_192
"""Lines that are held at a time; each may be long."""
_AT_ONCE = 1 << 25
"""Bytes of lines that are written out at once."""
_LARGEST_WHOLE = 1e38
"""DuckDB writes no larger float as a whole number."""
_WHOLE = "0|-?[1-9][0-9]{0,37}"
"""A text that is a whole number, written as one is."""
_POINTED = "-?(?:0|[1-9][0-9]{0,14})[.][0-9]{1,15}"
"""A text that is a number with a point."""
_EQUAL_THOUGH_UNLIKE = ("INTERVAL", "TIME WITH", "STRUCT", "MAP", "UNION")
"""How types begin whose values may be equal and written in two ways, or hold others that are."""
_TRUTH = {"true": "#1", "false": "#0"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def evaluation_digest(relation: Relation, columns: Sequence[str]) -> str:
    """SHA-256 over the sorted lines of all rows: a row's values in ``columns``, joined by tabs.

    A number is ``#`` and its shortest decimal form, so that 1, 1.0 and an 8-bit 1 are one; a truth value is 1 or 0; a
    text that is plainly such a number or truth value is written as it, because a caller may declare either (``types``),
    and any other is ``'`` and itself, ``01`` too; a moment is ``@`` and its microseconds since 1970; NULL and NaN are
    ``-``. The lines are sorted by their UTF-8 bytes, so the order of rows does not matter, and their number does.

    :param columns: the label, and whatever else describes the case and not the prediction, in a fixed order
    :raises ConfigurationError: a column is missing
    """
    relation.require(*columns)
    if relation.is_local:
        return _of_table(relation.in_duckdb(), columns)
    listing = ", ".join(map(relation.quote, columns))
    found = relation.rows(
        f"SELECT {listing}, COUNT(*) FROM {relation.sql} c GROUP BY {listing} LIMIT {_FEW + 1}"  # noqa: S608 - quoted
    )
    if len(found) > _FEW:
        return _of_table(relation.in_duckdb().narrowed(columns), columns)
    return digest_of_counts((row[:-1], row[-1]) for row in found)


def digest_of_counts(counts: Iterable[tuple[Sequence[Any], int]]) -> str:
    """The same of rows that have been counted.

    :param counts: a row's values, and how many rows have them; the same values may come again
    """
    counted = list(counts)
    columns = [_texts(column) for column in zip(*(values for values, _ in counted), strict=True)]
    columns[-1:] = [[f"{text}\n" for text in columns[-1]]] if columns else []
    lines = [line.encode("utf-8", "surrogatepass") for line in map("\t".join, zip(*columns, strict=True))]
    digest = hashlib.sha256(_HEAD)
    for line, count in sorted(zip(lines, (count for _, count in counted), strict=True)):
        _add(digest, line, count)
    return digest.hexdigest()


def digest_of_counted(table: DuckTable, columns: Sequence[str], counted: str) -> str:
    """The same of rows that DuckDB has counted.

    :param counted: a SELECT of ``columns``, of the types that they have in the table, and ``many``: how many rows have
        the values; the same values may come again
    """
    digest = hashlib.sha256(_HEAD)
    lines = f"SELECT {_line_sql(table, columns)}, many::BIGINT AS many FROM ({counted}) ORDER BY line"  # noqa: S608
    for batch in table.batches(lines, _LINES):
        _add_all(digest, batch.column(0), numbers_of(batch.column(1)))
    return digest.hexdigest()


def _line_sql(table: DuckTable, columns: Sequence[str]) -> str:
    values = ", '\t', ".join(_written(column, table.types[column]) for column in columns)
    return f"concat({values}, chr(10)) AS line"


def _of_table(table: DuckTable, columns: Sequence[str]) -> str:
    kinds = [table.types[column] for column in columns]
    if len(kinds) > 1 and not any(kind.startswith(_EQUAL_THOUGH_UNLIKE) or kind.endswith("]") for kind in kinds):
        counts = count_by_ranks(
            table, {column: _written("v", kind) for column, kind in zip(columns, kinds, strict=True)}
        )
        if counts is not None:
            digest = hashlib.sha256(_HEAD)
            for lines, many in counts:
                _add_all(digest, lines, many)
            return digest.hexdigest()
    listing = ", ".join(map(identifier, columns))
    seen = f"SELECT count(*), approx_count_distinct(row({listing})) FROM {table.sql}"  # noqa: S608 - quoted
    ((rows, different),) = table.rows(seen)
    if rows >= _OFTEN * different:
        counted = f"SELECT {listing}, count(*) AS many FROM {table.sql} GROUP BY {listing}"  # noqa: S608 - quoted
        return digest_of_counted(table, columns, counted)
    digest = hashlib.sha256(_HEAD)
    lines = f"SELECT {_line_sql(table, columns)} FROM {table.sql} ORDER BY line"  # noqa: S608 - quoted
    for batch in table.batches(lines, _LINES):
        digest.update(_bytes_of(batch.column(0)))
    return digest.hexdigest()


def _add_all(digest: Any, lines: Any, counts: Any) -> None:
    """Lines of an Arrow array, each as often as it comes."""
    import numpy as np

    if lines.nbytes * int(counts.max(initial=0)) <= _AT_ONCE:
        digest.update(_bytes_of(lines.take(array_of(np.repeat(np.arange(len(lines)), counts)))))
        return
    for text, count in zip(lines.to_pylist(), counts.tolist(), strict=True):
        _add(digest, text.encode(), count)


def _add(digest: Any, line: bytes, count: int) -> None:
    """A line as often as it comes."""
    if count <= _REPEATED_AT_ONCE:
        digest.update(line * count)
        return
    for start in range(0, count, _REPEATED_AT_ONCE):
        digest.update(line * min(_REPEATED_AT_ONCE, count - start))


def _bytes_of(texts: Any) -> memoryview:
    """An Arrow array of texts, none missing, one behind the other."""
    import numpy as np
    import pyarrow as pa

    _, offsets, content = texts.buffers()
    wide = pa.types.is_large_string(texts.type)
    ends = np.frombuffer(offsets, dtype="<i8" if wide else "<i4")
    return memoryview(content)[ends[texts.offset] : ends[texts.offset + len(texts)]]


def _texts(column: Sequence[Any]) -> list[str]:
    """What stands for each value of a column; many values are one."""
    kinds = set(map(type, column)) - {type(None)}
    if kinds not in ({str}, {int}, {bool}):
        return list(map(_text, column))
    known = {value: _text(value) for value in set(column)}
    return list(map(known.__getitem__, column))


def _text(value: Any) -> str:
    value = value.item() if hasattr(value, "item") else value
    match value:
        case None:
            return _MISSING
        case bool() | int():
            return f"#{int(value)}"
        case float():
            return _MISSING if math.isnan(value) else f"#{_number(value)}"
        case Decimal():
            if not value.is_finite():
                return _MISSING if value.is_nan() else f"#{float(value)!r}"
            return f"#{int(value)}" if value == value.to_integral_value() else f"#{float(value)!r}"
        case str():
            return _of_text(value)
        case datetime():
            moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value
            return f"@{_microseconds(moment)}"
        case date():
            return f"@{_microseconds(datetime.combine(value, time(), UTC))}"
        case _:
            return f"={_escaped(str(value))}"


def _of_text(text: str) -> str:
    if re.fullmatch(_WHOLE, text):
        return f"#{text}"
    if re.fullmatch(_POINTED, text):
        return f"#{_number(float(text))}"
    return _TRUTH.get(text.lower()) or f"'{_escaped(text)}"


def _number(value: float) -> str:
    return str(int(value)) if abs(value) < _LARGEST_WHOLE and value.is_integer() else repr(value)


def _microseconds(moment: datetime) -> int:
    past = moment - _EPOCH
    return (past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def _written(name: str, stored: str) -> str:
    """SQL for what :func:`_text` makes of a value of a DuckDB type."""
    column = identifier(name)
    if stored == "BOOLEAN" or stored.endswith("INT") or stored.endswith("INTEGER"):
        whole = f"{column}::INTEGER" if stored == "BOOLEAN" else column
        known = f"'#' || {whole}"
    elif stored in ("FLOAT", "DOUBLE"):
        wide = f"{column}::DOUBLE"
        whole = f"abs({wide}) < {_LARGEST_WHOLE!r} AND {wide} = trunc({wide})"
        known = f"CASE WHEN isnan({column}) THEN NULL WHEN {whole} THEN '#' || {column}::HUGEINT ELSE '#' || {wide} END"
    elif stored.startswith("DECIMAL"):
        known = (
            f"CASE WHEN {column} = trunc({column}) THEN '#' || {column}::HUGEINT "
            f"ELSE '#' || ({column}::VARCHAR)::DOUBLE END"
        )
    elif stored == "DATE" or stored.startswith("TIMESTAMP"):
        known = f"'@' || epoch_us({column})"
    else:
        is_text = stored in ("VARCHAR", "UUID") or stored.startswith("ENUM")
        text = f"replace({column}::VARCHAR, '\\', '\\\\')"
        mark = "''" if is_text else "="
        known = f"'{mark}' || replace(replace({text}, chr(10), '\\n'), chr(9), '\\t')"
        known = _written_text(f"{column}::VARCHAR", known) if is_text else known
    return f"coalesce({known}, '{_MISSING}')"


def _written_text(text: str, otherwise: str) -> str:
    """SQL for what :func:`_of_text` makes of a text."""
    number = f"TRY_CAST({text} AS DOUBLE)"
    truths = " ".join(f"WHEN lower({text}) = '{word}' THEN '{said}'" for word, said in _TRUTH.items())
    begins = f"{text} BETWEEN '-' AND ':'"  # with a sign or a digit, which costs less to see than an expression
    return (
        f"CASE WHEN {begins} AND regexp_full_match({text}, '{_WHOLE}') THEN '#' || {text} "
        f"WHEN {begins} AND regexp_full_match({text}, '{_POINTED}') THEN "
        f"'#' || CASE WHEN {number} = trunc({number}) THEN {number}::HUGEINT::VARCHAR ELSE {number}::VARCHAR END "
        f"{truths} ELSE {otherwise} END"
    )
