"""Reads csv files in DuckDB as pandas would: one dialect, columns by the header's names, types by every value. Refuses
to let DuckDB guess because its guesses (hexadecimal numbers, headers left out) are not pandas' own."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_mlgov.data.file_kinds import DELIMITERS
from airflow_mlgov.data.quoting import file_literal, identifier, literal
from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    import duckdb

NULLS = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
"""What a csv field holds where there is no value; pandas' own list, so that both readers agree."""

_INTEGER = "-?[0-9]{1,18}"
_NUMBER = "-?(?:[0-9]{1,18}(?:[.][0-9]*)?|[.][0-9]+)(?:[eE][-+]?[0-9]{1,3})?|-?inf"
_WORD = "true|True|TRUE|false|False|FALSE"
_PATTERNS = {"BIGINT": _INTEGER, "DOUBLE": _NUMBER, "BOOLEAN": _WORD}
_WHOLE, _LONG, _BROKEN, _TRUTH, _OTHER = 1, 2, 4, 8, 16
_TYPES = {
    _WHOLE: "BIGINT",
    _LONG: "BIGINT",
    _WHOLE | _LONG: "BIGINT",
    _BROKEN: "DOUBLE",
    _WHOLE | _BROKEN: "DOUBLE",
    _TRUTH: "BOOLEAN",
}
"""What a column is whose values are of these sorts together; of all others it is text."""
_SAMPLE = 1000

_NUMBER_LIKE = "'^[0-9+.einfatyEINFATY[:space:]_,-]*$'"
_PLAIN_WORDS = "('true', 'false', 'inf', '+inf', '-inf', 'infinity', '+infinity', '-infinity', 'nan', '+nan', '-nan')"

_LOOSE_QUOTE = re.compile(rb'[,\r\n] +"|" +[,\r\n"]')
_LONE_RETURN = re.compile(rb"\r[^\n]")
_CHUNK, _TAIL = 1 << 22, 1 << 10


def header_of(path: Path) -> list[str]:
    """The names of the columns; one without a name is called as pandas calls it.

    :raises ConfigurationError: not a csv file in UTF-8, or its first line is empty
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file, delimiter=delimiter_of(path)), [])
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path} is not UTF-8 text (byte {error.start}); convert it first", code="file.not_text"
        ) from None
    except (OSError, csv.Error) as error:
        if isinstance(error, PermissionError):
            raise
        raise ConfigurationError(f"{path} is not a readable csv file: {error}", code="data.unreadable") from None
    if not header:
        raise ConfigurationError(
            f"{path} begins with an empty line; its first line must name the columns", code="data.no_header"
        )
    return [name or f"Unnamed: {position}" for position, name in enumerate(header)]


def delimiter_of(path: Path) -> str:
    """What stands between the fields of a file, by its name."""
    return DELIMITERS[path.suffix.lower()]


def select(path: Path, columns: Mapping[str, str], nulls: Sequence[str] = NULLS) -> str:
    """One SELECT over a file whose header names ``columns`` (name -> type) in this order.

    :param nulls: what a field holds where there is no value
    """
    types = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in columns.items())
    missing = ", ".join(map(literal, nulls))
    return (
        f"SELECT * FROM read_csv({file_literal(path)}, auto_detect=false, columns={{{types}}}, header=true, skip=0, "  # noqa: S608
        f"delim={literal(delimiter_of(path))}, quote='\"', escape='\"', nullstr=[{missing}], "
        "strict_mode=true, hive_partitioning=false, compression='none')"
    )


def types_of(connection: duckdb.DuckDBPyConnection, headers: Mapping[Path, Sequence[str]]) -> dict[str, str]:
    """BIGINT, DOUBLE or BOOLEAN for each column of the files (path -> names in its header) where every value is one,
    else VARCHAR; judged by a sample first, then by all values in one pass."""
    names = next(iter(headers.values()))
    # DuckDB compares every field with every null; what is no number is held against the other nulls below
    texts = (select(path, dict.fromkeys(header, "VARCHAR"), nulls=NULLS[:1]) for path, header in headers.items())
    text = " UNION ALL BY NAME ".join(texts)
    sample = connection.execute(f"{text} LIMIT {_SAMPLE}").fetchall()
    types = {name: _guess([row[at] for row in sample]) for at, name in enumerate(names)}
    unsure = [name for name in names if types[name] != "VARCHAR"]
    if unsure:
        asked = ", ".join(f"bit_or({_sort(identifier(name), types[name])})" for name in unsure)
        (found,) = connection.execute(f"SELECT {asked} FROM ({text})").fetchall()  # noqa: S608 - quoted
        types |= {name: _TYPES.get(sorts, "VARCHAR") for name, sorts in zip(unsure, found, strict=True)}
    return types


def _sort(column: str, kind: str) -> str:
    """SQL for the sort of a value, NULL for none, in a column whose sample is of ``kind``: what cannot change that into
    another type than VARCHAR is not told apart."""
    as_written = f"TRY_CAST({column} AS BIGINT)::VARCHAR = {column}"  # cheaper than the expression
    whole = f"regexp_full_match({column}, {literal(_INTEGER)})"
    number = f"regexp_full_match({column}, {literal(_NUMBER)})"
    truths = ", ".join(map(literal, _WORD.split("|")))
    sorts = {
        "BIGINT": f"WHEN {as_written} THEN CASE WHEN strlen({column}) <= 18 OR {whole} THEN {_WHOLE} ELSE {_LONG} END "
        f"WHEN {whole} THEN {_WHOLE} WHEN {number} THEN {_BROKEN}",
        "DOUBLE": f"WHEN {number} THEN {_BROKEN}",
        "BOOLEAN": f"WHEN {column} IN ({truths}) THEN {_TRUTH}",
    }
    nulls = ", ".join(map(literal, NULLS))
    return f"CASE {sorts[kind]} WHEN {column} IS NULL OR {column} IN ({nulls}) THEN NULL ELSE {_OTHER} END"


def _guess(values: Sequence[str | None]) -> str:
    present = [value for value in values if value is not None and value not in NULLS]
    for kind, pattern in _PATTERNS.items():
        if all(re.fullmatch(pattern, value) for value in present):
            return kind
    return "VARCHAR"


def is_text(column: str) -> str:
    """SQL that is true of a value which makes pandas read its whole column as text: it cannot be taken for a number or
    a truth value, however loosely."""
    word = f"lower(trim({column})) NOT IN {_PLAIN_WORDS}"
    return f"({word} AND (NOT regexp_matches({column}, '[0-9]') OR NOT regexp_matches({column}, {_NUMBER_LIKE})))"


def loosely_written(path: Path) -> bool:
    """Whether a space may stand between a quote and the end of a field, which DuckDB drops and pandas keeps; or a
    carriage return alone, which ends a line in one of the two."""
    tail = b"\n"
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            signs = any(sign in part for part in (tail, chunk) for sign in (b'"', b"\r"))
            if signs and _is_loose(tail + chunk):
                return True
            tail = (tail + chunk[-_TAIL:])[-_TAIL:]
    return _is_loose(tail + b"\n")


def _is_loose(block: bytes) -> bool:
    if (b' "' in block or b'" ' in block) and _LOOSE_QUOTE.search(block):
        return True
    return b"\r" in block and _LONE_RETURN.search(block) is not None
