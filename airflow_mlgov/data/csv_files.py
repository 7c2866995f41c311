"""Reads csv files in DuckDB: one dialect, columns by the header's names, types as declared, or else by every value and
without a loss. Refuses to guess as DuckDB would (hexadecimal numbers, headers left out), and names what is wrong with a
file: another delimiter, another encoding, lines before the header, a delimiter behind each row."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from airflow_mlgov.data.file_kinds import DELIMITERS
from airflow_mlgov.data.quoting import file_literal, identifier, literal
from airflow_mlgov.data.reading import PLAIN, Reading
from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    import duckdb

_INTEGER = "-?[1-9][0-9]{0,37}|0"
_MANTISSA = "(?:0|[1-9][0-9]*)[.][0-9]*|[.][0-9]+"
_NUMBER = (
    f"-?(?:{_MANTISSA})(?:[eE][-+]?[0-9]{{1,3}})?|-?(?:0|[1-9][0-9]*)[eE][-+][0-9]{{1,3}}|-?[1-9]e[0-9]{{2,3}}|-?inf"
)
"""Numbers as programs write them. ``1E5`` and ``0E1`` are codes as well, so they are text."""
_DECIMAL = "-?(?:0|[1-9][0-9]*)[.][0-9]*"
"""The most of them, and finite where they are short."""
_SHORT = 300
_WORD = "true|True|TRUE|false|False|FALSE"
WHOLE, LONG, HUGE, BROKEN, TRUTH, OTHER = 1, 2, 4, 8, 16, 32
"""Sorts of values: whole numbers of 15 digits, of 64 bits, of 38 digits; other numbers; true and false; all else."""
_BROKEN_BESIDE_LONG = {BROKEN | LONG, BROKEN | WHOLE | LONG} | {
    BROKEN | HUGE | rest for rest in (0, WHOLE, LONG, WHOLE | LONG)
}
_TYPES = {
    **dict.fromkeys((WHOLE, LONG, WHOLE | LONG), "BIGINT"),
    **dict.fromkeys((HUGE, HUGE | WHOLE, HUGE | LONG, HUGE | WHOLE | LONG), "HUGEINT"),
    **dict.fromkeys((BROKEN, BROKEN | WHOLE), "DOUBLE"),
    TRUTH: "BOOLEAN",
}
"""What a column is whose values are of these sorts together; of all others it is text."""
_SAMPLE = 1000
_BUFFER = 1 << 23
"""Bytes of a file that a thread of DuckDB's holds; it takes 32 times as many by itself, and is no faster for it."""
_HEAD = 1 << 16
"""Characters from which the dialect is told."""
_NOTHING = frozenset({"na", "n/a", "nan", "none", "null", "nil", "missing", "unknown"})
_SIGNS = (";", "\t", "|", ",")

# What a declared type takes, as a regular expression; numbers once their signs are plain.
_TAKEN = {
    "BIGINT": "[-+]?[0-9]+(?:[.]0*)?",
    "HUGEINT": "[-+]?[0-9]+(?:[.]0*)?",
    "DOUBLE": "[-+]?(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?(?:inf|Inf|infinity|Infinity)|nan|NaN|NAN",
    "DECIMAL": "[-+]?(?:[0-9]+[.]?[0-9]*|[.][0-9]+)",
    "BOOLEAN": "(?i)true|false|t|f|yes|no|y|n|1|0",
    "DATE": "[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}",
}

_NUMBER_LIKE = "'^[0-9+.einfatyEINFATY[:space:]_,-]*$'"
_PLAIN_WORDS = "('true', 'false', 'inf', '+inf', '-inf', 'infinity', '+infinity', '-infinity', 'nan', '+nan', '-nan')"

_LOOSE_QUOTE = re.compile(rb'[,\r\n] +"|" +[,\r\n"]')
_LONE_RETURN = re.compile(rb"\r[^\n]")
_CHUNK, _TAIL = 1 << 22, 1 << 10


def header_of(path: Path, reading: Reading = PLAIN) -> list[str]:
    """The names of the columns; one without a name is called as pandas calls it.

    :raises ConfigurationError: not a csv file in the encoding, its first line is empty, or its rows do not fit its
        header: the message says what the file seems to be instead
    """
    with _our_errors(path, reading):
        with path.open(encoding=_python_name(reading), newline="") as file:
            for _ in range(reading.skip_rows):
                file.readline()
            head = file.read(_HEAD)
        rows = list(islice(_parsed(head, reading, delimiter_of(path, reading)), 200))
    header = rows[0] if rows else []
    if not header:
        raise ConfigurationError(
            f"{path} begins with an empty line; its first line must name the columns", code="data.no_header"
        )
    if len(head) == _HEAD and len(rows) > 1:
        rows.pop()  # it may be cut
    if problem := _misread(head, rows, delimiter_of(path, reading), reading):
        raise ConfigurationError(f"{path}{problem}", code="data.dialect")
    if isinstance(reading.header, tuple):
        if len(reading.header) == len(header):
            return list(reading.header)
        raise ConfigurationError(
            f"{path} has {len(header)} columns, and header names {len(reading.header)}", code="data.dialect"
        )
    if reading.header is False:
        return [f"column_{position}" for position in range(1, len(header) + 1)]
    return [name or f"Unnamed: {position}" for position, name in enumerate(header)]


def quoted_columns(path: Path, header: Sequence[str], reading: Reading = PLAIN) -> list[str]:
    """The columns whose values all stand in quotes though nothing in them asks for it, in a file that leaves others
    without: who wrote it meant text. Told by the first rows, because text loses nothing."""
    if not reading.quote:
        return []
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.read(_HEAD)
    if reading.quote not in head:
        return []
    delimiter = delimiter_of(path, reading)
    needing = (delimiter, reading.quote, "\n", "\r")
    meant, plain = Counter[int](), set[int]()
    records = list(_records(head, delimiter, reading.quote))[(0 if reading.header is not True else 1) : _SAMPLE]
    for record in records[:-1] if len(head) == _HEAD else records:
        for at, (text, quoted) in enumerate(record[: len(header)]):
            if not text:
                continue
            if not quoted:
                plain.add(at)
            elif not any(sign in text for sign in needing):
                meant[at] += 1
    return [header[at] for at in meant if at not in plain] if plain else []


def delimiter_of(path: Path, reading: Reading = PLAIN) -> str:
    """What separates the fields of a file: as declared, or else by its name."""
    return reading.delimiter or DELIMITERS[path.suffix.lower()]


def readable(path: Path, target: Path, reading: Reading = PLAIN) -> Path:
    """The file itself, or a copy at ``target`` in UTF-8 and without the lines before the header."""
    if reading.encoding in ("utf-8", "ascii") and not reading.skip_rows:
        return path
    with _our_errors(path, reading):
        target.parent.mkdir(exist_ok=True)
        _transcode(path, target, reading)
    return target


def select(path: Path, columns: Mapping[str, str], reading: Reading = PLAIN) -> str:
    """One SELECT over a file whose header names ``columns`` (name -> type) in this order.

    :param path: as :func:`readable` gives it
    """
    as_read = _plain_reading(reading)
    declared = reading.types.keys()
    kinds = {name: kind if as_read and name not in declared else "VARCHAR" for name, kind in columns.items()}
    types = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in kinds.items())
    nulls, quote = ", ".join(map(literal, reading.missing_values)), literal(reading.quote)
    rows = (
        f"SELECT * FROM read_csv({file_literal(path)}, auto_detect=false, columns={{{types}}}, "  # noqa: S608 - quoted
        f"header={str(reading.header is True).lower()}, skip=0, delim={literal(delimiter_of(path, reading))}, "
        f"quote={quote}, escape={quote}, nullstr=[{nulls}], allow_quoted_nulls={str(as_read).lower()}, "
        f"strict_mode=true, hive_partitioning=false, compression='none', buffer_size={_BUFFER})"
    )
    made = {name: _cast(name, kind, kinds[name], reading) for name, kind in columns.items()}
    if all(sql == identifier(name) for name, sql in made.items()):
        return rows
    listing = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in made.items())
    return f"SELECT {listing} FROM ({rows})"  # noqa: S608 - quoted


def texts(headers: Mapping[Path, Sequence[str]], reading: Reading = PLAIN) -> str:
    """One SELECT over several files, every column as it is written, NULL where there is no value."""
    as_text = reading.model_copy(update={"types": {}})
    parts = (select(path, dict.fromkeys(header, "VARCHAR"), as_text) for path, header in headers.items())
    return " UNION ALL BY NAME ".join(parts)


class Extent(NamedTuple):
    """Of whole numbers of 64 bits: how many there are, the least and the greatest."""

    present: int
    low: int
    high: int


@dataclass(frozen=True)
class Looked:
    """What all values of the columns look like that no type is declared of."""

    types: Mapping[str, str]
    """Name -> BIGINT, HUGEINT, DECIMAL, DOUBLE or BOOLEAN where every value is one, else VARCHAR."""
    extents: Mapping[str, Extent]
    """Of columns that are BIGINT."""


def look_at(
    connection: duckdb.DuckDBPyConnection, headers: Mapping[Path, Sequence[str]], reading: Reading = PLAIN
) -> Looked:
    """The columns of the files (path -> names in its header), judged by a sample first, then by all values in one
    pass."""
    names = [name for name in next(iter(headers.values())) if name not in reading.types]
    quoted = {name for path, header in headers.items() for name in quoted_columns(path, header, reading)}
    text = texts(headers, reading)
    listing = ", ".join(map(identifier, names))
    if not names:
        return Looked({}, {})
    sample = connection.execute(f"SELECT {listing} FROM ({text}) LIMIT {_SAMPLE}").fetchall()  # noqa: S608 - quoted
    types = {name: _guess([row[at] for row in sample], reading) for at, name in enumerate(names)}
    types |= dict.fromkeys(quoted & types.keys(), "VARCHAR")
    unsure = [name for name in names if types[name] != "VARCHAR"]
    extents: dict[str, Extent] = {}
    if unsure:
        values = {name: plain_number(identifier(name), reading) for name in unsure}
        asked = [f"bit_or({_sort(values[name], types[name])})" for name in unsure]
        whole = [name for name in unsure if types[name] == "NUMBER"]
        asked += [sql for name in whole for sql in _extent_sql(values[name])]
        (found,) = connection.execute(f"SELECT {', '.join(asked)} FROM ({text})").fetchall()  # noqa: S608 - quoted
        sorts, ends = dict(zip(unsure, found, strict=False)), iter(found[len(unsure) :])
        types |= {name: _TYPES.get(sorts[name], "VARCHAR") for name in unsure}
        extents = {name: found for name in whole if None not in (found := Extent(*islice(ends, 3)))}
        types |= _decimals(connection, text, [name for name in unsure if sorts[name] in _BROKEN_BESIDE_LONG], reading)
    return Looked(types, {name: extent for name, extent in extents.items() if types[name] == "BIGINT"})


def _extent_sql(value: str) -> tuple[str, ...]:
    number = f"TRY_CAST({value} AS BIGINT)"
    return f"count({value})", f"min({number})", f"max({number})"


def plain_number(column: str, reading: Reading) -> str:
    """SQL for a text with the signs of a number that DuckDB knows."""
    if reading.thousands:
        grouped = re.escape(reading.thousands)
        well = rf"-?[0-9]{{1,3}}({grouped}[0-9]{{3}})*({re.escape(reading.decimal)}[0-9]*)?"
        bare = f"replace({column}, {literal(reading.thousands)}, '')"
        column = f"CASE WHEN regexp_full_match({column}, {literal(well)}) THEN {bare} ELSE {column} END"
    if reading.decimal != ".":
        swapped = f"replace({column}, {literal(reading.decimal)}, '.')"
        return f"CASE WHEN contains({column}, '.') THEN 'x' || {column} ELSE {swapped} END"
    return column


def misfits(column: str, stored: str, reading: Reading) -> str:
    """SQL that is true of a text that a declared type does not take."""
    if stored == "VARCHAR":
        return "false"
    number = stored in ("BIGINT", "HUGEINT", "DOUBLE") or stored.startswith("DECIMAL")
    value = plain_number(column, reading) if number else column
    pattern = _TAKEN.get(stored.partition("(")[0])
    fits = f"TRY_CAST({value} AS {stored}) IS NOT NULL"
    if pattern is not None:
        fits = f"regexp_full_match({value}, {literal(pattern)}) AND " + (fits if stored != "BOOLEAN" else "true")
    if stored.startswith("DECIMAL"):
        fits += f" AND TRY_CAST({value} AS {stored}) = TRY_CAST({value} AS DECIMAL(38,18))"
    return f"{column} IS NOT NULL AND NOT coalesce({fits}, false)"


def words_among(counted: Sequence[tuple[str, int]]) -> str:
    """``, such as "-" (3 times)``: the words that stand again and again, or that are signs for nothing, so that none is
    a person's value; empty if there is none."""
    shown = [f'"{word}" ({count} times)' for word, count in counted if count > 1 or _means_nothing(word)]
    return f", such as {' and '.join(shown)}".replace("(1 times)", "(once)") if shown else ""


def _means_nothing(word: str) -> bool:
    return word.casefold() in _NOTHING or not any(sign.isalnum() for sign in word)


def remark_on(column: str, odd: Sequence[tuple[str, int]], numbers: int, reading: Reading) -> str:
    """Why a column is text, where a few words, or few values, stand among its numbers.

    :param odd: the values that are no numbers, the most frequent three, each with its count
    :param numbers: how many values are numbers
    """
    known = words_among(odd)
    if not odd:
        return ""
    if not known:
        return (
            f'"{column}" is text because not all its values are numbers ({numbers} are): declare its type, or mend them'
        )
    if any(any(sign.isdigit() for sign in word) for word, _ in odd):
        return (
            f'"{column}" is text because it holds values that are no plain numbers{known}: if they mean numbers, '
            f"declare types: {{{column}: int64}} or {{{column}: float64}}"
        )
    if len(odd) == 1:
        ((word, count),) = odd
        missing = ", ".join(f'"{each}"' for each in (*reading.missing_values, word))
        times = "once" if count == 1 else f"{count} times"
        return (
            f'"{column}" is text because "{word}" stands {times} among {numbers} numbers: if it means a missing value, '
            f"declare missing_values: [{missing}]; if not, mend it"
        )
    return (
        f'"{column}" is text because not all its values are numbers{known}: declare its type, or what stands for a '
        "missing value (missing_values)"
    )


def look_of(column: str, reading: Reading) -> str:
    """SQL for whether a text is a number, however large."""
    value = plain_number(column, reading)
    return f"regexp_full_match({value}, {literal(f'{_INTEGER}|{_NUMBER}')})"


def begins_as_number(column: str) -> str:
    """SQL that is true of every text that is a number, and of few others, which costs less to see."""
    return f"{column} BETWEEN '+' AND ':' OR {column} = 'inf'"


def _cast(name: str, kind: str, held: str, reading: Reading) -> str:
    column = identifier(name)
    if "" in reading.missing_values and not _plain_reading(reading):
        column = f"nullif({column}, '')"  # also in quotes: many writers put them around nothing
    if kind == held:
        return column
    if kind == "BOOLEAN" and name in reading.types:
        return f"CASE WHEN {column} IS NOT NULL THEN lower({column}) IN ('true', 't', 'yes', 'y', '1') END"
    if kind in ("BIGINT", "HUGEINT", "DOUBLE") or kind.startswith("DECIMAL"):
        column = plain_number(column, reading)
    return column if kind == "VARCHAR" else f"CAST({column} AS {kind})"


def _plain_reading(reading: Reading) -> bool:
    """Whether DuckDB's reader makes the numbers itself, which is faster."""
    return reading.missing_values == ("",) and reading.decimal == "." and not reading.thousands


def _sort(column: str, kind: str) -> str:
    """SQL for the sort of a value, NULL for none, in a column whose sample is of ``kind``: what cannot change that into
    another type than VARCHAR is not told apart."""
    as_written = f"TRY_CAST({column} AS BIGINT)::VARCHAR = {column}"  # cheaper than the expression, and wanted anyhow
    decimal = f"regexp_full_match({column}, {literal(_DECIMAL)}) AND strlen({column}) <= {_SHORT}"
    whole = f"regexp_full_match({column}, {literal(_INTEGER)})"
    finite = f"({column} LIKE '%inf' OR isfinite(TRY_CAST({column} AS DOUBLE)))"
    number = f"regexp_full_match({column}, {literal(_NUMBER)}) AND {finite}"
    truths = ", ".join(map(literal, _WORD.split("|")))
    numbers = (
        f"WHEN {as_written} THEN CASE WHEN strlen({column}) <= 15 THEN {WHOLE} ELSE {LONG} END "
        f"WHEN {whole} THEN {HUGE} WHEN {number} THEN {BROKEN}"
    )
    sorts = {
        "NUMBER": numbers,
        "BROKEN": f"WHEN {decimal} THEN {BROKEN} {numbers}",
        "BOOLEAN": f"WHEN {column} IN ({truths}) THEN {TRUTH}",
    }
    return f"CASE {sorts[kind]} WHEN {column} IS NOT NULL THEN {OTHER} END"


def _guess(values: Sequence[str | None], reading: Reading) -> str:
    """NUMBER, BROKEN, BOOLEAN or VARCHAR, of a sample."""
    present = [value for value in values if value is not None]
    if reading.decimal != "." or reading.thousands:
        number = "[-0-9.,' _eE+]*|-?inf" if reading.thousands else f"[-0-9eE+{re.escape(reading.decimal)}]*|-?inf"
    else:
        number = f"{_INTEGER}|{_NUMBER}"
    for kind, pattern in (("NUMBER", number), ("BOOLEAN", _WORD)):
        if all(re.fullmatch(pattern, value) for value in present):
            broken = kind == "NUMBER" and any(reading.decimal in value for value in present)
            return "BROKEN" if broken else kind
    return "NUMBER" if reading.thousands else "VARCHAR"


def _decimals(
    connection: duckdb.DuckDBPyConnection, text: str, names: Sequence[str], reading: Reading
) -> dict[str, str]:
    """The exact type of columns that have broken numbers beside whole ones that no float holds."""
    found = {}
    for name in names:
        value = plain_number(identifier(name), reading)
        before, behind = f"strlen(ltrim(split_part({value}, '.', 1), '-'))", f"strlen(split_part({value}, '.', 2))"
        (whole, scale, odd) = connection.execute(
            f"SELECT max({before}), max({behind}), bool_or(regexp_matches({value}, '[a-zA-Z]')) FROM ({text})"  # noqa: S608
        ).fetchall()[0]
        fits = not odd and whole + scale <= 38
        found[name] = f"DECIMAL({whole + scale},{scale})" if fits else "VARCHAR"
    return found


def _python_name(reading: Reading) -> str:
    return "utf-8-sig" if reading.encoding in ("utf-8", "ascii") else reading.encoding


@contextmanager
def _our_errors(path: Path, reading: Reading) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise _not_text(path, reading, error) from None
    except (OSError, csv.Error, UnicodeError) as error:
        if isinstance(error, PermissionError):
            raise
        raise ConfigurationError(f"{path} is not a readable csv file: {error}", code="data.unreadable") from None


def _transcode(path: Path, target: Path, reading: Reading) -> None:
    with (
        path.open(encoding=_python_name(reading), newline="") as foreign,
        target.open("w", encoding="utf-8", newline="") as plain,
    ):
        for _ in range(reading.skip_rows):
            foreign.readline()
        while chunk := foreign.read(_CHUNK):
            plain.write(chunk)


def _not_text(path: Path, reading: Reading, error: UnicodeDecodeError) -> ConfigurationError:
    if reading.encoding not in ("utf-8", "ascii"):
        mend = f"encoding says {reading.encoding}; name the one that it was written in"
        return ConfigurationError(f"{path} is not {reading.encoding} text: {mend}", code="file.not_text")
    start = bytes(error.object[:2])
    guess = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "cp1252"
    return ConfigurationError(
        f"{path} is not UTF-8 text (byte {error.start}): name its encoding, such as encoding: {guess}, or convert it "
        "first",
        code="file.not_text",
    )


def _parsed(head: str, reading: Reading, delimiter: str) -> Iterator[list[str]]:
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if reading.quote else csv.QUOTE_NONE
    return csv.reader(
        io.StringIO(head, newline=""),
        delimiter=delimiter,
        quotechar=reading.quote or None,
        quoting=quoting,
    )


def _misread(head: str, rows: Sequence[Sequence[str]], sign: str, reading: Reading) -> str:
    """What the file seems to be instead, and what to declare; empty if its rows fit its header."""
    widths = [len(row) for row in rows if row]
    header, body = widths[0], widths[1:]
    if reading.delimiter is None and (other := _other_delimiter(head, rows, sign, reading)):
        shown = "a tab" if other == "\t" else f'"{other}"'
        declared = "\\t" if other == "\t" else other
        decimal = ', and decimal: ","' if other == ";" and re.search(r"[0-9],[0-9]", head) else ""
        return (
            f': its fields are separated by {shown} and not by "{sign}": declare delimiter: "{declared}"{decimal} '
            f"(--delimiter '{declared}')"
        )
    if body and all(width == header + 1 for width in body) and all(not row[-1] for row in rows[1:] if row):
        return (
            f': each row ends with "{sign}", so it has {header + 1} fields where the header names {header}: write the '
            "file without the delimiter behind the last field"
        )
    if body and (at := _preamble([len(row) for row in rows])):
        skipped = at + reading.skip_rows
        return (
            f": {at} {'line stands' if at == 1 else 'lines stand'} before what looks like the header, which has "
            f"{len(rows[at])} fields: declare skip_rows: {skipped} (--skip-rows {skipped})"
        )
    unlike = next((at for at, width in enumerate(body, start=2) if width != header), None)
    if unlike is not None:
        more = body[unlike - 2]
        return (
            f": row {unlike} has {more} field{'s' if more > 1 else ''} where the header names {header}: mend the row, "
            "or put quotes around a field that holds the delimiter"
        )
    return ""


def _preamble(widths: Sequence[int]) -> int:
    """How many first rows are narrower than all that follow, which are of one width."""
    usual = widths[-1]
    at = next((at for at, width in enumerate(widths) if width == usual), 0)
    alike = all(width in (usual, 0) for width in widths[at:]) and max(widths[:at], default=0) <= 1
    return at if at and alike and len(widths) - at >= 2 and usual > 1 else 0


def _other_delimiter(head: str, rows: Sequence[Sequence[str]], mine: str, reading: Reading) -> str:
    """The sign that separates every row into the same number of fields, where ours does not."""
    widths = {len(row) for row in rows if row}
    if len(widths) == 1 and widths > {1}:
        return ""
    for sign in _SIGNS:
        if sign in (mine, reading.quote):
            continue
        try:
            other = [len(row) for row in islice(_parsed(head, reading, sign), len(rows)) if row]
        except csv.Error:
            continue
        if other and other[0] > 1 and len(set(other)) == 1 and (len(rows[0]) == 1 or len(other) > 1):
            return sign if len(rows[0]) == 1 else ""
    return ""


def _records(text: str, delimiter: str, quote: str) -> Iterator[list[tuple[str, bool]]]:
    """The fields of each record, and whether each stands in quotes."""
    sign, mark = re.escape(delimiter), re.escape(quote)
    field = re.compile(rf"(?:{mark}((?:[^{mark}]|{mark}{mark})*){mark}|([^{sign}\r\n]*))({sign}|\r\n|\r|\n|\Z)")
    record: list[tuple[str, bool]] = []
    at = 0
    while at < len(text):
        found = field.match(text, at)
        if found is None:
            return
        record.append((found[2] if found[1] is None else found[1], found[1] is not None))
        at = found.end()
        if found[3] != delimiter:
            yield record
            record = []


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
